"""NetVLAD: sums of the frames' differences from learned centers (Miech et al. 2017, arXiv 1706.06905)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.families.base import Encoder, pool_features
from youtube8m_distill.layers.base import Layer, matrix_size
from youtube8m_distill.layers.batch_normalization import BatchNormalization
from youtube8m_distill.layers.gating import ContextGating
from youtube8m_distill.layers.initializers import normal
from youtube8m_distill.layers.masking import frame_mask

SMALLEST_SQUARE = 1e-12  # as in TensorFlow's l2_normalize: a cluster without frames stays zero, with finite gradients


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class NetVLADPooling(Layer):
    """One feature's frames to one vector: for each cluster, the sum of its frames' differences from the center.

    `a_t = softmax(BN(x_t Wc))` over the clusters and `V = sum over t of x_t a_t^T - c * sum over t of a_t`, [D, K]. Each
    cluster's column is scaled to length 1, the matrix is flattened D-major, and the whole vector is scaled to length 1. The
    centers c are independent of Wc, as published. Without `batch_norm`, the assignments have a bias. Without
    `subtract_centers`, the frames themselves are summed (the paper's LightVLAD).

    Input: frames float [batch, T, D] and num_frames int [batch]. Output: float [batch, D * K]; zeros without frames.
    """

    def __init__(self, num_clusters: int, batch_norm: bool = True, subtract_centers: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_clusters = num_clusters
        self.batch_norm = batch_norm
        self.subtract_centers = subtract_centers

    def build(self, input_shape: tuple[Any, ...]) -> None:
        size = input_shape[-1]
        self.output_size = size * self.num_clusters
        options = {"use_bias": not self.batch_norm, "kernel_initializer": normal(size), "bias_initializer": normal(size)}
        self.assign = self.sublayer(keras.layers.Dense, "assign", size, units=self.num_clusters, **options)
        if self.batch_norm:
            # Its output goes into the softmax, in float32.
            self.normalization = self.sublayer(BatchNormalization, "normalization", self.num_clusters, dtype="float32")
        if self.subtract_centers:
            self.centers = self.add_weight((size, self.num_clusters), normal(size), autocast=False, name="centers")

    def call(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        mask = frame_mask(num_frames, ops.shape(frames)[1])
        scores = self.assign(frames)
        if self.batch_norm:
            # The mask only matters for the batch statistics; the shares of padding are zeroed below.
            scores = self.normalization(scores, mask=mask if training else None, training=training)
        shares = ops.softmax(ops.cast(scores, "float32"), axis=-1)
        shares = ops.cast(ops.where(mask[:, :, None], shares, 0.0), frames.dtype)  # [B, T, K]
        vlad = ops.cast(ops.einsum("btd,btk->bdk", frames, shares), "float32")  # [B, D, K]
        if self.subtract_centers:
            # Sum the shares in the precision of the product above.
            weights = ops.sum(ops.cast(shares, "float32"), axis=1)[:, None, :]  # [B, 1, K]
            vlad = vlad - weights * self.centers
        # The length of the whole follows from the lengths of the columns, without a second pass over the matrix.
        squares = ops.sum(ops.square(vlad), axis=1, keepdims=True)  # [B, 1, K]
        within = ops.rsqrt(ops.maximum(squares, SMALLEST_SQUARE))
        total = ops.sum(squares * ops.square(within), axis=2, keepdims=True)  # [B, 1, 1]
        factors = within * ops.rsqrt(ops.maximum(total, SMALLEST_SQUARE))
        return ops.reshape(ops.cast(vlad * factors, self.compute_dtype), (-1, self.output_size))

    def multiply_adds(self, num_rows: int = 1) -> int:
        """Multiply-adds of the assignments of `num_rows` frames, and of their sums, which cost as much."""
        return 2 * num_rows * matrix_size(self.assign)


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class NetVLAD(Encoder):
    """One NetVLADPooling for each feature, a linear layer, and context gating (the paper's best single model).

    Batch statistics are over real frames only. The release has no padding: it draws a fixed number of frames from each
    video, with replacement.

    Args:
        num_clusters: of the first feature; every other one has half as many.
        relu: whether relu6 follows the linear layer; with `batch_norm`, batch normalization replaces its bias.
        batch_norm: whether frames, assignments, gates and the input of relu6 are batch-normalized; otherwise biases.
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
        self.hidden_size = self.encoding_size = hidden_size
        self.relu = relu
        self.batch_norm = batch_norm
        self.gating_remove_diagonal = gating_remove_diagonal
        self.subtract_centers = subtract_centers
        clusters = [num_clusters] + [num_clusters // 2] * (len(self.feature_sizes) - 1)
        if min(clusters) < 1:
            raise ValueError(
                f"num_clusters={num_clusters} leaves a feature without clusters; choose {min(2, len(clusters))} or more."
            )
        policy = {"dtype": self.dtype_policy}
        self.poolings = [
            NetVLADPooling(count, batch_norm, subtract_centers, name=f"pooling_{i}", **policy)
            for i, count in enumerate(clusters)
        ]
        normalizes = batch_norm and relu
        self.hidden = keras.layers.Dense(
            hidden_size,
            use_bias=not normalizes,
            kernel_initializer=normal(num_clusters),
            bias_initializer=keras.initializers.RandomNormal(stddev=0.01),
            name="hidden",
            **policy,
        )
        self.frame_normalization = BatchNormalization(name="frame_normalization", **policy) if batch_norm else None
        self.hidden_normalization = BatchNormalization(name="hidden_normalization", **policy) if normalizes else None
        self.gating = ContextGating(batch_norm, gating_remove_diagonal, name="gating", **policy) if gating else None

    def build(self, input_shape: tuple[Any, ...]) -> None:
        if self.frame_normalization is not None:
            self.frame_normalization.build(input_shape)
        for size, pooling in zip(self.feature_sizes, self.poolings):
            pooling.build((None, None, size))
        self.hidden.build((None, sum(pooling.output_size for pooling in self.poolings)))
        for layer in (self.hidden_normalization, self.gating):
            if layer is not None:
                layer.build((None, self.hidden_size))

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        """The whole encoding. Dropout, which the paper does not use, would come right before the classifier."""
        if self.frame_normalization is not None:
            mask = frame_mask(num_frames, ops.shape(frames)[1])
            frames = self.frame_normalization(frames, mask=mask, training=training)
        hidden = self.hidden(pool_features(self.poolings, self.feature_sizes, frames, num_frames, training))  # [B, H]
        if self.hidden_normalization is not None:
            hidden = self.hidden_normalization(hidden, training=training)
        if self.relu:
            hidden = ops.relu6(hidden)
        return hidden if self.gating is None else self.gating(hidden, training=training)

    def multiply_adds(self, num_frames: int) -> int:
        poolings = sum(pooling.multiply_adds(num_frames) for pooling in self.poolings)
        return poolings + matrix_size(self.hidden) + (0 if self.gating is None else self.gating.multiply_adds())

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gating": self.gating is not None}

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        """The layer; version 0.1 saved `subtract_centres`."""
        return cls(**{name.replace("centres", "centers"): value for name, value in config.items()})
