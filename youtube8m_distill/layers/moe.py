"""Mixture-of-experts classifier (the starter code's `MoeModel`)."""

import functools
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.layers.base import Layer
from youtube8m_distill.layers.gating import ContextGating
from youtube8m_distill.layers.logistic import STARTER_L2, SlimL2


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class MixtureOfExperts(Layer):
    """For each class, M logistic experts mixed by a softmax gate that has one more entry, for a dummy expert of 0.

    `p_c = sum over m < M of softmax(x Wg)_cm * sigmoid(x We + b)_cm`, in float32 for any precision of the encoder. The
    gates have no bias; before training every p is M / (M + 1) / 2. `l2` regularizes Wg and We.

    Probability gating is context gating of the predictions (Miech et al. 2017, `--moe_prob_gating`): the output is
    `p * sigmoid(BN(p Wp))`, so that classes that occur together support each other; with `remove_diagonal` without the
    diagonal of Wp.

    Input: float [batch, size]. Output: dict with `predictions` float32 [batch, num_classes], 0 .. 1.
    """

    def __init__(
        self,
        num_classes: int,
        num_mixtures: int = 2,
        l2: float = STARTER_L2,
        probability_gating: bool = False,
        remove_diagonal: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_classes = num_classes
        self.num_mixtures = num_mixtures
        self.l2 = l2
        self.probability_gating = probability_gating
        self.remove_diagonal = remove_diagonal
        options = {"kernel_regularizer": SlimL2(l2), "dtype": "float32"}
        self.gates = keras.layers.Dense(num_classes * (num_mixtures + 1), use_bias=False, name="gates", **options)
        self.experts = keras.layers.Dense(num_classes * num_mixtures, name="experts", **options)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.encoding_size = input_shape[-1]
        if self.lender is None:
            self.gates.build(input_shape)
            self.experts.build(input_shape)
        else:
            self.gates, self.experts = self.lender("gates"), self.lender("experts")
        if self.probability_gating:
            options = {"remove_diagonal": self.remove_diagonal}
            self.gating = self.sublayer(ContextGating, "probability_gating", self.num_classes, **options)

    def call(self, encoding: KerasTensor, training: bool = False, update_statistics: bool = True) -> dict[str, KerasTensor]:
        gates = ops.reshape(self.gates(encoding), (-1, self.num_classes, self.num_mixtures + 1))  # class-major
        experts = ops.reshape(self.experts(encoding), (-1, self.num_classes, self.num_mixtures))
        predictions = _mixed(ops.unstack(gates, axis=-1), ops.unstack(ops.sigmoid(experts), axis=-1))
        if self.probability_gating:
            predictions = self.gating(predictions, training=training, update_statistics=update_statistics)
        return {"predictions": predictions}


def _mixed(gates, votes):
    """Votes weighted by the softmax of the gates, from lists of [batch, num_classes]; the last gate has no vote.

    A softmax and sums over an axis of three entries would take three times as long.
    """
    highest = functools.reduce(ops.maximum, gates)
    shares = [ops.exp(gate - highest) for gate in gates]
    weighted = [share * vote for share, vote in zip(shares, votes)]
    return functools.reduce(_add, weighted) / functools.reduce(_add, shares)


def _add(a, b):
    """The sum of two non-negative tensors.

    The maximum keeps TensorFlow from fusing several sums into one operation, which adds them in an order that varies
    between calls: the last bits of predictions would differ.
    """
    return ops.maximum(a + b, 0.0)
