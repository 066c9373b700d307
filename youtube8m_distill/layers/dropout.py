"""Dropout whose masks differ between replicas, while the state of the random generator is the same on all of them."""

from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.layers import replicas

REPLICA_STRIDE = 1_000_003  # a large prime: no small sum of layer seeds and steps equals a multiple of it


class SeedGenerator(keras.random.SeedGenerator):
    """A seed generator that adds the index of the replica to what it draws. Replica 0 draws Keras' own seeds."""

    def next(self, ordered: bool = True) -> KerasTensor:
        seed = super().next(ordered)
        if replicas.num_replicas() == 1:
            return seed
        return seed + ops.stack([replicas.replica_index() * REPLICA_STRIDE, 0])


class Dropout(keras.layers.Layer):
    """`keras.layers.Dropout` with a SeedGenerator of this module. `rate` is from 0 to below 1."""

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        if rate:
            self.seed_generator = SeedGenerator()

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        return keras.random.dropout(x, self.rate, seed=self.seed_generator) if training and self.rate else x
