"""The fraction of time that metrics, CSV, and progress display take in evaluation and inference, and their memory.

    python benchmarks/metrics_cost.py [--most_videos=100000]

The networks are H-RNNs at full size: a teacher that reads 300 frames, and a student that reads 10. Videos are synthetic and
have 300 frames and 3,862 classes. The fraction is the time of each part alone on a batch of predictions, the best of several
measurements, divided by the time per video that the whole program reports. For memory, separate processes evaluate random
predictions for more and more videos, and the memory at the end is measured.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

import figures
import inputs
import whole_program
from youtube8m_distill import display, schema
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.export.kaggle import write_predictions
from youtube8m_distill.metrics.evaluate import Evaluator

MOST_VIDEOS = flags.DEFINE_integer("most_videos", 100_000, "Videos of the largest evaluation of random predictions.", 1000)
ALONE = flags.DEFINE_integer(
    "alone", None, "Evaluate this many videos in this process, and print the memory that they take."
)
NETWORKS = ("teacher", "student k=10")
BATCH, BATCHES = 1024, 4  # for the measurement of single parts


def measure():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        networks = {name: whole_program.load(folder / name, whole_program.FRAMES[name]) for name in NETWORKS}
        shards = find_files(inputs.write_videos(folder / "videos", [schema.MAX_FRAMES] * 512, 128))
        parts = {"evaluation": evaluation_parts(), "inference": inference_parts(folder)}
        for name, network in networks.items():
            whole = 1 / whole_program.rate(network, shards, 1 + whole_program.BATCHES[name] // 2, folder / "predictions.csv")
            for program, seconds in parts.items():
                listed = ", ".join(f"{part} {1e6 * value:.1f}" for part, value in seconds.items())
                yield figures.Figure(
                    f"{name}, {program}: time for metrics, CSV, and display (microseconds per video: {listed}; "
                    f"whole {1e6 * whole:.0f})",
                    100 * sum(seconds.values()) / whole,
                    "%",
                    at_most=3,
                )
    yield from memory()


def evaluation_parts():
    """A dict from each part of an evaluation, except reading and the network, to its seconds per video."""
    import tensorflow as tf
    from keras import ops

    from youtube8m_distill.metrics.per_video import SHALLOW_DEPTH, perr
    from youtube8m_distill.schemes.losses import label_loss

    labels, predictions = random_predictions(BATCH)
    device = tf.constant(labels), tf.constant(predictions)
    find = tf.function(lambda predictions: ops.top_k(predictions, SHALLOW_DEPTH))
    scores, classes = find(device[1])
    top = classes.numpy()[:, : schema.TOP_K], scores.numpy()[:, : schema.TOP_K]
    judge, lose = tf.function(perr), tf.function(label_loss)
    host = judge(*device, (scores, classes)).numpy(), lose(*device).numpy()
    evaluator = Evaluator(schema.NUM_CLASSES)

    def result():
        evaluator.reset_state()
        for _ in range(BATCHES):
            evaluator.update_state(labels, *top, host[1], host[0])
        evaluator.result()

    return {
        "top-k": seconds(lambda: find(device[1])),
        "PERR": seconds(lambda: judge(*device, (scores, classes))),
        "loss": seconds(lambda: lose(*device)),
        "evaluator": seconds(result) / BATCHES,
        "display": display_seconds(),
    }


def inference_parts(folder):
    """The same for inference."""
    import tensorflow as tf
    from keras import ops

    _, predictions = random_predictions(BATCH)
    predictions = tf.constant(predictions)
    find = tf.function(lambda predictions: ops.top_k(predictions, schema.TOP_K))
    scores, classes = (values.numpy() for values in find(predictions))
    ids = [f"{number:04d}".encode() for number in range(BATCH)]
    rows = [(ids, classes, scores)] * BATCHES
    return {
        "top-k": seconds(lambda: find(predictions)),
        "CSV": seconds(lambda: write_predictions(folder / "alone.csv", rows)) / BATCHES,
        "display": display_seconds(),
    }


def display_seconds():
    with display.ProgressBar(BATCH, "alone", "videos") as bar:
        return seconds(lambda: bar.update(BATCH))


def seconds(work, rounds=7):
    """The best time of `work` on a batch, in seconds per video."""
    work()
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found) / BATCH


def random_predictions(count, seed=0):
    """uint8 labels and float32 predictions [count, num_classes]: three labels per video, and mostly small predictions."""
    random = np.random.default_rng(seed)
    predictions = random.random((count, schema.NUM_CLASSES), np.float32) ** 8
    labels = np.zeros(predictions.shape, np.uint8)
    np.put_along_axis(labels, random.integers(0, schema.NUM_CLASSES, (count, inputs.LABELS_PER_VIDEO)), 1, axis=1)
    return labels, predictions


def memory():
    """How the memory of an evaluation grows with the number of videos."""
    counts = (MOST_VIDEOS.value // 10, MOST_VIDEOS.value // 2, MOST_VIDEOS.value)
    held = []
    for count in counts:
        ran = subprocess.run([sys.executable, __file__, f"--alone={count}"], capture_output=True, text=True, check=True)
        found = json.loads(next(line for line in ran.stdout.splitlines() if line.startswith("{")))
        held.append(found["bytes"])
        yield figures.Figure(f"evaluation of {count:,} videos: memory held", found["bytes"] / 2**20, "MiB")
    yield figures.Figure(
        "bytes per additional video (20 scores, classes, hits; loss, PERR: 148)",
        (held[-1] - held[0]) / (counts[-1] - counts[0]),
        "bytes",
        at_most=200,
    )


def evaluate_alone(count):
    """Prints by how much the memory of this process grows over this many videos."""
    labels, predictions = random_predictions(BATCH)
    classes = np.argsort(-predictions, axis=1)[:, : schema.TOP_K]
    scores, zeros = np.take_along_axis(predictions, classes, axis=1), np.zeros(BATCH, np.float32)
    with Evaluator(schema.NUM_CLASSES) as evaluator:
        evaluator.update_state(labels, classes, scores, zeros, zeros)
        before = resident_bytes()
        for start in range(0, count, BATCH):
            rows = slice(0, min(BATCH, count - start))
            evaluator.update_state(labels[rows], classes[rows], scores[rows], zeros[rows], zeros[rows])
        print(json.dumps({"bytes": resident_bytes() - before, "gap": evaluator.result()["gap_at_20"]}))


def resident_bytes():
    lines = pathlib.Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


if __name__ == "__main__":
    display.LINE_SECONDS = 1e9  # no progress lines between the results
    if any(argument.startswith("--alone") for argument in sys.argv):
        # Does not use figures.run, which keeps freed memory: the evaluation would fit into memory that its setup has freed.
        app.run(lambda _: evaluate_alone(ALONE.value))
    else:
        figures.run(measure)
