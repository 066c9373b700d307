"""Slow, simple numpy versions of the package's functions: expected values for tests."""

import math

import numpy as np

# ---- metrics and the Kaggle CSV (starter code's eval_util.py, average_precision_calculator.py) -----------------------


def ordered_classes(predictions):
    """Classes of one video, best first; equal scores are ordered by class index."""
    return sorted(range(len(predictions)), key=lambda c: (-float(predictions[c]), c))


def starter_hit_at_one(labels, predictions):
    """1 if the best class of one video is a label, otherwise 0."""
    return float(labels[ordered_classes(predictions)[0]] > 0)


def starter_perr(labels, predictions):
    """For one video with n labels: the fraction of labels among its n best classes. Only predictions above 0 count."""
    n = sum(1 for label in labels if label > 0)
    found = [c for c in ordered_classes(predictions)[:n] if labels[c] > 0 and predictions[c] > 0]
    return len(found) / n if n else 0.0


def starter_average_precision(pairs, num_positives):
    """The starter code's loop, correct only without equal scores. `pairs`: (score, is it true)."""
    found, total = 0, 0.0
    for position, (_, true) in enumerate(sorted(pairs, key=lambda pair: pair[0], reverse=True), start=1):
        if true:
            found += 1
            total += found / position
    return total / num_positives if num_positives else 0.0


def grouped_average_precision(pairs, num_positives):
    """Sums recall gain times precision over the distinct scores, both taken after the whole group of equal scores."""
    value = recall = 0.0
    for threshold in sorted({score for score, _ in pairs}, reverse=True):
        taken = [true for score, true in pairs if score >= threshold]
        if num_positives:
            value += (sum(taken) / num_positives - recall) * (sum(taken) / len(taken))
            recall = sum(taken) / num_positives
    return value


def pooled_pairs(labels, predictions, top_k):
    """(class, score, is it true) of the `top_k` best classes of every video."""
    return [
        (c, float(row[c]), bool(truth[c] > 0))
        for truth, row in zip(labels, predictions)
        for c in ordered_classes(row)[:top_k]
    ]


def gap(labels, predictions, top_k, average_precision=grouped_average_precision):
    """Global average precision: one ranking of all videos' pairs against all labels."""
    pairs = [(score, true) for _, score, true in pooled_pairs(labels, predictions, top_k)]
    return average_precision(pairs, sum(1 for row in labels for label in row if label > 0))


def class_average_precisions(labels, predictions, top_k, average_precision=grouped_average_precision):
    """Average precision of each class that occurs as a label, by class."""
    pairs = pooled_pairs(labels, predictions, top_k)
    counts = {c: sum(1 for row in labels if row[c] > 0) for c in range(len(labels[0]))}
    return {
        c: average_precision([(score, true) for other, score, true in pairs if other == c], count)
        for c, count in counts.items()
        if count
    }


def mean_average_precision(labels, predictions, top_k, average_precision=grouped_average_precision):
    """Mean over the classes that occur as labels; 0 if there are none."""
    values = class_average_precisions(labels, predictions, top_k, average_precision)
    return sum(values.values()) / len(values) if values else 0.0


def average_precisions_at_k(rankings, rated, classes, k):
    """{class: sum over i <= k of P(i) rel(i) / N_c} of the classes with positives: MOD 2019, equation (8).

    rankings: {class: segments, best first}. rated: {class: {segment: is it positive}}. The ranking is cut to k segments,
    then unrated ones are taken out.
    """
    values = {}
    for c in classes:
        ratings = rated.get(c, {})
        relevant = [ratings[segment] for segment in rankings.get(c, [])[:k] if segment in ratings]
        precisions = [sum(relevant[:i]) / i for i in range(1, len(relevant) + 1)]
        if sum(ratings.values()):
            values[c] = sum(p for p, positive in zip(precisions, relevant) if positive) / sum(ratings.values())
    return values


def kaggle_line(video_id, classes, scores):
    """One line of the starter's CSV, for an id that needs no quotes."""
    return video_id + "," + " ".join("%i %g" % pair for pair in zip(classes, scores)) + "\n"


# ---- reading records: bytes, frame selections, a padded view (starter's utils.Dequantize; papers' baselines) ---------


def dequantized(code):
    """The float of one stored byte, in plain Python: the starter code's Dequantize with the range -2 .. 2."""
    return code * (4 / 255) + 4 / 512 - 2


def quantized(value):
    """The byte of one float, in plain Python: the feature extractor's formula, rounded down."""
    return int((min(max(value, -2.0), 2.0) + 2.0) * 255.0 / 4.0)


