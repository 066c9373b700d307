"""The only place that uses private parts of TensorFlow and Keras, each with its reason."""

import contextlib
from collections.abc import Iterator

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
