"""Every network keeps every promise. A new family needs an entry in `families.FAMILIES` and a line in `networks.TINY`."""

import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import networks, tiny_training
from youtube8m_distill import config
from youtube8m_distill.engine.checkpoints import Checkpoints
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.families import build
from youtube8m_distill.families.build import build_model
from youtube8m_distill.schemes.build import label_objective
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.serial import SerialDistiller
from youtube8m_distill.schemes.supervised import Supervised

NETWORKS = networks.every_network()
ENCODERS = {model: NETWORKS[model] for model in networks.TINY}  # each encoder once
FAMILIES = {model: networks.frame_level(model, dropout=0.0) for model in networks.TINY}
FAMILIES["HierarchicalLstmModel"] = networks.frame_level(dropout=0.0, frames_per_block=2)  # three frames make two blocks


def parametrized(table, quick=None):
    """Parametrizes over the networks of a table. Mixtures are slow; if `quick` names one network, all others are."""
    return pytest.mark.parametrize(
        "network",
        [
            pytest.param(network, id=name, marks=[pytest.mark.slow] * (name != quick if quick else network.is_mixture))
            for name, network in table.items()
        ],
    )


every_network, every_encoder, every_family = map(parametrized, (NETWORKS, ENCODERS, FAMILIES))


@functools.cache
def _built(network, dtype):
    model = networks.build(network, name="student", dtype=dtype)
    values = [np.copy(variable) for variable in model.variables]
    return model, values, networks.outputs(model, networks.batch(network))


def shared(network, dtype="float32"):
    """A network that is built once, its weights and seeds reset; a batch; and its outputs in evaluation."""
    model, values, found = _built(network, dtype)
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)
    return model, networks.batch(network), dict(found)


def assert_same(found, expected, rtol=1e-5, atol=1e-6):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol, atol, err_msg=name)


def with_garbage(batch):
    """The same videos, with other frames in the rows of padding."""
    padding = np.arange(batch["frames"].shape[1])[None, :, None] >= batch["num_frames"][:, None, None]
    garbage = {**batch, "frames": np.where(padding, 77, batch["frames"]).astype(np.uint8)}
    assert not np.array_equal(batch["frames"], garbage["frames"])
    return garbage


def test_the_tables_contain_every_model():
    assert {*networks.TINY, *config.VIDEO_LEVEL_MODELS} == set(config.MODELS)
    assert set(config.VIDEO_LEVEL_MODELS) <= set(config.CLASSIFIER_MODELS)


@every_network
def test_outputs_have_the_documented_names_shapes_and_dtypes(network):
    model, batch, _ = shared(network)
    found = model(batch)
    expected = {"encoding", "predictions"} | ({"logits"} if network.classifier.model == "LogisticModel" else set())
    expected |= {"decisions"} if network.family.chooses_frames else set()
    assert set(found) == expected | ({"gate", "members"} if network.is_mixture else set())
    size = network.features.size if network.is_video_level else sum(encoder.encoding_size for encoder in encoders(model))
    assert found["encoding"].shape == (4, size) and found["encoding"].dtype == "float32"
    assert found["predictions"].shape == (4, networks.NUM_CLASSES) and found["predictions"].dtype == "float32"
    predictions = found["predictions"].numpy()
    assert np.all((predictions > 0) & (predictions < 1))
    if "logits" in found:
        np.testing.assert_allclose(predictions, 1 / (1 + np.exp(-found["logits"])), rtol=1e-5)


def encoders(model):
    """The encoders of a network, several in a mixture."""
    return (
        [encoder for member in model.members for encoder in encoders(member)]
        if hasattr(model, "members")
        else [model.encoder]
    )


@every_encoder
def test_padding_does_not_change_outputs(network):
    model, batch, expected = shared(network)
    assert_same(networks.outputs(model, with_garbage(batch)), expected)