def selected_frames(selection, num_frames, count):
    """Indices of the frames that a selection takes of a video, as a list; `count` is k, the stride, or None for all."""
    everything = list(range(num_frames))
    if selection == "all":
        return everything
    if selection == "strided":
        return [frame for frame in everything if frame % count == 0]
    if num_frames <= count:
        return everything
    if selection == "uniform":
        return [i * num_frames // count for i in range(count)]
    if selection == "centered":
        # The center of span i is (i + 1/2) * N / k, rounded down, in whole numbers.
        return [(2 * i + 1) * num_frames // (2 * count) for i in range(count)]
    if selection == "first":
        return everything[:count]
    if selection == "last":
        return everything[-count:]
    if selection == "middle":
        dropped_before = (num_frames - count) // 2
        return everything[dropped_before : dropped_before + count]
    if selection == "first_middle_last":
        side = count // 3
        center = count - side - side
        before = (num_frames - center) // 2
        return everything[:side] + everything[before : before + center] + everything[num_frames - side :]
    raise ValueError(selection)


def multi_hot(labels, num_classes):
    """Labels as a list of 0 and 1."""
    return [int(c in labels) for c in range(num_classes)]


def padded_view(frames, indices, length):
    """The frames that a network sees, (rows [length, sum of sizes], indices [length]), from {name: frames [N, size]}."""
    rows = np.concatenate(list(frames.values()), axis=1)
    view, places = np.zeros((length, rows.shape[1]), rows.dtype), np.full(length, -1)
    for place, index in enumerate(indices):
        view[place], places[place] = rows[index], index
    return view, places


# Statistics of synthetic videos.


def autocorrelation(frames, lag):
    """Autocorrelation of the deviation from the video's mean, over all dimensions."""
    deviation = frames - frames.mean(axis=0)
    return (deviation[lag:] * deviation[:-lag]).mean() / (deviation**2).mean()


def distances_of_fifths(frames):
    """Distance from the mean of each fifth of a video to the mean of the whole video."""
    fifths = np.array_split(frames, 5)
    return [np.linalg.norm(fifth.mean(axis=0) - frames.mean(axis=0)) for fifth in fifths]


# ---- networks: preprocessing, LSTMs, H-RNN, classifiers; and the original TensorFlow 1 graph -------------------------


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def preprocessed(codes):
    """The floats of one frame from its bytes, scaled to length 1 over all features."""
    values = np.array([dequantized(int(code)) for code in codes])
    return values / np.sqrt(sum(value * value for value in values))


def lstm_step(weights, x, carry, hidden):
    """One step of a Keras LSTM: gates in the order input, forget, candidate, output. Returns carry and hidden."""
    kernel, recurrent_kernel, bias = weights
    i, f, candidate, o = np.split(x @ kernel + hidden @ recurrent_kernel + bias, 4)
    carry = sigmoid(f) * carry + sigmoid(i) * np.tanh(candidate)
    return carry, sigmoid(o) * np.tanh(carry)


def stacked_lstm_states(layers, sequence, length):
    """One sequence's joint state [c1, h1, c2, h2, ...] after each of its rows; rows from `length` on do not change it."""
    cells = layers[0][1].shape[0]
    states = [np.zeros(cells) for _ in range(2 * len(layers))]
    after_each = []
    for row, x in enumerate(sequence):
        if row < length:
            for layer, weights in enumerate(layers):
                carry, hidden = lstm_step(weights, x, states[2 * layer], states[2 * layer + 1])
                states[2 * layer], states[2 * layer + 1] = carry, hidden
                x = hidden
        after_each.append(np.concatenate(states))
    return np.array(after_each)


def hierarchical_rnn(lower, upper, frames, num_frames, frames_per_block):
    """One video: its encoding, and the lower level's state after each real frame. Only real frames are read."""
    cells, real = lower[0][1].shape[0], frames[:num_frames]
    blocks = [real[start : start + frames_per_block] for start in range(0, num_frames, frames_per_block)]
    states = [stacked_lstm_states(lower, block, len(block)) for block in blocks]
    if not states:
        return np.zeros(2 * len(upper) * cells), np.zeros((0, 2 * len(lower) * cells))
    summaries = [block_states[-1] for block_states in states]
    return stacked_lstm_states(upper, summaries, len(summaries))[-1], np.concatenate(states)


def logistic(x, weights, bias):
    """One video's class probabilities."""
    return sigmoid(x @ weights + bias)


def mixture_of_experts(x, gates, experts, expert_bias, num_mixtures):
    """One video's class probabilities, class by class. Columns: all gates (experts) of class 0, then of class 1, ..."""
    num_classes = experts.shape[1] // num_mixtures
    found = []
    for c in range(num_classes):
        gate = [np.exp(x @ gates[:, c * (num_mixtures + 1) + m]) for m in range(num_mixtures + 1)]
        votes = [
            sigmoid(x @ experts[:, column] + expert_bias[column])
            for column in range(c * num_mixtures, (c + 1) * num_mixtures)
        ]
        found.append(sum(share * vote for share, vote in zip(gate, votes)) / sum(gate))
    return np.array(found)


def basic_lstm_cell(kernel, bias, x, carry, hidden):
    """TensorFlow 1's BasicLSTMCell: one kernel for input and state, gates i, j, f, o, forget bias 1 added here."""
    i, j, f, o = np.split(np.concatenate([x, hidden]) @ kernel + bias, 4)
    carry = carry * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j)
    return carry, np.tanh(carry) * sigmoid(o)


def original_rnn(arrays, prefix, sequence, length):
    """`dynamic_rnn` of two BasicLSTMCells with a concatenated state: the state [c1, h1, c2, h2] after `length` rows."""
    cells = [
        [arrays[f"{prefix}/rnn/multi_rnn_cell/cell_{n}/basic_lstm_cell/{part}"] for part in ("kernel", "bias")]
        for n in range(2)
    ]
    u = len(cells[0][1]) // 4
    state = np.zeros(4 * u)
    for x in sequence[:length]:
        c1, h1 = basic_lstm_cell(*cells[0], x, state[:u], state[u : 2 * u])
        c2, h2 = basic_lstm_cell(*cells[1], h1, state[2 * u : 3 * u], state[3 * u :])
        state = np.concatenate([c1, h1, c2, h2])
    return state


def original_network(arrays, scope, frames, num_frames, num_blocks, num_mixtures=2):
    """The H-RNN paper's code on one video: encoding and class probabilities.

    frames: [T, size], preprocessed, rows of padding zero; T is a multiple of `num_blocks` (20 for the teacher with its
    300 rows, 5 for the student).
    """
    length = len(frames) // num_blocks
    summaries = []
    for block in range(num_blocks):
        real = min(max(num_frames - length * block, 0), length)
        summaries.append(original_rnn(arrays, f"{scope}/RNN_L1", frames[length * block : length * (block + 1)], real))
    filled = int(np.ceil(num_frames / length))
    encoding = original_rnn(arrays, f"{scope}/RNN_L2", summaries, filled)
    gates, experts, biases = (
        arrays[f"{scope}/classifier/{part}"] for part in ("gates/weights", "experts/weights", "experts/biases")
    )
    gate = (encoding @ gates).reshape(-1, num_mixtures + 1)
    gate = np.exp(gate) / np.exp(gate).sum(axis=1, keepdims=True)
    expert = sigmoid(encoding @ experts + biases).reshape(-1, num_mixtures)
    return encoding, (gate[:, :num_mixtures] * expert).sum(axis=1)


def original_arrays(scope, feature_size, cells, num_classes, num_mixtures=2, seed=0):
    """Random variables under the names that the original's checkpoints give them."""
    random = np.random.default_rng(seed)
    arrays = {}
    for level, size in (("RNN_L1", feature_size), ("RNN_L2", 4 * cells)):
        for n, inputs in enumerate((size, cells)):
            path = f"{scope}/{level}/rnn/multi_rnn_cell/cell_{n}/basic_lstm_cell"
            arrays[f"{path}/kernel"] = random.normal(0, 0.5, (inputs + cells, 4 * cells)).astype(np.float32)
            arrays[f"{path}/bias"] = random.normal(0, 0.5, 4 * cells).astype(np.float32)
    shapes = {
        "gates/weights": (4 * cells, num_classes * (num_mixtures + 1)),
        "experts/weights": (4 * cells, num_classes * num_mixtures),
        "experts/biases": (num_classes * num_mixtures,),
    }
    for part, shape in shapes.items():
        arrays[f"{scope}/classifier/{part}"] = random.normal(0, 0.5, shape).astype(np.float32)
    return arrays


# ---- losses and the step of training (starter's losses.py; CVPR 2019, equations 1 to 4; DESIGN, Losses) ---------------


def label_loss(labels, predictions):
    """L_CE of one video: cross entropy summed over the classes, the starter's epsilon in both logarithms."""
    return -sum(np.log(p + 1e-5) if y else np.log(1 - p + 1e-5) for y, p in zip(labels, predictions))


def _squeezed(p):
    return 1e-5 + (1 - 2e-5) * p


def bernoulli_kl(teacher, student):
    """KL(P_T || P_S) of one video, with an independent Bernoulli distribution for each class, from probabilities."""
    total = 0.0
    for p, q in zip(map(_squeezed, teacher), map(_squeezed, student)):
        total += p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return total


def categorical_kl(teacher, student):
    """KL(P_T || P_S) of one video, with one categorical distribution over its classes, from probabilities."""
    p, q = [_squeezed(v) for v in teacher], [_squeezed(v) for v in student]
    return sum(a / sum(p) * np.log((a / sum(p)) / (b / sum(q))) for a, b in zip(p, q))


def bernoulli_kl_of_logits(teacher, logits):
    """`bernoulli_kl` without the squeezing; logits of the student are at most some hundred."""
    total = 0.0
    for p, z in zip(teacher, logits):
        for share, log_q in ((p, -np.log1p(np.exp(-z))), (1 - p, -np.log1p(np.exp(z)))):
            total += share * (np.log(share) - log_q) if share else 0.0
    return total


def categorical_kl_of_logits(teacher, logits):
    """`categorical_kl` without the squeezing."""
    q = 1 / (1 + np.exp(-np.asarray(logits)))
    pairs = zip(np.asarray(teacher) / np.sum(teacher), q / np.sum(q))
    return sum(a * np.log(a / b) if a else 0.0 for a, b in pairs)


def slope(function, x, step=1e-7):
    """Gradient of a scalar function of a float64 vector, by central differences."""
    x = np.asarray(x, np.float64)
    moves = step * np.eye(len(x))
    return np.array([(function(x + move) - function(x - move)) / (2 * step) for move in moves])


def squared_distance(a, b):
    """Squared L2 distance of two vectors: L_rep of one video, and L_pred `squared`."""
    return sum((x - y) ** 2 for x, y in zip(a, b))


def intermediate_loss(student_states, teacher_states, student_indices, teacher_indices, reduction="mean"):
    """L_rep^I of one video: over the frames that both networks saw."""
    distances = [
        squared_distance(student, teacher)
        for student, i in zip(student_states, student_indices)
        for teacher, j in zip(teacher_states, teacher_indices)
        if i == j and i >= 0
    ]
    if not distances:
        return 0.0
    return sum(distances) / (len(distances) if reduction == "mean" else 1)


def relation_loss(student, teacher):
    """RKD-D of a minibatch, from its encodings: the list of each video's mean over its pairs."""

    def distances(encodings):
        found = [[np.sqrt(squared_distance(a, b)) for b in encodings] for a in encodings]
        apart = [distance for row in found for distance in row if distance > 0]
        return [[distance / np.mean(apart) if distance > 0 else 0.0 for distance in row] for row in found]

    rows = []
    for i, (own, taught) in enumerate(zip(distances(student), distances(teacher))):
        differences = [abs(a - b) for j, (a, b) in enumerate(zip(own, taught)) if j != i]
        rows.append(sum(d * d / 2 if d < 1 else d - 0.5 for d in differences) / max(len(differences), 1))
    return rows


def squeezed_logits(probabilities):
    """Logits of one video's probabilities after they are mapped to 1e-5 .. 1 - 1e-5."""
    return np.array([np.log(_squeezed(p) / _squeezed(1 - p)) for p in probabilities])


def topk_logit_loss(student_logits, teacher_logits, temperature=2.0, num_best=20):
    """Distillation of standardized logits of one video, among the teacher's best classes."""
    best = ordered_classes(teacher_logits)[:num_best]
    student, teacher = ([logits[c] for c in best] for logits in (student_logits, teacher_logits))
    student, teacher = (np.array(z - np.mean(z)) / (np.std(z) + 1e-7) for z in (student, teacher))
    return temperature**2 * softened_kl(teacher, student, temperature)


def tiny_network(weights, frames, num_frames):
    """Outputs of `tests.tiny_training.network()` for one video; weights are encoder kernel, classifier kernel and bias."""
    encoder, kernel, bias = weights
    x = np.array([[dequantized(int(code)) for code in row] for row in frames])
    states = np.tanh(x / np.linalg.norm(x, axis=-1, keepdims=True) @ encoder)
    encoding = states[:num_frames].sum(axis=0) / max(num_frames, 1)
    logits = encoding @ kernel + bias
    return {"encoding": encoding, "frame_states": states, "logits": logits, "predictions": sigmoid(logits)}


def student_loss(student, teacher, labels, student_indices, teacher_indices, weights):
    """Weighted sum of a student's terms for one video; `teacher`'s outputs are constants."""
    terms = {
        "representation_loss": lambda: squared_distance(teacher["encoding"], student["encoding"]),
        "prediction_loss": lambda: bernoulli_kl(teacher["predictions"], student["predictions"]),
        "label_loss": lambda: label_loss(labels, student["predictions"]),
        "topk_logit_loss": lambda: topk_logit_loss(student["logits"], teacher["logits"]),
        "intermediate_representation_loss": lambda: intermediate_loss(
            student["frame_states"], teacher["frame_states"], student_indices, teacher_indices
        ),
    }
    return sum(weight * terms[name]() for name, weight in weights.items())


def numerical_gradients(function, variables, step=1e-6):
    """Central differences of `function(variables)` by each number in each float64 array of `variables`."""
    gradients = []
    for variable in variables:
        gradient = np.zeros_like(variable)
        for index in np.ndindex(variable.shape):
            value = variable[index]
            variable[index] = value + step
            above = function(variables)
            variable[index] = value - step
            below = function(variables)
            variable[index] = value
            gradient[index] = (above - below) / (2 * step)
        gradients.append(gradient)
    return gradients


def clipped_by_norm(gradient, limit):
    """A gradient scaled to norm `limit` if its norm is larger; 0 means no limit."""
    norm = np.linalg.norm(gradient)
    return gradient * (limit / norm) if limit and norm > limit else gradient


def epoch_end_steps(epoch_size, num_epochs, batch_size):
    """Steps at which an epoch's last record is trained on; the last epoch ends with the run's last full batch."""
    num_steps = epoch_size * num_epochs // batch_size
    ends = [-(-epoch_size * epoch // batch_size) for epoch in range(1, num_epochs + 1)]
    return [min(step, num_steps) for step in ends]


# ---- baselines of the data set's authors: mean frame, deep bag of frames, LSTM (starter's frame_level_models.py) ------


def mean_frame(frames, num_frames):
    """One video: its mean real frame, zeros if it has none."""
    total = np.zeros(frames.shape[-1])
    for frame in frames[:num_frames]:
        total = total + frame
    return total / num_frames if num_frames else total


def _normalized_videos(videos, weights, training):
    """Normalized rows of all `videos`, and the joint mean and variance that training normalizes them with.

    videos: list of [real frames, size]; weights: (gamma, beta, moving mean, moving variance), or None for no change.
    """
    if weights is None:
        return videos, None
    gamma, beta, mean, variance = weights
    rows = [row for video in videos for row in video]
    seen = (sum(rows) / len(rows), sum((row - sum(rows) / len(rows)) ** 2 for row in rows) / len(rows))
    if training:
        mean, variance = seen
    normalized = [[gamma * (row - mean) / np.sqrt(variance + 1e-3) + beta for row in video] for video in videos]
    return normalized, seen


def deep_bag_of_frames(weights, videos, pooling, activation, training):
    """All videos' encodings, and {name: (mean, variance)} of the rows that each batch normalization gets.

    weights: `clusters` and `hidden`, kernel with or without a bias; `input_normalization`, `cluster_normalization` and
    `hidden_normalization`, see `_normalized_videos`, or without these. videos: list of [real frames, size].
    """
    act = {"sigmoid": sigmoid, "relu6": lambda x: np.minimum(np.maximum(x, 0.0), 6.0)}[activation]
    pool = {"max": max, "average": lambda values: sum(values) / len(values)}[pooling]
    seen = {}

    def normalized(name, videos):
        videos, seen[name] = _normalized_videos(videos, weights.get(name), training)
        return videos

    def dense(name, row):
        kernel, *bias = weights[name]
        return row @ kernel + sum(bias)

    videos = normalized("input_normalization", videos)
    votes = normalized("cluster_normalization", [[dense("clusters", frame) for frame in video] for video in videos])
    hidden = []
    for video in votes:
        num_clusters = weights["clusters"][0].shape[1]
        pooled = [pool([act(vote[k]) for vote in video]) if len(video) else 0.0 for k in range(num_clusters)]
        hidden.append([dense("hidden", np.array(pooled))])
    return np.array([act(rows[0]) for rows in normalized("hidden_normalization", hidden)]), seen


def lstm_encoding(layers, frames, num_frames):
    """One video: the top layer's output after its last real frame, zeros if it has none."""
    cells = layers[0][1].shape[0]
    states = [(np.zeros(cells), np.zeros(cells)) for _ in layers]
    for x in frames[:num_frames]:
        for layer, weights in enumerate(layers):
            states[layer] = lstm_step(weights, x, *states[layer])
            x = states[layer][1]
    return states[-1][1]


# ---- batch normalization, context gating, NetVLAD (Miech et al. 2017, arXiv 1706.06905) ------------------------------


def batch_statistics(rows):
    """Mean and biased variance of each column of a list of vectors, the real rows of a batch."""
    mean = sum(rows) / len(rows)
    return mean, sum((row - mean) ** 2 for row in rows) / len(rows)


def batch_normalized(rows, gamma, beta, statistics=None, epsilon=1e-3):
    """The rows normalized with `statistics` (mean, variance), or with their own, as in training."""
    mean, variance = batch_statistics(rows) if statistics is None else statistics
    return [gamma * (row - mean) / np.sqrt(variance + epsilon) + beta for row in rows]


def moved_statistic(values, start, momentum):
    """A moving statistic after an update with each of `values`, as in TensorFlow's ExponentialMovingAverage."""
    for n, value in enumerate(values):
        keep = min(momentum, (1 + n) / (10 + n))
        start = keep * start + (1 - keep) * value
    return start


def context_gated(rows, kernel, normalize, remove_diagonal):
    """Each row times the sigmoid of its gates; `normalize` is a function from rows to rows, or the gates' bias."""
    gates = []
    for row in rows:
        gate = np.zeros_like(row)
        for column in range(len(row)):
            for source in range(len(row)):
                if not (remove_diagonal and source == column):
                    gate[column] += row[source] * kernel[source, column]
        gates.append(gate)
    gates = normalize(gates) if callable(normalize) else [gate + normalize for gate in gates]
    return [row * sigmoid(gate) for row, gate in zip(rows, gates)]


def of_unit_length(vector):
    """The vector scaled to length 1; zeros stay zeros."""
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-6 else vector


def vlad(videos, assign, normalize, centers):
    """Each video's vector of one feature. `videos`: lists of real frames; `centers` [D, K], zeros for LightVLAD."""
    logits = [frame @ assign for frames in videos for frame in frames]
    logits = iter(normalize(logits) if callable(normalize) else [row + normalize for row in logits])
    found = []
    for frames in videos:
        total = np.zeros_like(centers)  # [D, K]
        for frame in frames:
            row = next(logits)
            shares = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
            for cluster, share in enumerate(shares):
                total[:, cluster] += share * (frame - centers[:, cluster])
        columns = [of_unit_length(total[:, cluster]) for cluster in range(total.shape[1])]
        found.append(of_unit_length(np.stack(columns, axis=1).reshape(-1)))  # number d * K + k
    return found


def netvlad(videos, feature_sizes, weights, relu=False, remove_diagonal=False):
    """Each video's encoding.

    `videos`: lists of real frames. `weights`: dict of `frames`, a function from all real frames to normalized ones;
    `features`, for each feature the arguments of `vlad` after the videos; `hidden`; `hidden_normalize`, a function or the
    bias; `gates`, the kernel and a function or bias, or None.
    """
    frames = iter(weights["frames"]([frame for video in videos for frame in video]))
    videos = [[next(frames) for _ in video] for video in videos]
    parts, start = [], 0
    for size, feature in zip(feature_sizes, weights["features"]):
        parts.append(vlad([[frame[start : start + size] for frame in video] for video in videos], *feature))
        start += size
    rows = [np.concatenate(parts_of_video) @ weights["hidden"] for parts_of_video in zip(*parts)]
    normalize = weights["hidden_normalize"]
    rows = normalize(rows) if callable(normalize) else [row + normalize for row in rows]
    if relu:
        rows = [np.clip(row, 0, 6) for row in rows]
    return rows if weights["gates"] is None else context_gated(rows, *weights["gates"], remove_diagonal)


# ---- NeXtVLAD (Lin, Xiao, Fan 2018) and the reverse whitening before it -----------------------------------------------


def reverse_whitened(frame, eigenvalues, stored_as_bytes):
    """One frame's floats, the first ones multiplied by the root of their eigenvalue; the others are unchanged."""
    values = [dequantized(int(value)) if stored_as_bytes else value for value in frame]
    half_step = 4 / 512 if stored_as_bytes else 0
    whitened = [(value - half_step) * (np.sqrt(eigenvalue) + 1e-4) for value, eigenvalue in zip(values, eigenvalues)]
    return whitened + values[len(eigenvalues) :]


def rows_normalized(rows, normalization, training):
    """Batch normalization of rows: with their own statistics in training, otherwise with the moving ones."""
    gamma, beta, mean, variance = normalization
    if training and len(rows):
        mean, variance = np.mean(rows, axis=0), np.var(rows, axis=0)
    return [gamma * (row - mean) / np.sqrt(variance + 1e-3) + beta for row in rows]


def nextvlad_pooling(weights, videos, training):
    """Descriptors of each video, [videos, d * K], from its real frames of one feature, arrays [N, size].

    weights: dict of `expand` and `attend` (kernel, bias), `assign` (kernel), `centers` [d, K], and `assignment` and
    `descriptor` (gamma, beta, moving mean, moving variance).
    """
    (expand, expand_bias), (attend, attend_bias), centers = weights["expand"], weights["attend"], weights["centers"]
    size, num_clusters = centers.shape
    wide = [frame @ expand + expand_bias for video in videos for frame in video]
    scores = rows_normalized([x @ weights["assign"] for x in wide], weights["assignment"], training)
    of_all_frames = zip(wide, scores)
    found = []
    for video in videos:
        sums = np.zeros((size, num_clusters))
        for _ in video:
            x, score = next(of_all_frames)
            for g, attention in enumerate(sigmoid(x @ attend + attend_bias)):
                share = np.exp(score[g * num_clusters : (g + 1) * num_clusters])
                for k in range(num_clusters):
                    weight = attention * share[k] / sum(share)
                    sums[:, k] += weight * (x[g * size : (g + 1) * size] - centers[:, k])
        lengths = [max(np.sqrt(sum(sums[:, k] ** 2)), 1e-6) for k in range(num_clusters)]
        found.append(np.array([sums[i, k] / lengths[k] for i in range(size) for k in range(num_clusters)]))
    return np.array(rows_normalized(found, weights["descriptor"], training))


def nextvlad_projection(weights, pooled, training):
    """Encoding of each video from its descriptors: [videos, H]."""
    hidden = rows_normalized([row @ weights["hidden"] for row in pooled], weights["hidden_normalization"], training)
    inside = rows_normalized([row @ weights["squeeze"] for row in hidden], weights["gate_normalization"], training)
    return np.array([row * sigmoid(np.maximum(gate, 0) @ weights["excite"]) for row, gate in zip(hidden, inside)])


# ---- Transformer over frames (Vaswani et al. 2017, section 3; pre-norm as in Xiong et al. 2020, figure 1b) ------------


def time_encoding(index, width):
    """sin, then cos, of a frame's index times 10000^(-2i / width)."""
    angles = [index * 10000 ** (-2 * i / width) for i in range(width // 2)]
    return np.array([np.sin(a) for a in angles] + [np.cos(a) for a in angles])


def layer_normalized(x, gamma, beta):
    """One row with mean 0 and variance 1, then scaled and shifted."""
    return gamma * (x - x.mean()) / np.sqrt(x.var() + 1e-6) + beta


def gelu(x):
    """x times the normal distribution function of x (Hendrycks and Gimpel 2016), for each number of a row."""
    return np.array([value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in x])


def transformer_block(weights, rows, num_heads):
    """The rows after one block, query by query and head by head."""
    width = len(rows[0])
    size = width // num_heads
    normed = [layer_normalized(x, *weights["attention_norm"]) for x in rows]
    projected = [x @ weights["queries_keys_values"][0] for x in normed]
    attended = []
    for row, of_query in zip(rows, projected):
        heads = []
        for start in range(0, width, size):
            query, keys, values = (
                [x[part * width + start : part * width + start + size] for x in source]
                for part, source in enumerate(([of_query], projected, projected))
            )
            shares = softmax(np.array([query[0] @ key for key in keys]) / np.sqrt(size))
            heads.append(sum(share * value for share, value in zip(shares, values)))
        kernel, bias = weights["merge"]
        attended.append(row + np.concatenate(heads) @ kernel + bias)
    (expand, expand_bias), (contract, contract_bias) = weights["expand"], weights["contract"]
    hidden = [gelu(layer_normalized(x, *weights["mlp_norm"]) @ expand + expand_bias) for x in attended]
    return [x + h @ contract + contract_bias for x, h in zip(attended, hidden)]


def transformer_encoding(weights, frames, frame_indices, num_heads):
    """One video's encoding from its real frames; zeros if it has none. `weights`: name -> arrays; `blocks`, a list."""
    kernel, bias = weights["input_projection"]
    width = kernel.shape[1]
    rows = [np.sqrt(width) * (x @ kernel + bias) + time_encoding(index, width) for x, index in zip(frames, frame_indices)]
    if not rows:
        return np.zeros(width)
    for block in weights["blocks"]:
        rows = transformer_block(block, rows, num_heads)
    rows = [layer_normalized(x, *weights["output_norm"]) for x in rows]
    shares = softmax(np.array([float(x @ weights["query"][0][:, 0]) for x in rows]))
    return sum(share * x for share, x in zip(shares, rows))


# ---- mixtures of networks (MOD 2019, equations 6 and 7; DESIGN, online mixture) ---------------------------------------


def softmax(z):
    powers = np.exp(z - np.max(z))
    return powers / powers.sum()


def mean_of_real_frames(frames, num_frames):
    """Mean of the real frames of one video; zeros if it has none."""
    return sum(frames[:num_frames], np.zeros(frames.shape[1])) / max(num_frames, 1)


def statistics_of_videos(means, num_frames):
    """Mean and variance of each feature over the videos that have frames."""
    rows = np.array([mean for mean, count in zip(means, num_frames) if count > 0])
    return rows.sum(axis=0) / len(rows), ((rows - rows.mean(axis=0)) ** 2).sum(axis=0) / len(rows)


def mixture_gate(weights, mean, statistics):
    """The weight of each member for one video; `weights` are gamma, beta, kernel and bias."""
    gamma, beta, kernel, bias = weights
    normalized = gamma * (mean - statistics[0]) / np.sqrt(statistics[1] + 1e-3) + beta
    return softmax(normalized @ kernel + bias)


def tiny_mixture(tree, frames, num_frames, statistics=None):
    """Outputs of `tests.mixtures.mixture()` for one video of preprocessed frames [T, size].

    `tree` is what `tests.mixtures.tree` gives; `statistics` stand in for every gate's moving ones.
    """
    if "members" not in tree:
        encoder, kernel, bias = tree["leaf"]
        encoding = mean_of_real_frames(np.tanh(frames @ encoder), num_frames)
        logits = encoding @ kernel + bias
        return {"encoding": encoding, "logits": logits, "predictions": sigmoid(logits)}
    members = [tiny_mixture(member, frames, num_frames, statistics) for member in tree["members"]]
    mean = mean_of_real_frames(frames, num_frames)
    gate = mixture_gate(tree["gate"], mean, tree["moving"] if statistics is None else statistics)
    logits = sum(share * member["logits"] for share, member in zip(gate, members))
    return {
        "encoding": np.concatenate([member["encoding"] for member in members]),
        "logits": logits,
        "predictions": sigmoid(logits),
        "gate": gate,
        "members": members,
    }


def softened_kl(parent, member, temperature):
    """KL(softmax(parent / T) || softmax(member / T)) of one video's logits."""
    p, q = softmax(parent / temperature), softmax(member / temperature)
    return sum(a * np.log(a / b) for a, b in zip(p, q))


def submodel_label_loss(outputs, labels):
    """L_CE of all networks below the root, summed."""
    return sum(
        label_loss(labels, member["predictions"]) + submodel_label_loss(member, labels)
        for member in outputs.get("members", [])
    )


def online_distillation_loss(outputs, temperature, parents=None):
    """Divergence from each mixture to its members, summed over all levels. The mixtures' predictions come from `parents`,
    by default `outputs`."""
    parents = parents or outputs
    total = 0.0
    for m, member in enumerate(outputs.get("members", [])):
        total += softened_kl(parents["logits"], member["logits"], temperature)
        total += online_distillation_loss(member, temperature, parents["members"][m])
    return total


def mixture_loss(outputs, labels, temperature, parents=None):
    """The objective of one video: label loss plus online distillation loss."""
    total = label_loss(labels, outputs["predictions"]) + submodel_label_loss(outputs, labels)
    if temperature > 0:
        total += temperature**2 * online_distillation_loss(outputs, temperature, parents)
    return total


def in_turn(files):
    """Records of several files, one from each in turn, until all are read."""
    files, stream = [list(file) for file in files], []
    while any(files):
        stream += [file.pop(0) for file in files if file]
    return stream


def skip_frame(layers, policy, skips, budget, frames, num_frames, noise=None):
    """One video: the LSTM's state after each frame, the frames read, and each decision.

    A decision is (log probabilities of the actions, action, whether it could lead to another frame). `noise` [budget - 1, A]
    is added to the policy's logits before the largest one is taken.
    """
    cells = layers[0][1].shape[0]
    states, index, indices, after_each, decisions = [np.zeros(cells) for _ in range(2 * len(layers))], 0, [], [], []
    for step in range(budget):
        if index < num_frames:
            x = frames[index]
            for layer, weights in enumerate(layers):
                states[2 * layer], states[2 * layer + 1] = lstm_step(weights, x, states[2 * layer], states[2 * layer + 1])
                x = states[2 * layer + 1]
            indices.append(index)
        after_each.append(np.concatenate(states))
        if step < budget - 1:
            logits = after_each[-1] @ policy
            action = int(np.argmax(logits if noise is None else logits + noise[step]))
            decisions.append((np.log(softmax(logits)), action, index + min(skips) < num_frames))
            index += skips[action]
    return np.array(after_each), indices, decisions


def reinforce(rewards, baselines, decisions):
    """One video's policy loss, baseline loss and entropy: sums over the decisions that could lead to another frame."""
    policy_loss = baseline_loss = entropy = 0.0
    for reward, baseline, (log_probabilities, action, is_made) in zip(rewards, baselines, decisions, strict=True):
        if is_made:
            policy_loss -= (reward - baseline) * log_probabilities[action]
            baseline_loss += (reward - baseline) ** 2
            entropy -= float(np.exp(log_probabilities) @ log_probabilities)
    return policy_loss, baseline_loss, entropy
