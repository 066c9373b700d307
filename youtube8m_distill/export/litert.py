"""LiteRT (formerly TensorFlow Lite), for phones and other small machines. Only writing a file imports TensorFlow."""

import os
import pathlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from youtube8m_distill.config.export import Quantization

if TYPE_CHECKING:
    import keras

FILE = "model.tflite"


def write_litert(
    folder: str | os.PathLike,
    model: "keras.Model",
    input_signature: list[dict[str, Any]],
    quantization: Quantization = "none",
    calibration: Iterable[dict[str, np.ndarray]] = (),
) -> None:
    """Writes `model.tflite`, with LiteRT's own operations only, so that it needs no part of TensorFlow.

    Args:
        folder: exists.
        calibration: inputs by name, batch by batch; only read for full_int8.
    Raises:
        Exception: TensorFlow's, if its converter does not know an operation.
    """
    import tensorflow as tf

    ops, target, options = tf.lite.OpsSet, {}, {}
    target["supported_ops"] = [ops.TFLITE_BUILTINS]
    if quantization != "none":
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        target["supported_types"] = [tf.float16]
    if quantization == "full_int8":
        options["representative_dataset"] = lambda: iter(calibration)
        # An operation on integers, such as a sort of lengths, has no int8 version.
        target["supported_ops"] = [ops.TFLITE_BUILTINS_INT8, ops.TFLITE_BUILTINS]
    path = pathlib.Path(folder) / FILE
    model.export(path, "litert", verbose=False, input_signature=input_signature, target_spec=target, **options)


def load_litert(path: str | os.PathLike) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """A function from inputs, by name, to predictions, for batches of any size; of a file, or of the one in a folder."""
    from ai_edge_litert.interpreter import Interpreter

    file = os.path.join(path, FILE) if os.path.isdir(path) else os.fspath(path)
    interpreter = Interpreter(file, num_threads=os.cpu_count())
    run = interpreter.get_signature_runner()
    return lambda inputs: run(**inputs)["predictions"]
