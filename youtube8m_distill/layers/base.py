"""What the layers of this package have in common."""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import keras


class Layer(keras.layers.Layer):
    """A layer whose configuration follows from its constructor: every argument is an attribute of the same name."""

    lender: Callable[[str], Any] | None = None  # while the layer is built by `sharing_weights`: name -> the other's part

    def get_config(self) -> dict[str, Any]:
        arguments = inspect.getfullargspec(type(self).__init__).args[1:]
        return {**super().get_config(), **{name: getattr(self, name) for name in arguments}}

    def multiply_adds(self, num_rows: int = 1) -> int:
        """Multiply-adds of `num_rows` rows, each multiplied by every matrix of the layer once."""
        return num_rows * matrix_size(self)

    def sublayer(self, kind: type[keras.layers.Layer], name: str, input_size: int, **options: Any) -> Any:
        """A new sublayer with its weights, by default in this layer's precision."""
        if self.lender is not None:
            return sharing_weights(self.lender(name))
        part = kind(name=name, **{"dtype": self.dtype_policy, **options})
        part.build((None, input_size))
        return part

    def add_weight(self, *arguments: Any, name: str | None = None, trainable: bool = True, **options: Any) -> Any:
        """As in Keras. Trainable weights come from the layer to share with, if there is one."""
        if self.lender is not None and trainable and name is not None:
            return self.lender(name)
        return super().add_weight(*arguments, name=name, trainable=trainable, **options)


def sharing_weights(layer: Any) -> Any:
    """A layer with the trainable weights of a built layer and state of its own: the layer itself if it has no other state.

    So two networks can train one layer on inputs from different populations, and each keeps its moving statistics.
    """
    if not layer.non_trainable_weights:
        return layer
    twin = type(layer).from_config(layer.get_config())
    twin.lender = functools.partial(_part, layer)
    twin.build_from_config(layer.get_build_config())
    twin.lender = None
    return twin


def _part(layer, name):
    """The weight or sublayer with this name."""
    kinds = keras.layers.Layer, keras.Variable
    return next(part for part in vars(layer).values() if isinstance(part, kinds) and part.name == name)


def matrix_size(layer: keras.layers.Layer) -> int:
    """How many numbers the matrices of a layer hold."""
    return sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) == 2)
