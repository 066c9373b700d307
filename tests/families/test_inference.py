import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import networks


@pytest.mark.parametrize("network", [networks.frame_level("FrameLevelLogisticModel"), networks.video_level("MoeModel")])
def test_keras_exports_a_network_that_was_never_called(network, tmp_path):
    model, batch = networks.build(network), networks.batch(network)
    model.export(tmp_path, verbose=False)
    loaded = tf.saved_model.load(tmp_path)
    found = loaded.serve({name: tf.constant(values) for name, values in batch.items()})
    expected = networks.outputs(model, batch)
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)


def test_an_export_may_fix_the_number_of_frames(tmp_path):
    model = networks.build(networks.frame_level("FrameLevelLogisticModel"))
    signature = model.input_signature(max_frames=4)
    model.export(tmp_path, verbose=False, input_signature=signature)
    _, inputs = tf.saved_model.load(tmp_path).signatures["serving_default"].structured_input_signature
    assert {name: (tuple(spec.shape), spec.dtype) for name, spec in inputs.items()} == {
        "frames": ((None, 4, 9), "uint8"),
        "num_frames": ((None,), "int32"),
    }


def test_the_signature_names_the_parts_of_a_batch_in_sorted_order():
    model = networks.build(networks.frame_level("TransformerModel", dtype="float32"))
    (inputs,) = model.input_signature()
    assert list(inputs) == ["frame_indices", "frames", "num_frames"]
    assert isinstance(inputs["frames"], keras.InputSpec) and inputs["frames"].dtype == "float32"
    assert inputs["frames"].shape == (None, None, 9) and inputs["frame_indices"].shape == (None, None)
