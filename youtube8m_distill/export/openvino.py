"""OpenVINO, Intel's runtime."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

FILE = "model.xml"  # the graph; the weights are in model.bin


def write_openvino(folder: str | os.PathLike, model: keras.Model, input_signature: list[dict[str, Any]]) -> None:
    """Writes `model.xml` and `model.bin` into a folder that exists."""
    path = str(pathlib.Path(folder) / FILE)
    model.export(path, "openvino", verbose=False, input_signature=input_signature)


def load_openvino(folder: str | os.PathLike) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """A function from inputs, by name, to predictions, for batches of any size. It computes in float32."""
    import openvino

    # By default, some processors compute in bfloat16.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(os.path.join(folder, FILE), "CPU", options)
    return lambda inputs: compiled(inputs)["predictions"].copy()  # its memory is used again
