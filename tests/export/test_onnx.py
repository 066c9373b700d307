import numpy as np
import onnx
from onnx import numpy_helper

from tests import networks
from youtube8m_distill.export.onnx import load_onnx, write_onnx
from youtube8m_distill.families.inference import InferenceModel


def test_large_weights_are_initializers_of_their_exact_values_and_no_inputs(tmp_path, monkeypatch):
    monkeypatch.setattr("youtube8m_distill.export.onnx.LARGE", 40)
    network = networks.build(networks.frame_level("FrameLevelLogisticModel"))
    model = InferenceModel(network, ["predictions"])
    write_onnx(tmp_path, model, network.input_signature(5))
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert [each.name for each in graph.input] == ["frames", "num_frames"]
    large = [variable.numpy() for variable in network.variables if np.prod(variable.shape) >= 40]
    found = [numpy_helper.to_array(each) for each in graph.initializer if each.name.startswith("weight_")]
    assert len(found) == len(large) == 1 and (found[0] == large[0]).all()
    batch = networks.batch(networks.frame_level("FrameLevelLogisticModel"))
    inputs = {"frames": batch["frames"][:, :5], "num_frames": np.minimum(batch["num_frames"], 5)}
    np.testing.assert_allclose(load_onnx(tmp_path)(inputs), model(inputs)["predictions"], atol=1e-6)
