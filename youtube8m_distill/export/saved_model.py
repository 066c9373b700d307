"""TensorFlow's SavedModel, for TensorFlow Serving and for programs that have TensorFlow alone."""

import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

RECORDS = "records"


def write_saved_model(
    folder: str | os.PathLike, model: keras.Model, input_signature: list[dict[str, Any]], of_records: Callable
) -> None:
    """Writes a SavedModel with two signatures, which share the weights.

    Args:
        folder: new.
        model: takes the dict of `input_signature` and returns a dict of tensors. The signature is named `features` if it
            takes those, otherwise `frames`; it is also the default one.
        of_records: from serialized records, string [B], to a dict of tensors: the signature `records`.
    """
    archive = keras.export.ExportArchive()  # finds the weights that its endpoints use; with `track`, it stores each twice
    archive.add_endpoint(main_signature(input_signature[0]), model.__call__, input_signature)
    archive.add_endpoint(RECORDS, of_records, [tf.TensorSpec([None], tf.string, name=RECORDS)])
    archive.write_out(folder, verbose=False)


def main_signature(inputs: dict[str, Any]) -> str:
    """The name of the signature that takes these inputs."""
    return "features" if "features" in inputs else "frames"


def load_saved_model(folder: str | os.PathLike) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """A function from inputs, by name, to predictions. If `records` are the input, it uses that signature."""
    loaded = tf.saved_model.load(folder)

    def predict(inputs):
        name = RECORDS if RECORDS in inputs else main_signature(inputs)
        tensors = {key: tf.constant(values) for key, values in inputs.items()}
        return loaded.signatures[name](**tensors)["predictions"].numpy()

    return predict
