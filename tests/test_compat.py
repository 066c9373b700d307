"""The private parts of TensorFlow and Keras that the package uses still do what it needs."""

import tensorflow as tf
from tensorflow.python.framework import ops as framework_ops

from youtube8m_distill import compat


def test_custom_gradients_are_forgotten():
    @tf.custom_gradient
    def square(x):
        return x * x, lambda upstream: 2 * x * upstream

    before = set(framework_ops.gradient_registry._registry)
    with compat.forgetting_custom_gradients():
        tf.function(square)(tf.constant(3.0))
        assert set(framework_ops.gradient_registry._registry) > before
    assert set(framework_ops.gradient_registry._registry) == before