@every_family
def test_padding_does_not_change_training_outputs_or_statistics(network):
    after = []
    for change in (dict, with_garbage):
        model, batch, _ = shared(network)
        found = networks.outputs(model, change(batch), training=True)
        after.append({**found, **{f"weight {i}": weight for i, weight in enumerate(model.get_weights())}})
    assert_same(*after, rtol=1e-4, atol=1e-5)


@every_encoder
def test_frame_order_matters_only_for_families_that_are_listed(network):
    model, batch, outputs = shared(network)
    turned = batch["frames"].copy()
    for row, count in enumerate(batch["num_frames"]):
        turned[row, :count] = batch["frames"][row, :count][::-1]
    found, expected = networks.outputs(model, {**batch, "frames": turned})["encoding"], outputs["encoding"]
    several = batch["num_frames"] > 1
    if network.model in networks.IN_ORDER:
        assert np.all(np.abs(found - expected).max(axis=1)[several] > 1e-4)
        np.testing.assert_allclose(found[~several], expected[~several], rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@every_encoder
def test_frame_indices_matter_only_for_families_that_declare_it(network):
    model, batch, expected = shared(network)
    rows = np.arange(network.max_frames, dtype=np.int32)
    same = {**batch, "frame_indices": np.tile(rows, (4, 1))}
    assert_same(networks.outputs(model, same), expected)
    later = np.where(rows < batch["num_frames"][:, None], 3 * rows * rows + 5, -1)
    found = networks.outputs(model, {**batch, "frame_indices": later})
    assert model.reads_frame_indices == network.family.reads_frame_indices
    if network.family.reads_frame_indices:
        moved = np.abs(found["encoding"] - expected["encoding"]).max(axis=1) > 1e-4
        np.testing.assert_array_equal(moved, batch["num_frames"] > 0)
    else:
        assert_same(found, expected, rtol=0, atol=0)


@every_encoder
def test_longer_padding_does_not_change_outputs(network):
    model, batch, expected = shared(network)
    longer = {**batch, "frames": np.pad(batch["frames"], [[0, 0], [0, 5], [0, 0]], constant_values=9)}
    assert_same(networks.outputs(model, longer), expected)


@every_encoder
def test_every_real_frame_affects_the_encoding(network):
    model, batch, outputs = shared(network)
    changed = (0, 3, network.max_frames - 1)
    frames = np.stack([batch["frames"]] * 3)
    for number, frame in enumerate(changed):
        frames[number, :, frame] = 255 - frames[number, :, frame]
    videos = {"frames": np.concatenate(frames), "num_frames": np.tile(batch["num_frames"], 3)}
    found = np.split(networks.outputs(model, videos)["encoding"], 3)
    for encoding, frame in zip(found, changed, strict=True):
        moved = np.abs(encoding - outputs["encoding"]).max(axis=1) > 1e-5
        is_read = frame < batch["num_frames"]
        if network.family.chooses_frames:
            is_read &= np.any(outputs["decisions/frame_indices"] == frame, axis=1)
        np.testing.assert_array_equal(moved, is_read)


@every_network
def test_outputs_do_not_depend_on_the_other_videos_of_a_batch(network):
    model, batch, together = shared(network)
    for rows in ([1], [3, 0, 2]):
        apart = networks.outputs(model, {name: values[rows] for name, values in batch.items()})
        assert_same(apart, {name: values[rows] for name, values in together.items()})


@every_encoder
def test_outputs_are_finite_for_any_number_of_frames(network):
    model, batch, outputs = shared(network)
    empty = networks.outputs(model, {**batch, "num_frames": np.zeros(4, np.int32)})
    assert all(np.all(np.isfinite(values)) for found in (outputs, empty) for values in found.values())


@every_encoder
def test_frame_counts_may_have_any_dtype(network):
    model, batch, expected = shared(network)
    assert_same(networks.outputs(model, {**batch, "num_frames": batch["num_frames"].astype("int64")}), expected)


@pytest.mark.parametrize("model", ["FrameLevelLogisticModel", "MixNeXtVladModel"])  # each class of networks
def test_a_float_frame_count_is_not_rounded_to_bfloat16(model):
    network = networks.frame_level(model, view=config.FrameView())
    model, batch = networks.build(network, dtype="mixed_bfloat16"), networks.batch(network, (299,))
    counted = {**batch, "num_frames": np.array([299.0], np.float32)}  # in bfloat16 it would be 300
    assert_same(networks.outputs(model, counted), networks.outputs(model, batch), rtol=0, atol=0)


@every_encoder
def test_a_graph_with_dynamic_shapes_equals_eager_code(network):
    model, batch, expected = shared(network)
    unknown = {
        name: tf.TensorSpec([None] * (values.ndim - 1) + [values.shape[-1] if values.ndim > 1 else None], values.dtype)
        for name, values in batch.items()
    }
    graph = tf.function(lambda batch: model(batch), input_signature=[unknown], autograph=False)
    assert_same(networks.as_numpy(graph(batch)), expected)


@every_network
def test_gradients_reach_every_weight_and_are_finite(network):
    model, batch, _ = shared(network)
    with tf.GradientTape() as tape:
        predictions = model(batch, training=True)["predictions"]
        loss = tf.reduce_sum(predictions * np.arange(1.0, 1.0 + networks.NUM_CLASSES, dtype=np.float32))
    # The policy of a network that chooses its frames learns from rewards (`test_frame_choice.py`).
    of_policy = [v.path for v in model.trainable_variables if v.path.split("/")[-2] in ("policy", "baseline")]
    variables = [v for v in model.trainable_variables if v.path not in of_policy]
    assert bool(of_policy) == network.family.chooses_frames
    gradients = tape.gradient(loss, variables)
    assert len(gradients) == len(variables) > 0
    for variable, gradient in zip(variables, gradients):
        assert gradient is not None, variable.path
        assert np.all(np.isfinite(gradient.numpy())) and np.any(gradient.numpy() != 0), variable.path


@every_network
def test_a_keras_file_restores_the_network_in_safe_mode(network, tmp_path):
    model, batch, expected = shared(network)
    model.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    assert type(loaded) is type(model) and loaded.name == "student"
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    assert_same(networks.outputs(loaded, batch), expected, rtol=0, atol=0)


@every_encoder
def test_a_saved_model_gives_the_same_outputs(network, tmp_path):
    model, batch, expected = shared(network)
    batch = as_exported_networks_take(network, batch)
    model.export(tmp_path, verbose=False)
    loaded = tf.saved_model.load(tmp_path)  # its signatures do not keep the weights
    found = {name: values.numpy() for name, values in loaded.signatures["serving_default"](**batch).items()}
    assert found.keys() == {"encoding", "predictions", "logits"} & expected.keys()
    assert_same(found, {name: expected[name] for name in found})


def as_exported_networks_take(network, batch):
    """The batch as tensors, with frame indices if the network reads them: an exported network has no default for them."""
    if network.family.reads_frame_indices:
        rows = np.arange(network.max_frames, dtype=np.int32)
        batch = {**batch, "frame_indices": np.tile(rows, (len(batch["num_frames"]), 1))}
    return {name: tf.constant(values) for name, values in batch.items()}


@every_encoder
def test_a_weights_file_loads_into_another_network(network, tmp_path):
    model, batch, expected = shared(network)
    other = networks.build(network, seed=1)
    before = networks.outputs(other, batch)
    assert np.abs(before["predictions"] - expected["predictions"]).max() > 0.01
    model.save_weights(tmp_path / "network.weights.h5")
    other.load_weights(tmp_path / "network.weights.h5")
    assert_same(networks.outputs(other, batch), expected, rtol=0, atol=0)


@every_network
def test_bfloat16_keeps_weights_and_predictions_in_float32(network):
    model, batch, outputs = shared(network, "mixed_bfloat16")
    found, expected = model(batch), shared(network)[2]
    assert found["encoding"].dtype == "bfloat16" and found["predictions"].dtype == "float32"
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    # An encoding is bfloat16 itself, with 8 significant bits, so its error grows with its size.
    encoding = {name: outputs.pop(name) for name in list(outputs) if name.endswith("encoding")}
    assert_same(encoding, {name: expected.pop(name) for name in encoding}, rtol=0.02, atol=0.05)
    assert_same(outputs, expected, rtol=0, atol=0.05)


@parametrized(ENCODERS, quick="NetVLADModelLF")
def test_a_keras_file_restores_a_bfloat16_network(network, tmp_path):
    model, batch, expected = shared(network, "mixed_bfloat16")
    model.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert loaded(batch)["encoding"].dtype == "bfloat16"
    assert_same(networks.outputs(loaded, batch), expected, rtol=0, atol=0)


@every_encoder
def test_a_seed_fixes_the_initial_weights(network):
    def weights(seed):
        keras.utils.set_random_seed(seed)
        return np.concatenate([np.ravel(values) for values in build.build_model(network).get_weights()])

    expected = weights(1)
    np.testing.assert_array_equal(weights(1), expected)
    assert np.any(weights(2) != expected)


@every_encoder
def test_multiply_adds_grow_with_the_number_of_frames(network):
    model, _, _ = shared(network)
    costs = [model.multiply_adds(num_frames) for num_frames in range(0, 8)]
    assert all(isinstance(cost, int) for cost in costs)
    assert costs[0] >= sum(classifier.multiply_adds() for classifier in model.classifiers) > 0
    assert np.all(np.diff(costs) > 0) or not network.family.encoder_has_weights


@every_network
def test_the_size_of_the_encoding_is_known_without_building_the_network(network):
    model, _, expected = shared(network)
    assert network.encoding_size == model.encoding_size == expected["encoding"].shape[-1]


@every_network
def test_two_networks_can_share_output_layers(network):
    teacher, batch, _ = shared(network)
    student = build.build_model(network, output_layers=teacher.output_layers, name="student")
    assert all(ours is theirs for ours, theirs in zip(student.output_layers, teacher.output_layers, strict=True))
    assert set(map(id, teacher.classifiers)) <= set(map(id, teacher.output_layers))
    common = {id(weight) for layer in teacher.output_layers for weight in layer.weights}
    own = {id(weight) for weight in teacher.weights} - common
    assert own.isdisjoint(id(weight) for weight in student.weights)
    assert common <= {id(weight) for weight in student.weights}
    found = student(batch)
    np.testing.assert_allclose(student.classify_without_dropout(found)["predictions"], found["predictions"], rtol=1e-6)


# ---- training and distillation --------------------------------------------------------------------------------------

REP = {"representation_loss"}
ALONE = [{"representation_loss": 1.0}, {"prediction_loss": 1.0}, {"label_loss": 1.0}]
TERMS = [
    *(pytest.param(weights, marks=pytest.mark.slow) for weights in ALONE),
    {"representation_loss": 0.1, "prediction_loss": 1.0, "label_loss": 1.0},
]


def pair(network):
    """The network as teacher on six frames, and as student on three."""
    teacher = network.replace(view=config.FrameView(frame_selection="uniform", frames_per_video=6))
    return teacher, network.replace(view=config.FrameView(frame_selection="uniform", frames_per_video=3))


def serial(network, weights):
    teacher, student = pair(network)
    models = build_model(teacher, name="teacher"), build_model(student, name="student")
    for layer in models[1].output_layers:
        layer.trainable = weights.keys() != REP
    terms = StudentTerms(weights, objective=label_objective(student))
    return SerialDistiller(models[1], models[0], terms, **SETTINGS)


def parallel(network, weights):
    teacher, student = pair(network)
    model = build_model(teacher, name="teacher")
    terms = StudentTerms(weights, objective=label_objective(student))
    return ParallelDistiller(
        build_model(student, output_layers=model.output_layers, name="student"),
        model,
        terms,
        label_objective(teacher),
        **SETTINGS,
    )


def supervised(network):
    return Supervised(build_model(pair(network)[0], name="teacher"), objective=label_objective(network), **SETTINGS)


SETTINGS = {"clip_gradient_norm": 0.5, "regularization_penalty": 1e4}
DATA = tiny_training.videos()


def assert_moves(scheme):
    """Takes an eager step: every trainable weight changes, every loss is finite."""
    before = [np.copy(weight) for weight in scheme.trainable_variables]
    data = DATA if "student" in scheme.networks else tiny_training.flat(DATA)
    logs = scheme.train_step(tf.nest.map_structure(lambda values: tf.constant(values[:8]), data))
    assert np.all(np.isfinite([float(value) for value in logs.values()]))
    assert all(tiny_training.differ([np.asarray(weight) for weight in scheme.trainable_variables], before))


@parametrized(FAMILIES, quick="NetVLADModelLF")
@pytest.mark.parametrize("weights", TERMS, ids=lambda weights: "+".join(weights))
def test_serial_distillation_trains_the_student_and_not_the_teacher(network, weights):
    _skip_if_refused(network, weights)
    scheme = tiny_training.compiled(lambda: serial(network, weights), make_strategy())
    teacher = scheme.teacher.get_weights()
    assert_moves(scheme)
    tiny_training.assert_same_weights(scheme.teacher.get_weights(), teacher)


def _skip_if_refused(network, weights):
    if network.family.chooses_frames and "label_loss" not in weights:
        pytest.skip("its policy learns from the label loss alone; the configuration refuses it")
    if not network.family.encoder_has_weights and weights.keys() == REP:
        pytest.skip("its encoding has no weights; the configuration refuses it")


@parametrized(FAMILIES, quick="NetVLADModelLF")
@pytest.mark.parametrize("weights", TERMS, ids=lambda weights: "+".join(weights))
def test_parallel_distillation_trains_both_networks(network, weights):
    if network.family.chooses_frames:
        _skip_if_refused(network, weights)
    assert_moves(tiny_training.compiled(lambda: parallel(network, weights), make_strategy()))


# Before batch normalization, some gradients are 0 except for rounding.
ROUNDING = 2e-6


@parametrized(FAMILIES, quick="NetVLADModelLF")  # has batch statistics
def test_training_on_two_replicas_equals_one(network):
    one, two = (
        tiny_training.train_eagerly(devices, lambda: supervised(network), tiny_training.flat(DATA), steps=2)
        for devices in (None, tiny_training.TWO_CPUS)
    )
    tiny_training.assert_same_weights(tiny_training.weights(two), tiny_training.weights(one), 1e-4, ROUNDING)


@pytest.mark.slow
@every_family
def test_distillation_on_two_replicas_equals_one(network):
    one, two = (
        tiny_training.train_eagerly(devices, lambda: parallel(network, TERMS[-1]), DATA)
        for devices in (None, tiny_training.TWO_CPUS)
    )
    tiny_training.assert_same_weights(tiny_training.weights(two), tiny_training.weights(one), 1e-4, ROUNDING)


@parametrized(FAMILIES, quick="NetVLADModelLF")
def test_a_training_step_in_bfloat16_leaves_float32_weights(network):
    def make():
        model = build_model(network, "mixed_bfloat16", name="teacher")
        return Supervised(model, objective=label_objective(network), **SETTINGS)

    scheme = tiny_training.compiled(make, make_strategy())
    assert_moves(scheme)
    assert {variable.dtype for variable in scheme.trainable_variables} == {"float32"}


@parametrized(FAMILIES, quick="NetVLADModelLF")
def test_training_resumed_from_a_checkpoint_is_bit_exact(network, tmp_path):
    def trained(steps):
        return tiny_training.train_eagerly(
            None, lambda: supervised(network), tiny_training.flat(DATA), lambda: keras.optimizers.Adam(0.01), steps
        )

    def one_more_step(scheme):
        scheme.train_step(next(iter(tiny_training.batches(tiny_training.flat(DATA)))))
        return tiny_training.weights(scheme)

    checkpoints, scheme, other = Checkpoints(tmp_path), trained(1), trained(0)
    checkpoints.save(scheme, Progress())
    checkpoints.restore(other)
    tiny_training.assert_same_weights(one_more_step(other), one_more_step(scheme))
