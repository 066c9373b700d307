"""The devices of variables, as layers and training steps see them."""

import contextlib
from contextlib import AbstractContextManager

import keras
from keras import KerasTensor


def beside(variable: keras.Variable | KerasTensor) -> AbstractContextManager:
    """A context whose operations run on the device that holds a variable, so that they do not copy it to another one.

    For a tensor it changes nothing.
    """
    if keras.backend.backend() != "tensorflow" or not isinstance(variable, keras.Variable):
        return contextlib.nullcontext()
    return keras.device(variable.value.device)
