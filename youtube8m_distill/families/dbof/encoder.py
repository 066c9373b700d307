"""Deep bag of frames (Abu-El-Haija et al. 2016, "YouTube-8M"; the starter code's `DbofModel`)."""

import math
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.families.base import Encoder
from youtube8m_distill.layers import masking
from youtube8m_distill.layers.batch_normalization import BatchNormalization
from youtube8m_distill.layers.pooling import max_of_real_frames, mean_of_real_frames

ACTIVATIONS = {"sigmoid": ops.sigmoid, "relu6": ops.relu6}
POOLINGS = {"max": max_of_real_frames, "average": mean_of_real_frames}


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class DeepBagOfFrames(Encoder):
    """Frames vote for clusters, votes are pooled over the frames, and a dense layer encodes the pooled votes.

    `act(BN(pool over t of act(BN(BN(x_t) Wc)) Wh))`. Without batch normalization, Wc and Wh have biases and the frames are
    not normalized. Statistics are over real frames, those of the last normalization over videos. The published code draws
    30 frames with replacement, also in evaluation; this layer reads all frames of its input.

    Memory: with 300 frames, the votes of 1024 videos take 10 GB in float32, several times that in training.

    Args:
        num_clusters: number of clusters.
        hidden_size: size of the encoding.
        pooling: "max" or "average".
        activation: "sigmoid" or "relu6", of the votes and of the encoding. The default is that of the starter code, which
            had relu6 before August 2019.
        batch_norm: whether to use batch normalization.
    Raises:
        ValueError: if `pooling` or `activation` is unknown.
    """

    def __init__(
        self,
        num_clusters: int = 8192,
        hidden_size: int = 1024,
        pooling: str = "max",
        activation: str = "sigmoid",
        batch_norm: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if pooling not in POOLINGS:
            raise ValueError(f"pooling={pooling!r} is unknown; choose one of {', '.join(sorted(POOLINGS))}.")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation!r} is unknown; choose one of {', '.join(sorted(ACTIVATIONS))}.")
        self.num_clusters = num_clusters
        self.hidden_size = hidden_size
        self.pooling = pooling
        self.activation = activation
        self.batch_norm = batch_norm

    @property
    def encoding_size(self) -> int:
        return self.hidden_size

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.frame_size = input_shape[-1]
        self.clusters = self._dense("clusters", self.frame_size, self.num_clusters, 1.0 / math.sqrt(self.frame_size))
        self.hidden = self._dense("hidden", self.num_clusters, self.hidden_size, 0.01)
        if self.batch_norm:
            self.input_normalization = self._normalization("input_normalization", self.frame_size)
            self.cluster_normalization = self._normalization("cluster_normalization", self.num_clusters)
            self.hidden_normalization = self._normalization("hidden_normalization", self.hidden_size)

    def _dense(self, name, input_size, units, bias_stddev):
        layer = keras.layers.Dense(
            units,
            use_bias=not self.batch_norm,
            kernel_initializer=keras.initializers.RandomNormal(stddev=1.0 / math.sqrt(input_size)),
            bias_initializer=keras.initializers.RandomNormal(stddev=bias_stddev),
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, input_size))
        return layer

    def _normalization(self, name, size):
        layer = BatchNormalization(dtype=self.dtype_policy, name=name)
        layer.build((None, size))
        return layer

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        """The encoding. The pooled votes of a video without frames are 0."""
        votes = self._votes(frames, num_frames, training)  # [B, T, clusters]
        pooled = ops.cast(POOLINGS[self.pooling](votes, num_frames), self.compute_dtype)
        hidden = self.hidden(pooled)  # [B, hidden]
        if self.batch_norm:
            hidden = self.hidden_normalization(hidden, training=training)
        return ACTIVATIONS[self.activation](hidden)

    def _votes(self, frames, num_frames, training):
        if not self.batch_norm:
            return ACTIVATIONS[self.activation](self.clusters(frames))
        real = masking.frame_mask(num_frames, ops.shape(frames)[1])
        frames = self.input_normalization(frames, mask=real, training=training)
        votes = self.cluster_normalization(self.clusters(frames), mask=real, training=training)
        return ACTIVATIONS[self.activation](votes)

    def multiply_adds(self, num_frames: int) -> int:
        """Multiply-adds of one video of `num_frames` frames, matrix products only."""
        return num_frames * self.frame_size * self.num_clusters + self.num_clusters * self.hidden_size

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_clusters": self.num_clusters,
            "hidden_size": self.hidden_size,
            "pooling": self.pooling,
            "activation": self.activation,
            "batch_norm": self.batch_norm,
        }
