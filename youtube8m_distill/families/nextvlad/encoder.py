"""NeXtVLAD: NetVLAD over groups of a widened frame, each group with its own attention (Lin, Xiao, Fan 2018)."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.families.base import Encoder
from youtube8m_distill.layers.batch_normalization import BatchNormalization
from youtube8m_distill.layers.initializers import variance_scaling
from youtube8m_distill.layers.masking import frame_mask
from youtube8m_distill.layers.preprocessing import l2_normalize


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class NeXtVLADPooling(keras.layers.Layer):
    """Aggregates groups of one feature's frames around learned centers (arXiv 1811.05014, section 3.2).

    A frame of N numbers is widened to `expansion * N` and cut into G groups of d numbers. Group g of frame t belongs to
    cluster k with weight `attention_tg * softmax_k(assignment_tg)`. The descriptor of cluster k is the weighted sum of
    `x_tg - center_k`, scaled to length 1. Padding has attention 0 and is left out of the batch statistics.

    Args:
        num_clusters: K.
        groups: G; it divides `expansion * N`.
        expansion: factor by which frames are widened, lambda in the paper.

    Call arguments:
        frames: float [batch, T, N].
        num_frames: int [batch].

    Output: float [batch, d * K] in the layer's compute dtype; number `i * K + k` belongs to cluster k.
    """

    def __init__(self, num_clusters: int, groups: int, expansion: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_clusters = num_clusters
        self.groups = groups
        self.expansion = expansion
        self.assignment_normalization = self._normalization("assignment_normalization")
        self.descriptor_normalization = self._normalization("descriptor_normalization")

    def _normalization(self, name):
        return BatchNormalization(dtype=self.dtype_policy, name=name)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.frame_size = input_shape[-1]
        self.wide_size = self.expansion * self.frame_size
        self.group_size = self.wide_size // self.groups
        self.expand = self._dense(self.wide_size, self.frame_size, "expand")
        self.attend = self._dense(self.groups, self.wide_size, "attend")
        self.assign = self._dense(self.groups * self.num_clusters, self.wide_size, "assign", use_bias=False)
        self.assignment_normalization.build((None, None, self.groups * self.num_clusters))
        # float32, like the sums that they are subtracted from.
        self.centers = self.add_weight(
            name="centers",
            shape=(1, self.group_size, self.num_clusters),
            initializer=variance_scaling(self.group_size),
            autocast=False,
        )
        self.descriptor_normalization.build((None, self.output_size))

    def _dense(self, units, input_size, name, **kwargs):
        layer = keras.layers.Dense(
            units, kernel_initializer=variance_scaling(input_size), dtype=self.dtype_policy, name=name, **kwargs
        )
        layer.build((None, None, input_size))
        return layer

    @property
    def output_size(self) -> int:
        return self.group_size * self.num_clusters

    def call(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        max_frames = ops.shape(frames)[1]
        mask = frame_mask(num_frames, max_frames)  # [B, T]
        x = self.expand(frames)  # [B, T, G * d]
        weights = self._weights(x, mask, training)  # [B, T * G, K]
        x = ops.reshape(x, (-1, max_frames * self.groups, self.group_size))
        # Sum the weights in the precision of the product below, so that the centers cancel.
        total = ops.sum(ops.cast(weights, "float32"), axis=1, keepdims=True)  # [B, 1, K]
        sums = ops.cast(ops.einsum("bnd,bnk->bdk", x, weights), "float32")
        descriptors = l2_normalize(sums - total * self.centers, axis=1)  # [B, d, K]
        return self.descriptor_normalization(ops.reshape(descriptors, (-1, self.output_size)), training=training)

    def _weights(self, x, mask, training):
        """Weight of each cluster in each group: [batch, T * G, K], in the layer's compute dtype."""
        attention = ops.sigmoid(ops.cast(self.attend(x), "float32"))  # [B, T, G]
        attention = ops.where(mask[:, :, None], attention, 0.0)
        # The mask only matters for the batch statistics; the attention of padding is zero.
        scores = self.assignment_normalization(
            self.assign(x), mask=mask if training else None, training=training
        )  # [B, T, G * K]
        num_groups = ops.shape(x)[1] * self.groups
        scores = ops.cast(ops.reshape(scores, (-1, num_groups, self.num_clusters)), "float32")
        weights = ops.softmax(scores, axis=-1) * ops.reshape(attention, (-1, num_groups, 1))
        return ops.cast(weights, self.compute_dtype)

    def multiply_adds(self, num_frames: int) -> int:
        """Multiply-adds of one video of `num_frames` frames, matrix products only."""
        widening = self.frame_size * self.wide_size
        attention = self.wide_size * self.groups
        assignment = self.wide_size * self.groups * self.num_clusters
        aggregation = self.groups * self.group_size * self.num_clusters
        return num_frames * (widening + attention + assignment + aggregation)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_clusters": self.num_clusters,
            "groups": self.groups,
            "expansion": self.expansion,
        }


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class NeXtVLAD(Encoder):
    """A NeXtVLADPooling for each feature, a linear layer, and a squeeze-and-excitation gate.

    Features after the first have half as many clusters and groups. `pool` returns the descriptors, 36,864 numbers at the
    published size. `project` is `y = BN(descriptors H)`, then `y * sigmoid(relu(BN(y W1)) W2)`.

    The defaults are the paper's best single model, which reads frames from ReverseWhitening.

    Args:
        feature_sizes: size of each feature, in order.
        num_clusters: K of the first feature.
        hidden_size: size of the encoding.
        groups: G of the first feature.
        expansion: factor by which frames are widened.
        gating_reduction: factor by which the gate is narrower than the encoding.
    Raises:
        ValueError: if sizes do not divide.
    """

    def __init__(
        self,
        feature_sizes: Sequence[int],
        num_clusters: int = 128,
        hidden_size: int = 2048,
        groups: int = 8,
        expansion: int = 2,
        gating_reduction: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.feature_sizes = tuple(feature_sizes)
        self.num_clusters = num_clusters
        self.hidden_size = hidden_size
        self.groups = groups
        self.expansion = expansion
        self.gating_reduction = gating_reduction
        self.poolings = [self._pooling(index) for index in range(len(self.feature_sizes))]
        if hidden_size % gating_reduction:
            raise ValueError(
                f"hidden_size={hidden_size} is not a multiple of gating_reduction={gating_reduction}; change one of them."
            )
        self.hidden_normalization = BatchNormalization(dtype=self.dtype_policy, name="hidden_normalization")
        self.gate_normalization = BatchNormalization(dtype=self.dtype_policy, name="gate_normalization")

    def _pooling(self, index):
        share = 1 if index == 0 else 2
        num_clusters, groups = self.num_clusters // share, self.groups // share
        which = f"feature {index + 1} of feature_sizes={self.feature_sizes}"
        if not (num_clusters and groups):
            raise ValueError(
                f"num_clusters={self.num_clusters}, groups={self.groups}: {which} has half of each, which "
                "must be at least 1; give at least 2 of both."
            )
        wide_size = self.expansion * self.feature_sizes[index]
        if wide_size % groups:
            raise ValueError(
                f"expansion={self.expansion}, groups={self.groups}: {which} becomes {wide_size} wide, which "
                f"{groups} groups do not divide; change one of them."
            )
        return NeXtVLADPooling(num_clusters, groups, self.expansion, dtype=self.dtype_policy, name=f"pooling_{index + 1}")

    @property
    def encoding_size(self) -> int:
        return self.hidden_size

    def build(self, input_shape: tuple[Any, ...]) -> None:
        for pooling, size in zip(self.poolings, self.feature_sizes):
            pooling.build((None, None, size))
        self.pooled_size = sum(pooling.output_size for pooling in self.poolings)
        self.hidden = self._dense(self.hidden_size, self.pooled_size, "hidden")
        self.hidden_normalization.build((None, self.hidden_size))
        narrow_size = self.hidden_size // self.gating_reduction
        self.squeeze = self._dense(narrow_size, self.hidden_size, "squeeze")
        self.gate_normalization.build((None, narrow_size))
        self.excite = self._dense(self.hidden_size, narrow_size, "excite")

    def _dense(self, units, input_size, name):
        layer = keras.layers.Dense(
            units, use_bias=False, kernel_initializer=variance_scaling(input_size), dtype=self.dtype_policy, name=name
        )
        layer.build((None, input_size))
        return layer

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        """Descriptors of all features. Arguments as for `call`. float [batch, pooled size]."""
        # Attention 0 times NaN or infinity would be NaN.
        frames = ops.where(frame_mask(num_frames, ops.shape(frames)[1])[:, :, None], frames, ops.zeros_like(frames))
        ends = itertools.accumulate(self.feature_sizes)
        return ops.concatenate(
            [
                pooling(frames[:, :, end - size : end], num_frames, training=training)
                for pooling, size, end in zip(self.poolings, self.feature_sizes, ends)
            ],
            axis=-1,
        )

    def project(self, pooled: KerasTensor, training: bool = False, update_statistics: bool = True) -> KerasTensor:
        options = {"training": training, "update_statistics": update_statistics}
        hidden = self.hidden_normalization(self.hidden(pooled), **options)  # [B, H]
        gates = ops.relu(self.gate_normalization(self.squeeze(hidden), **options))  # [B, H / r]
        return hidden * ops.sigmoid(self.excite(gates))

    def multiply_adds(self, num_frames: int) -> int:
        """Multiply-adds of one video of `num_frames` frames, matrix products only."""
        gate = 2 * self.hidden_size * (self.hidden_size // self.gating_reduction)
        frames = sum(pooling.multiply_adds(num_frames) for pooling in self.poolings)
        return frames + self.pooled_size * self.hidden_size + gate

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "feature_sizes": self.feature_sizes,
            "num_clusters": self.num_clusters,
            "hidden_size": self.hidden_size,
            "groups": self.groups,
            "expansion": self.expansion,
            "gating_reduction": self.gating_reduction,
        }
