"""Initial weights. Every call returns a new object: an initializer that is used twice gives the same numbers twice."""

import math

import keras


def normal(fan_in: int) -> keras.initializers.Initializer:
    """A normal distribution of variance 1 / fan_in, with `fan_in` inputs of one output."""
    return keras.initializers.RandomNormal(stddev=1.0 / math.sqrt(fan_in))


def variance_scaling(fan_in: int) -> keras.initializers.Initializer:
    """slim's `variance_scaling_initializer()`: a normal distribution cut at two deviations."""
    return keras.initializers.TruncatedNormal(stddev=math.sqrt(1.3 * 2 / fan_in))  # 1.3 makes up for the cut
