"""NetVLAD: sums of the frames' differences from learned centers (Miech et al. 2017, arXiv 1706.06905)."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.families.base import Encoder
from youtube8m_distill.layers.batch_normalization import BatchNormalization
from youtube8m_distill.layers.gating import ContextGating
from youtube8m_distill.layers.masking import frame_mask

# As in TensorFlow's l2_normalize. A cluster without frames stays zero, and gradients stay finite.
SMALLEST_SQUARE = 1e-12


def _normal(stddev):
    # A new object for each weight: an initializer that is used twice gives the same numbers twice.
    return keras.initializers.RandomNormal(stddev=stddev)


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class NetVLADPooling(keras.layers.Layer):
    """One feature's frames to one vector: for each cluster, the sum of its frames' differences from the center.

    `a_t = softmax(BN(x_t Wc))` over the clusters and `V = sum over t of x_t a_t^T - c * sum over t of a_t`, [D, K]. Each
    cluster's column is scaled to length 1, the matrix is flattened D-major, and the whole vector is scaled to length 1. The
    centers c are independent of Wc, as published.

    Args:
        num_clusters: K.
        batch_norm: whether assignments are batch-normalized, as published; otherwise they have a bias.
        subtract_centers: False is the paper's LightVLAD, which sums the frames themselves.

    Call arguments:
        frames: float [batch, T, D].
        num_frames: int [batch]. Number of real frames; they come first.
        training: bool.

    Output: float [batch, D * K]; zeros for a video without frames.
    """

    def __init__(self, num_clusters: int, batch_norm: bool = True, subtract_centers: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_clusters = num_clusters
        self.batch_norm = batch_norm
        self.subtract_centers = subtract_centers

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.size = input_shape[-1]
        stddev = 1.0 / math.sqrt(self.size)
        self.assign = keras.layers.Dense(
            self.num_clusters,
            use_bias=not self.batch_norm,
            kernel_initializer=_normal(stddev),
            bias_initializer=_normal(stddev),
            dtype=self.dtype_policy,
            name="assign",
        )
        self.assign.build(input_shape)
        if self.batch_norm:
            # Its output goes into the softmax, in float32.
            self.normalization = BatchNormalization(dtype="float32", name="normalization")
            self.normalization.build((*input_shape[:-1], self.num_clusters))
        if self.subtract_centers:
            self.centers = self.add_weight(
                name="centers", shape=(self.size, self.num_clusters), autocast=False, initializer=_normal(stddev)
            )

    def call(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        mask = frame_mask(num_frames, ops.shape(frames)[1])
        assignment = self._assignment(frames, mask, training)  # [B, T, K]
        vlad = ops.cast(ops.einsum("btd,btk->bdk", frames, assignment), "float32")
        if self.subtract_centers:
            # Sum the shares in the precision of the product above.
            total = ops.sum(ops.cast(assignment, "float32"), axis=1)[:, None, :]  # [B, 1, K]
            vlad = vlad - total * self.centers
        vlad = ops.cast(vlad * _normalizing_factors(vlad), self.compute_dtype)
        return ops.reshape(vlad, (-1, self.output_size))

    def _assignment(self, frames, mask, training):
        """Shares of the clusters in each frame, zero in padding. [batch, T, K] in the compute dtype."""
        logits = self.assign(frames)
        if self.batch_norm:
            # The mask only matters for the batch statistics; the shares of padding are zeroed below.
            logits = self.normalization(logits, mask=mask if training else None, training=training)
        shares = ops.softmax(ops.cast(logits, "float32"), axis=-1)
        return ops.cast(ops.where(mask[:, :, None], shares, 0.0), frames.dtype)

    @property
    def output_size(self) -> int:
        return self.size * self.num_clusters

    def multiply_adds(self, num_frames: int) -> int:
        """Multiply-adds of one video of `num_frames` frames, matrix products only: assignments, and their sums."""
        return 2 * num_frames * self.size * self.num_clusters

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_clusters": self.num_clusters,
            "batch_norm": self.batch_norm,
            "subtract_centers": self.subtract_centers,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        return cls(**_in_american(config))


def _normalizing_factors(vlad):
    """Factors that normalize each cluster's column, then the whole. float32 [B, 1, K] from [B, D, K].

    The length of the whole follows from the lengths of the columns, without a second pass over the matrix.
    """
    squares = ops.sum(ops.square(vlad), axis=1, keepdims=True)
    within = ops.rsqrt(ops.maximum(squares, SMALLEST_SQUARE))
    total = ops.sum(squares * ops.square(within), axis=2, keepdims=True)
    return within * ops.rsqrt(ops.maximum(total, SMALLEST_SQUARE))


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class NetVLAD(Encoder):
    """One NetVLADPooling for each feature, a linear layer, and context gating (the paper's best single model).

    Batch statistics are over real frames only. The release has no padding: it draws a fixed number of frames from each
    video, with replacement.

    Args:
        feature_sizes: size of each feature, in order: rgb, audio.
        num_clusters: of the first feature; every other one has half as many.
        hidden_size: size of the encoding.
        relu: whether relu6 follows the linear layer; with `batch_norm`, batch normalization replaces its bias.
        batch_norm: whether frames, assignments, gates and the input of relu6 are batch-normalized; otherwise biases.
        gating: whether the encoding has context gating.
        gating_remove_diagonal: whether the diagonal of the gating matrix is left out.
        subtract_centers: False is LightVLAD.
    Raises:
        ValueError: if a feature would have no clusters.
    """

    def __init__(
        self,
        feature_sizes: Sequence[int],
        num_clusters: int = 256,
        hidden_size: int = 1024,
        relu: bool = False,
        batch_norm: bool = True,
        gating: bool = True,
        gating_remove_diagonal: bool = False,
        subtract_centers: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.feature_sizes = tuple(feature_sizes)
        self.num_clusters = num_clusters
        self.encoding_size = hidden_size
        self.relu = relu
        self.batch_norm = batch_norm
        self.gating_remove_diagonal = gating_remove_diagonal
        self.subtract_centers = subtract_centers
        clusters = [num_clusters] + [num_clusters // 2] * (len(self.feature_sizes) - 1)
        if min(clusters) < 1:
            raise ValueError(
                f"num_clusters={num_clusters} leaves a feature without clusters; choose {min(2, len(clusters))} or more."
            )
        self.poolings = [
            NetVLADPooling(count, batch_norm, subtract_centers, dtype=self.dtype_policy, name=f"pooling_{i}")
            for i, count in enumerate(clusters)
        ]
        normalizes = batch_norm and relu
        self.hidden = keras.layers.Dense(
            hidden_size,
            use_bias=not normalizes,
            kernel_initializer=_normal(1.0 / math.sqrt(num_clusters)),
            bias_initializer=_normal(0.01),
            dtype=self.dtype_policy,
            name="hidden",
        )
        self.frame_normalization = self._normalization("frame_normalization") if batch_norm else None
        self.hidden_normalization = self._normalization("hidden_normalization") if normalizes else None
        self.gating = (
            None if not gating else ContextGating(batch_norm, gating_remove_diagonal, dtype=self.dtype_policy, name="gating")
        )

    def _normalization(self, name):
        return BatchNormalization(dtype=self.dtype_policy, name=name)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        if self.frame_normalization is not None:
            self.frame_normalization.build(input_shape)
        for size, pooling in zip(self.feature_sizes, self.poolings):
            pooling.build((*input_shape[:-1], size))
        self.vlad_size = sum(pooling.output_size for pooling in self.poolings)
        self.hidden.build((None, self.vlad_size))
        for layer in (self.hidden_normalization, self.gating):
            if layer is not None:
                layer.build((None, self.encoding_size))

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        """The whole encoding. Dropout, which the paper does not use, would come right before the classifier."""
        if self.frame_normalization is not None:
            mask = frame_mask(num_frames, ops.shape(frames)[1])
            frames = self.frame_normalization(frames, mask=mask, training=training)
        vlad = ops.concatenate(self._pool_features(frames, num_frames, training), axis=-1)
        hidden = self.hidden(vlad)  # [B, H]
        if self.hidden_normalization is not None:
            hidden = self.hidden_normalization(hidden, training=training)
        if self.relu:
            hidden = ops.relu6(hidden)
        return hidden if self.gating is None else self.gating(hidden, training=training)

    def _pool_features(self, frames, num_frames, training):
        """Each feature's part of a frame, pooled. List of float [batch, D * K]."""
        pooled, start = [], 0
        for size, pooling in zip(self.feature_sizes, self.poolings):
            pooled.append(pooling(frames[:, :, start : start + size], num_frames, training=training))
            start += size
        return pooled

    def multiply_adds(self, num_frames: int) -> int:
        """Multiply-adds of one video of `num_frames` frames, matrix products only."""
        poolings = sum(pooling.multiply_adds(num_frames) for pooling in self.poolings)
        gating = 0 if self.gating is None else self.gating.multiply_adds()
        return poolings + self.vlad_size * self.encoding_size + gating

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "feature_sizes": self.feature_sizes,
            "num_clusters": self.num_clusters,
            "hidden_size": self.encoding_size,
            "relu": self.relu,
            "batch_norm": self.batch_norm,
            "gating": self.gating is not None,
            "gating_remove_diagonal": self.gating_remove_diagonal,
            "subtract_centers": self.subtract_centers,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        return cls(**_in_american(config))


def _in_american(config: dict) -> dict:
    """The configuration with current names: version 0.1 saved `subtract_centres`."""
    return {{"subtract_centres": "subtract_centers"}.get(name, name): value for name, value in config.items()}
