import numpy as np
import pytest

from tests import networks, oracles
from youtube8m_distill import config
from youtube8m_distill.families import build
from youtube8m_distill.families.hrnn import original_weights

CELLS, NUM_CLASSES = 6, 4


def network(frames_per_video, frames_per_block, sizes=(5, 3), **options):
    options = {"lstm_cells": CELLS, "num_classes": NUM_CLASSES, "frames_per_block": frames_per_block, **options}
    return config.network_config(
        features=config.FeatureConfig(sizes=sizes),
        view=config.FrameView(frame_selection="first", frames_per_video=frames_per_video),
        **options,
    )


def frames_and_preprocessed(counts, rows, size):
    """Random bytes, and what the original makes of them: dequantized, scaled, padding zero; both [batch, rows, size]."""
    frames = np.random.default_rng(0).integers(0, 256, (len(counts), rows, size), dtype=np.uint8)
    table = np.array([oracles.dequantized(code) for code in range(256)])
    values = table[frames]
    values /= np.sqrt(np.sum(values**2, axis=-1, keepdims=True))
    for video, count in enumerate(counts):
        values[video, count:] = 0.0
    return frames, values


def assert_outputs_equal_the_originals(scope, num_blocks, rows, counts, sizes=(5, 3)):
    arrays = oracles.original_arrays(scope, sum(sizes), CELLS, NUM_CLASSES)
    model = build.build_model(network(rows, rows // num_blocks, sizes))
    original_weights.assign_original_weights(model, arrays, rows // num_blocks, scope)
    frames, values = frames_and_preprocessed(counts, rows, sum(sizes))
    found = networks.outputs(model, {"frames": frames, "num_frames": np.array(counts)})
    for video, count in enumerate(counts):
        encoding, predictions = oracles.original_network(arrays, scope, values[video], count, num_blocks)
        np.testing.assert_allclose(found["encoding"][video], encoding, rtol=0, atol=1e-4)
        np.testing.assert_allclose(found["predictions"][video], predictions, rtol=0, atol=1e-4)
    assert np.ptp(found["predictions"], axis=0).max() > 0.01  # the predictions differ between videos


def test_the_teachers_outputs_equal_the_originals():
    assert_outputs_equal_the_originals("model", 20, 300, [300, 151, 15, 1, 0])


@pytest.mark.slow
def test_the_teachers_outputs_equal_the_originals_at_full_feature_size():
    assert_outputs_equal_the_originals("model", 20, 300, [300, 157], sizes=(1024, 128))


@pytest.mark.parametrize("k", [pytest.param(30, marks=pytest.mark.slow), 10])
def test_the_students_outputs_equal_the_originals(k):
    assert_outputs_equal_the_originals("model_student", 5, k, [k, k - 1, k // 5 + 1, k // 5, 1, 0])


def test_another_block_length_gives_other_outputs():
    arrays = oracles.original_arrays("model", 8, CELLS, NUM_CLASSES)
    frames, _ = frames_and_preprocessed([30], 30, 8)
    found = []
    for frames_per_block in (6, 5):
        model = build.build_model(network(30, frames_per_block))
        original_weights.assign_original_weights(model, arrays, frames_per_block)
        found.append(networks.outputs(model, {"frames": frames, "num_frames": np.array([30])})["encoding"])
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_a_kernel_is_split_and_its_gates_are_reordered_for_keras():
    # One input, one cell: the gates i, j, f, o are single columns.
    kernel, recurrent, bias = original_weights.convert_lstm_kernel(
        np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]), np.array([0.1, 0.2, 0.3, 0.4])
    )
    np.testing.assert_array_equal(kernel, [[1.0, 3.0, 2.0, 4.0]])
    np.testing.assert_array_equal(recurrent, [[5.0, 7.0, 6.0, 8.0]])
    np.testing.assert_allclose(bias, [0.1, 1.3, 0.2, 0.4])


def test_teacher_and_student_of_one_checkpoint_are_distinguished():
    teacher = oracles.original_arrays("model", 8, CELLS, NUM_CLASSES, seed=1)
    student = oracles.original_arrays("model_student", 8, CELLS, NUM_CLASSES, seed=2)
    slots = {f"{name}/Adam": 0 * values for name, values in teacher.items()}
    everything = {**student, **slots, **teacher, "global_step": np.array(7)}
    kept = {name: values.copy() for name, values in everything.items()}
    for scope, arrays in (("model", teacher), ("model_student", student)):
        model, alone = (build.build_model(network(30, 6)) for _ in range(2))
        original_weights.assign_original_weights(model, everything, 6, scope)
        original_weights.assign_original_weights(alone, arrays, 6, scope)
        for found, expected in zip(model.get_weights(), alone.get_weights()):
            np.testing.assert_array_equal(found, expected)
    for name, values in kept.items():
        np.testing.assert_array_equal(everything[name], values)


def changed(**changes):
    """The original's variables, some of them replaced; None takes one away."""
    arrays = {
        **oracles.original_arrays("model", 8, CELLS, NUM_CLASSES),
        **{name.replace("__", "/"): values for name, values in changes.items()},
    }
    return {name: values for name, values in arrays.items() if values is not None}


@pytest.mark.parametrize(
    "arrays, options, message",
    [
        (changed(model__classifier__gates__weights=None), {}, "Expected one variable model/…/gates/weights; found none"),
        (
            changed(model__other__gates__weights=np.zeros((24, 12))),
            {},
            "found model/classifier/gates/weights, model/other/gates/weights among",
        ),
        ({}, {}, "RNN_L1.* found none among 0 variables"),
        (changed(), {"lstm_cells": 7}, "RNN_L1/.*cell_0.*kernel has the shape .*with the original's sizes"),
        (changed(), {"num_classes": 5}, r"gates/weights has the shape \(24, 12\), .* has \(24, 15\)"),
        (changed(), {"lstm_layers": 3}, "RNN_L1/…/cell_2/…/kernel; found none"),
        (changed(), {"classifier": "LogisticModel"}, "need a HierarchicalRNN encoder and a MixtureOfExperts classifier"),
    ],
)
def test_a_variable_that_does_not_fit_is_named(arrays, options, message):
    model = build.build_model(network(30, 6, **options))
    with pytest.raises(ValueError, match=message):
        original_weights.assign_original_weights(model, arrays, 6)


def test_a_network_of_another_family_is_an_error():
    with pytest.raises(ValueError, match="need a HierarchicalRNN encoder"):
        original_weights.assign_original_weights(networks.build(networks.video_level("MoeModel")), changed(), 6)


def test_another_block_length_than_that_of_the_weights_is_refused():
    message = "frames_per_block=15, but the network has blocks of 6 frames. Build it with the block length of these weights."
    with pytest.raises(ValueError, match=message):
        original_weights.assign_original_weights(build.build_model(network(30, 6)), changed(), 15)
