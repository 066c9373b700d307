"""Deep bag of frames (Abu-El-Haija et al. 2016, "YouTube-8M"; the starter code's `DbofModel`)."""

import math
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.families.base import Encoder
from youtube8m_distill.layers import masking
from youtube8m_distill.layers.base import matrix_size
from youtube8m_distill.layers.batch_normalization import BatchNormalization
from youtube8m_distill.layers.initializers import normal

ACTIVATIONS = {"sigmoid": ops.sigmoid, "relu6": ops.relu6}
POOLINGS = {"max": masking.max_of_real_frames, "average": masking.mean_of_real_frames}


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class DeepBagOfFrames(Encoder):
    """Frames vote for clusters, votes are pooled over the frames, and a dense layer encodes the pooled votes.

    `act(BN(pool over t of act(BN(BN(x_t) Wc)) Wh))`. Without batch normalization, Wc and Wh have biases and the frames are
    not normalized. Statistics are over real frames, those of the last normalization over videos. The published code draws
    30 frames with replacement, also in evaluation; this layer reads all frames of its input.

    Memory: with 300 frames, the votes of 1024 videos take 10 GB in float32, several times that in training.

    `activation` applies to the votes and to the encoding; the starter code had relu6 before August 2019.
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
        for name, value, known in (("pooling", pooling, POOLINGS), ("activation", activation, ACTIVATIONS)):
            if value not in known:
                raise ValueError(f"{name}={value!r} is unknown; choose one of {', '.join(sorted(known))}.")
        self.num_clusters = num_clusters
        self.hidden_size = self.encoding_size = hidden_size
        self.pooling = pooling
        self.activation = activation
        self.batch_norm = batch_norm

    def build(self, input_shape: tuple[Any, ...]) -> None:
        size = input_shape[-1]
        self.clusters = self._dense("clusters", size, self.num_clusters, 1.0 / math.sqrt(size))
        self.hidden = self._dense("hidden", self.num_clusters, self.hidden_size, 0.01)
        if self.batch_norm:
            self.input_normalization = self.sublayer(BatchNormalization, "input_normalization", size)
            self.cluster_normalization = self.sublayer(BatchNormalization, "cluster_normalization", self.num_clusters)
            self.hidden_normalization = self.sublayer(BatchNormalization, "hidden_normalization", self.hidden_size)

    def _dense(self, name, input_size, units, bias_stddev):
        kernel, bias = normal(input_size), keras.initializers.RandomNormal(stddev=bias_stddev)
        options = {"use_bias": not self.batch_norm, "kernel_initializer": kernel, "bias_initializer": bias}
        return self.sublayer(keras.layers.Dense, name, input_size, units=units, **options)

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        """The encoding. The pooled votes of a video without frames are 0."""
        activation = ACTIVATIONS[self.activation]
        real = masking.frame_mask(num_frames, ops.shape(frames)[1])
        if self.batch_norm:
            frames = self.input_normalization(frames, mask=real, training=training)
        votes = self.clusters(frames)  # [B, T, clusters]
        if self.batch_norm:
            votes = self.cluster_normalization(votes, mask=real, training=training)
        pooled = POOLINGS[self.pooling](activation(votes), num_frames)
        hidden = self.hidden(ops.cast(pooled, self.compute_dtype))  # [B, hidden]
        if self.batch_norm:
            hidden = self.hidden_normalization(hidden, training=training)
        return activation(hidden)

    def multiply_adds(self, num_frames: int) -> int:
        return num_frames * matrix_size(self.clusters) + matrix_size(self.hidden)
