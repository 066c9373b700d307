"""The private parts of TensorFlow and Keras that the package uses still do what it needs."""

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import ops as framework_ops

from tests import networks
from youtube8m_distill import compat


def test_all_layers_include_layers_inside_layers():
    model = networks.build(networks.frame_level("NeXtVLADModel", dropout=0.5))
    found = compat.all_layers(model)
    assert model in found and model.encoder in found and any(isinstance(layer, keras.layers.Dropout) for layer in found)
    assert not {id(weight) for weight in model.weights} - {id(weight) for layer in found[1:] for weight in layer.weights}


def test_shifted_seeds_change_the_mask_but_not_the_state():
    masks, states = [], []
    for shifts in ([], [0], [5], [9, 5]):
        dropout = keras.layers.Dropout(0.5, seed=3)
        for shift in shifts:  # a second shift replaces the first
            compat.shift_dropout_seeds(dropout, lambda shift=shift: tf.constant([shift, 0], tf.int64))
        masks.append(dropout(np.ones([1, 64], np.float32), training=True).numpy())
        states.append(np.array(dropout.seed_generator.state))
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[2], masks[3])
    assert (masks[0] != masks[2]).any()
    assert all((state == states[0]).all() for state in states)


def test_custom_gradients_are_forgotten():
    @tf.custom_gradient
    def square(x):
        return x * x, lambda upstream: 2 * x * upstream

    before = set(framework_ops.gradient_registry._registry)
    with compat.forgetting_custom_gradients():
        tf.function(square)(tf.constant(3.0))
        assert set(framework_ops.gradient_registry._registry) > before
    assert set(framework_ops.gradient_registry._registry) == before
