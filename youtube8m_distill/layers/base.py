"""What the layers of this package have in common."""

import inspect
import math
from typing import Any

import keras


class Layer(keras.layers.Layer):
    """A layer whose configuration follows from its constructor: every argument is an attribute of the same name."""

    def get_config(self) -> dict[str, Any]:
        arguments = inspect.getfullargspec(type(self).__init__).args[1:]
        return {**super().get_config(), **{name: getattr(self, name) for name in arguments}}

    def multiply_adds(self, num_rows: int = 1) -> int:
        """Multiply-adds of `num_rows` rows, each multiplied by every matrix of the layer once."""
        return num_rows * matrix_size(self)

    def sublayer(self, kind: type[keras.layers.Layer], name: str, input_size: int, **options: Any) -> Any:
        """A new sublayer with its weights, by default in this layer's precision."""
        part = kind(name=name, **{"dtype": self.dtype_policy, **options})
        part.build((None, input_size))
        return part


def matrix_size(layer: keras.layers.Layer) -> int:
    """How many numbers the matrices of a layer hold."""
    return sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) == 2)
