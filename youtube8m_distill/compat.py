"""The only place that uses private parts of TensorFlow and Keras, each with its reason."""

import contextlib
from collections.abc import Callable, Iterator

import keras
from tensorflow.python.framework import ops as framework_ops


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The model and every layer in it, at any depth.

    Keras has a public list of a model's layers, but none of the layers inside a layer that is not a model.
    """
    return list(model._flatten_layers())


def shift_dropout_seeds(dropout: keras.layers.Dropout, shift: Callable) -> None:
    """Adds `shift()`, int64 [2], to every seed that a dropout layer draws; the generator's state stays as it is.

    Under tf.distribute, the generators of all replicas have the same state, so all replicas drop the same units. A Dropout
    layer creates its generator itself and has no argument to replace it. A second call replaces the first one's shift.
    """
    generator = dropout.seed_generator
    generator.next = lambda ordered=True: type(generator).next(generator, ordered) + shift()


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
