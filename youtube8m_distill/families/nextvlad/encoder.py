"""NeXtVLAD: NetVLAD over groups of a widened frame, each group with its own attention (Lin, Xiao, Fan 2018)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.families.base import Encoder, pool_features
from youtube8m_distill.layers.base import Layer, matrix_size
from youtube8m_distill.layers.batch_normalization import BatchNormalization
from youtube8m_distill.layers.initializers import variance_scaling
from youtube8m_distill.layers.masking import frame_mask
from youtube8m_distill.layers.preprocessing import l2_normalize


def _dense(layer, name, input_size, units, use_bias=False):
    options = {"units": units, "use_bias": use_bias, "kernel_initializer": variance_scaling(input_size)}
    return layer.sublayer(keras.layers.Dense, name, input_size, **options)


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class NeXtVLADPooling(Layer):
    """Aggregates groups of one feature's frames around learned centers (arXiv 1811.05014, section 3.2).

    A frame of N numbers is widened to `expansion * N` and cut into G groups of d numbers. Group g of frame t belongs to
    cluster k with weight `attention_tg * softmax_k(assignment_tg)`. The descriptor of cluster k is the weighted sum of
    `x_tg - center_k`, scaled to length 1. Padding has attention 0 and is left out of the batch statistics.

    Input: frames float [batch, T, N] and num_frames int [batch].
    Output: float [batch, d * K] in the layer's compute dtype; number `i * K + k` belongs to cluster k.
    """

    def __init__(self, num_clusters: int, groups: int, expansion: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_clusters = num_clusters
        self.groups = groups
        self.expansion = expansion

    def build(self, input_shape: tuple[Any, ...]) -> None:
        size, num_scores = input_shape[-1], self.groups * self.num_clusters
        self.wide_size = self.expansion * size
        self.group_size = self.wide_size // self.groups
        self.output_size = self.group_size * self.num_clusters
        self.assignment_normalization = self.sublayer(BatchNormalization, "assignment_normalization", num_scores)
        self.descriptor_normalization = self.sublayer(BatchNormalization, "descriptor_normalization", self.output_size)
        self.expand = _dense(self, "expand", size, self.wide_size, use_bias=True)
        self.attend = _dense(self, "attend", self.wide_size, self.groups, use_bias=True)
        self.assign = _dense(self, "assign", self.wide_size, num_scores)
        # float32, like the sums that they are subtracted from.
        shape = 1, self.group_size, self.num_clusters
        self.centers = self.add_weight(shape, variance_scaling(self.group_size), autocast=False, name="centers")

    def call(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        max_frames = ops.shape(frames)[1]
        num_groups = max_frames * self.groups
        mask = frame_mask(num_frames, max_frames)  # [B, T]
        x = self.expand(frames)  # [B, T, G * d]
        attention = ops.sigmoid(ops.cast(self.attend(x), "float32"))  # [B, T, G]
        attention = ops.reshape(ops.where(mask[:, :, None], attention, 0.0), (-1, num_groups, 1))
        # The mask only matters for the batch statistics; the attention of padding is zero.
        mask = mask if training else None
        scores = self.assignment_normalization(self.assign(x), mask=mask, training=training)  # [B, T, G * K]
        scores = ops.cast(ops.reshape(scores, (-1, num_groups, self.num_clusters)), "float32")
        weights = ops.cast(ops.softmax(scores, axis=-1) * attention, self.compute_dtype)  # [B, T * G, K]
        x = ops.reshape(x, (-1, num_groups, self.group_size))
        # Sum the weights in the precision of the product below, so that the centers cancel.
        total = ops.sum(ops.cast(weights, "float32"), axis=1, keepdims=True)  # [B, 1, K]
        sums = ops.cast(ops.einsum("bnd,bnk->bdk", x, weights), "float32")
        descriptors = l2_normalize(sums - total * self.centers, axis=1)  # [B, d, K]
        return self.descriptor_normalization(ops.reshape(descriptors, (-1, self.output_size)), training=training)

    def multiply_adds(self, num_rows: int = 1) -> int:
        """Multiply-adds of `num_rows` frames: widening, attention, assignment, and the sums of the groups."""
        # `centers` have three dimensions, so they are not among the matrices.
        return num_rows * (matrix_size(self) + self.wide_size * self.num_clusters)


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class NeXtVLAD(Encoder):
    """A NeXtVLADPooling for each feature, a linear layer, and a squeeze-and-excitation gate.

    Features after the first have half as many clusters and groups. `pool` returns the descriptors, 36,864 numbers at the
    published size. `project` is `y = BN(descriptors H)`, then `y * sigmoid(relu(BN(y W1)) W2)`, with a gate that is
    `gating_reduction` times narrower than y.

    The defaults are the paper's best single model, which reads frames from ReverseWhitening.
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
        self.hidden_size = self.encoding_size = hidden_size
        self.groups = groups
        self.expansion = expansion
        self.gating_reduction = gating_reduction
        if hidden_size % gating_reduction:
            raise ValueError(f"gating_reduction={gating_reduction} must divide hidden_size={hidden_size}.")
        self.poolings = []
        for index, size in enumerate(self.feature_sizes, start=1):
            k, g = (num_clusters, groups) if index == 1 else (num_clusters // 2, groups // 2)
            if not k or not g or expansion * size % g:
                raise ValueError(
                    f"num_clusters={num_clusters}, groups={groups}, expansion={expansion}: feature {index} of "
                    f"feature_sizes={self.feature_sizes} gets {k} clusters and {g} groups of its {expansion * size} "
                    "numbers; give at least 1 of both, and groups that divide the numbers."
                )
            self.poolings.append(NeXtVLADPooling(k, g, expansion, dtype=self.dtype_policy, name=f"pooling_{index}"))

    def build(self, input_shape: tuple[Any, ...]) -> None:
        narrow_size = self.hidden_size // self.gating_reduction
        self.hidden_normalization = self.sublayer(BatchNormalization, "hidden_normalization", self.hidden_size)
        self.gate_normalization = self.sublayer(BatchNormalization, "gate_normalization", narrow_size)
        for pooling, size in zip(self.poolings, self.feature_sizes):
            pooling.build((None, None, size))
        self.hidden = _dense(self, "hidden", sum(pooling.output_size for pooling in self.poolings), self.hidden_size)
        self.squeeze = _dense(self, "squeeze", self.hidden_size, narrow_size)
        self.excite = _dense(self, "excite", narrow_size, self.hidden_size)

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        # Attention 0 times NaN or infinity would be NaN.
        frames = ops.where(frame_mask(num_frames, ops.shape(frames)[1])[:, :, None], frames, ops.zeros_like(frames))
        return pool_features(self.poolings, self.feature_sizes, frames, num_frames, training)

    def project(self, pooled: KerasTensor, training: bool = False, update_statistics: bool = True) -> KerasTensor:
        options = {"training": training, "update_statistics": update_statistics}
        hidden = self.hidden_normalization(self.hidden(pooled), **options)  # [B, H]
        gates = ops.relu(self.gate_normalization(self.squeeze(hidden), **options))  # [B, H / r]
        return hidden * ops.sigmoid(self.excite(gates))

    def multiply_adds(self, num_frames: int) -> int:
        poolings = sum(pooling.multiply_adds(num_frames) for pooling in self.poolings)
        return poolings + sum(map(matrix_size, (self.hidden, self.squeeze, self.excite)))
