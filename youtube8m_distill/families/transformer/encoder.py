"""A pre-norm Transformer encoder over the frames that a network sees, each with its time in the video."""

import math
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from youtube8m_distill.families.base import Encoder
from youtube8m_distill.layers.base import Layer, matrix_size
from youtube8m_distill.layers.masking import frame_mask

MLP_RATIO = 4  # units of an MLP's hidden layer for each number of the width
SLOWEST = 10_000  # frames in which the slowest sinusoid turns by almost one radian (Vaswani et al. 2017, section 3.5)
MASKED = -1e9  # score of padding; finite, since a row of infinities has no softmax


def sinusoids(frame_indices: KerasTensor, width: int) -> KerasTensor:
    """Encodes the time t of each frame as sin(t w_i), then cos(t w_i), with w_i = 10000^(-2i / width).

    int [batch, T] -> float32 [batch, T, width]; `width` is even. The time is the frame's index in its video, one frame a
    second. So it does not depend on which other frames a network sees, nor on the length of the video, which compact
    files do not have.
    """
    frequencies = SLOWEST ** -(np.arange(0, width, 2) / width)  # [width / 2]
    angles = ops.cast(frame_indices, "float32")[:, :, None] * frequencies.astype(np.float32)
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)


def _softmax(scores, real):
    """Weights of sum 1 over the real frames, the last axis, in float32; finite where there are none."""
    return ops.softmax(ops.where(real, ops.cast(scores, "float32"), MASKED), axis=-1)


def _gelu(x):
    """`x` times the normal distribution function of x, computed in float32.

    Keras' own takes erfc, which tf2onnx does not know. LiteRT does not know erf, but recognizes this formula, in this order.
    """
    x32 = ops.cast(x, "float32")
    return ops.cast(0.5 * x32 * (1.0 + ops.erf(x32 * math.sqrt(0.5))), x.dtype)


def _norm(layer, name):
    return layer.sublayer(keras.layers.LayerNormalization, name, layer.width, epsilon=1e-6)


def _dense(layer, name, input_size, units, **options):
    return layer.sublayer(keras.layers.Dense, name, input_size, units=units, **options)


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class TransformerBlock(Layer):
    """`y = x + attention(norm(x))`, then `y + MLP(norm(y))` (Xiong et al. 2020, "pre-LN").

    Attention has `num_heads` heads of width / num_heads numbers and reads real frames only; the MLP has one hidden layer
    of MLP_RATIO * width units with a GELU.

    Input: x float [batch, T, width] and `real` bool [batch, T], false for padding. Output: like x, arbitrary in padding.
    """

    def __init__(self, width: int, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if width % num_heads:
            raise ValueError(f"num_heads={num_heads} must divide width={width}.")
        self.width = width
        self.num_heads = num_heads

    def build(self, input_shape: tuple[Any, ...]) -> None:
        width, hidden = self.width, MLP_RATIO * self.width
        self.attention_norm, self.mlp_norm = _norm(self, "attention_norm"), _norm(self, "mlp_norm")
        # A bias of the keys would not change a softmax.
        self.queries_keys_values = _dense(self, "queries_keys_values", width, 3 * width, use_bias=False)
        self.merge = _dense(self, "merge", width, width)
        self.expand = _dense(self, "expand", width, hidden)
        self.contract = _dense(self, "contract", hidden, width)

    def call(self, x: KerasTensor, real: KerasTensor) -> KerasTensor:
        x = x + self.merge(self._attend(self.attention_norm(x), real))
        return x + self.contract(_gelu(self.expand(self.mlp_norm(x))))

    def _attend(self, x, real):
        """The heads' results side by side, [B, T, width]."""
        num_rows, size = ops.shape(x)[1], self.width // self.num_heads
        parts = ops.reshape(self.queries_keys_values(x), (-1, num_rows, 3, self.num_heads, size))
        q, k, v = ops.unstack(ops.transpose(parts, (2, 0, 3, 1, 4)), 3)  # each [B, heads, T, size]
        # A scaled query costs less than scaled scores, of which there are T for each.
        scores = ops.matmul(q * (1.0 / math.sqrt(size)), ops.transpose(k, (0, 1, 3, 2)))  # [B, heads, T, T]
        weights = _softmax(scores, real[:, None, None, :])
        found = ops.matmul(ops.cast(weights, self.compute_dtype), v)  # [B, heads, T, size]
        return ops.reshape(ops.transpose(found, (0, 2, 1, 3)), (-1, num_rows, self.width))

    def multiply_adds(self, num_rows: int = 1) -> int:
        """Multiply-adds of a video of `num_rows` frames; the scores and the weighted sums grow with their square."""
        return num_rows * matrix_size(self) + 2 * num_rows**2 * self.width


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class TransformerEncoder(Encoder):
    """Encodes a video as a weighted mean of its frames after `num_layers` TransformerBlocks; zeros if it has none.

    A frame enters as `sqrt(width) (W x + b) + sinusoids(its index)`. The factor is that of Vaswani et al. 2017, section 3.4:
    a preprocessed frame has length 1, and without it the time would drown the content. After the blocks and a last norm, a
    learned query scores each frame, and the softmax of the scores are the weights of the mean.
    """

    def __init__(self, num_layers: int = 4, width: int = 512, num_heads: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if width % 2:
            raise ValueError(f"width={width} must be even: each frequency of the time has two numbers.")
        self.num_layers = num_layers
        self.width = self.encoding_size = width
        self.num_heads = num_heads
        self.blocks = [
            TransformerBlock(width, num_heads, dtype=self.dtype_policy, name=f"block_{index}") for index in range(num_layers)
        ]

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.input_projection = _dense(self, "input_projection", input_shape[-1], self.width)
        for block in self.blocks:
            block.build((None, None, self.width))
        self.output_norm = _norm(self, "output_norm")
        self.query = _dense(self, "query", self.width, 1, use_bias=False)

    def embed(self, frames: KerasTensor, frame_indices: KerasTensor | None = None) -> KerasTensor:
        if frame_indices is None:
            frame_indices = ops.arange(ops.shape(frames)[1], dtype="int32")[None, :]
        x = self.input_projection(frames) * math.sqrt(self.width)
        return x + ops.cast(sinusoids(frame_indices, self.width), self.compute_dtype)

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        """The encoding. `frames` are those of `embed`, float [batch, T, width]."""
        real = frame_mask(num_frames, ops.shape(frames)[1])  # [B, T]
        # Weight 0 times NaN or infinity would be NaN.
        x = ops.where(real[:, :, None], frames, ops.zeros_like(frames))
        for block in self.blocks:
            x = block(x, real)
        x = self.output_norm(x)
        weights = ops.where(real, _softmax(self.query(x)[:, :, 0], real), 0.0)  # [B, T]
        weights = ops.cast(weights, self.compute_dtype)
        return ops.matmul(weights[:, None, :], x)[:, 0]

    def multiply_adds(self, num_frames: int) -> int:
        blocks = sum(block.multiply_adds(num_frames) for block in self.blocks)
        return blocks + num_frames * (matrix_size(self.input_projection) + matrix_size(self.query) + self.width)
