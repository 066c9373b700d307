"""The only place that uses private parts of TensorFlow and Keras, each with its reason."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf
from tensorflow.python.framework import ops as framework_ops


@contextlib.contextmanager
def forgetting_custom_gradients() -> Iterator[None]:
    """Removes the gradient functions that were registered inside the block from TensorFlow's global registry.

    They are looked up only while a step is traced, but the registry keeps them forever, and with each one the step's graph
    and variables. A process that trains many networks would run out of memory.
    """
    registered = framework_ops.gradient_registry._registry
    before = set(registered)
    try:
        yield
    finally:
        for name in registered.keys() - before:
            del registered[name]


def updating_on_devices_of_variables(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The same optimizer, which updates each variable on the variable's device. For one replica.

    Keras sends all gradients through the all-reduce of the current strategy, which gathers them on its device, and updates
    all variables there. No public method of the optimizer comes after the one and before the other.
    """

    def update(gradients, variables, learning_rate):
        for gradient, variable in zip(gradients, variables, strict=True):
            with tf.device(variable.value.device):
                optimizer.update_step(gradient, variable, learning_rate)

    optimizer._backend_update_step = update
    return optimizer
