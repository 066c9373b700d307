"""Initial weights that differ from those of Keras' layers."""

import math

import keras


def variance_scaling(fan_in: int) -> keras.initializers.Initializer:
    """slim's `variance_scaling_initializer()`: a normal distribution cut at two deviations.

    A factor 1.3 on the variance makes up for the cut. Every call returns a new object: an initializer that is used twice
    gives the same numbers twice.

    Args:
        fan_in: number of inputs of one output.
    """
    return keras.initializers.TruncatedNormal(stddev=math.sqrt(1.3 * 2 / fan_in))
