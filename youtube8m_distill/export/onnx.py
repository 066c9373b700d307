"""ONNX, for ONNX Runtime and the programs of many vendors."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

FILE = "model.onnx"
LARGE = 1024  # numbers of a weight that is not a constant while the network is converted


class _OpenNetwork(keras.Model):
    """A network that takes its large weights as further inputs, by name.

    tf2onnx 1.17 copies each constant many times: 0.5 GB of weights take more than 18 GB of memory if they are constants.
    """

    def __init__(self, network):
        super().__init__(autocast=False, name=network.name)
        self.network = network
        large = [variable for variable in network.variables if np.prod(variable.shape) >= LARGE]
        self.large = {f"weight_{index:04d}": variable for index, variable in enumerate(large)}
        self.built = True

    def call(self, inputs):
        values = [(variable, inputs[name]) for name, variable in self.large.items()]
        with keras.StatelessScope(values):
            return self.network({name: value for name, value in inputs.items() if name not in self.large})


def write_onnx(folder: str | os.PathLike, model: keras.Model, input_signature: list[dict[str, Any]]) -> None:
    """Writes `model.onnx` into a folder that exists."""
    import onnx

    path, network = str(pathlib.Path(folder) / FILE), _OpenNetwork(model)
    weights = {name: keras.InputSpec(each.dtype, each.shape, name=name) for name, each in network.large.items()}
    network.export(path, "onnx", verbose=False, input_signature=[{**input_signature[0], **weights}])
    written = onnx.load(path)
    graph, inputs = written.graph, list(written.graph.input)
    del graph.input[:]
    graph.input.extend(each for each in inputs if each.name not in weights)
    for name in sorted(_names_used(graph) & weights.keys()):
        values = keras.ops.convert_to_numpy(network.large[name])
        graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    onnx.save(written, path)


def _names_used(graph):
    """The names of all tensors that the operations of a graph read, also those in the bodies of loops."""
    names = {name for node in graph.node for name in node.input}
    bodies = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return names.union(*map(_names_used, bodies))


def load_onnx(folder: str | os.PathLike) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """A function from inputs, by name, to predictions, for batches of any size."""
    import onnxruntime

    session = onnxruntime.InferenceSession(os.path.join(folder, FILE), providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(["predictions"], inputs)[0]
