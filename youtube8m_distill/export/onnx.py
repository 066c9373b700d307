"""ONNX, for ONNX Runtime and the programs of many vendors."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

FILE = "model.onnx"


def write_onnx(folder: str | os.PathLike, model: keras.Model, input_signature: list[dict[str, Any]]) -> None:
    """Writes `model.onnx` into a folder that exists."""
    path = str(pathlib.Path(folder) / FILE)
    model.export(path, "onnx", verbose=False, input_signature=input_signature)


def load_onnx(folder: str | os.PathLike) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """A function from inputs, by name, to predictions, for batches of any size."""
    import onnxruntime

    session = onnxruntime.InferenceSession(os.path.join(folder, FILE), providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(["predictions"], inputs)[0]
