"""SkipFrame: an LSTM reads one frame, decides how many to skip, and reads the next (CVPR 2019, slides)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.families.base import Encoder
from youtube8m_distill.layers import replicas
from youtube8m_distill.layers.lstm import StackedLSTM

SMALLEST = 1e-7  # of the uniform numbers that become Gumbel noise


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class SkipFrame(Encoder):
    """Encodes a video as the state [c1, h1, c2, h2, ...] of an LSTM over at most `budget` frames that it chooses itself.

    It starts with frame 0. After each frame, an action is drawn from softmax(W s), with s the state, and moves ahead by one
    of `skips`. It stops after `budget` frames or at the end of the video. In evaluation, the most likely action is taken.

    The policy and the baseline of its rewards see the state as a constant, so that their noisy gradients do not reach the
    LSTM. Actions depend on a video's place in the global batch and the seed, so N replicas draw as one.

    Args:
        cells, num_layers: of the LSTM.
        budget: number of frames to read at most, 2 or more.
        skips: how far each action moves ahead, 1 or more, ascending.
        scores_each_frame: whether training needs the predictions after each frame (reward `immediate`).
    """

    makes_decisions = True

    def __init__(
        self,
        cells: int = 1024,
        num_layers: int = 2,
        budget: int = 10,
        skips: Sequence[int] = tuple(range(5, 25)),
        scores_each_frame: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cells = cells
        self.num_layers = num_layers
        self.budget = budget
        self.skips = tuple(skips)
        self.scores_each_frame = scores_each_frame
        self.stack = StackedLSTM(cells, num_layers, dtype=self.dtype_policy, name="stack")
        self.encoding_size = self.stack.state_size
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.stack.build(input_shape)
        options = {"dtype": "float32", "use_bias": False}
        self.policy = self.sublayer(keras.layers.Dense, "policy", self.encoding_size, units=len(self.skips), **options)
        self.baseline = self.sublayer(keras.layers.Dense, "baseline", self.encoding_size, units=1, dtype="float32")

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        return self.pool_with_decisions(frames, num_frames, training)[0]

    def pool_with_decisions(
        self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False
    ) -> tuple[KerasTensor, dict[str, KerasTensor]]:
        """`pool`, and how the frames were chosen.

        The dict has `frame_indices` int32 [batch, budget], -1 where no frame was read; `is_made` bool [batch, budget - 1],
        whether the decision after each of these frames could still lead to another one; its `log_probability`, `entropy` and
        `baseline`, float32 [batch, budget - 1]; with `scores_each_frame`, `states` [batch, budget, encoding_size].
        """
        noise = self._noise(ops.shape(frames)[0]) if training else None
        index = ops.zeros_like(num_frames)  # [B]
        states = [ops.zeros((ops.shape(frames)[0], self.cells), self.compute_dtype)] * (2 * self.num_layers)
        indices, joined, decisions = [], [], []
        for step in range(self.budget):
            is_read = index < num_frames
            moved = self.stack.advance(_frames_at(frames, index), states)
            states = [ops.where(is_read[:, None], new, old) for new, old in zip(moved, states)]
            indices.append(ops.where(is_read, index, -1))
            joined.append(ops.concatenate(states, axis=-1))
            if step < self.budget - 1:
                skip, decision = self._decide(joined[-1], None if noise is None else noise[:, step])
                decisions.append({"is_made": index + min(self.skips) < num_frames, **decision})
                index = index + skip
        found = {name: ops.stack([decision[name] for decision in decisions], axis=1) for name in decisions[0]}
        if self.scores_each_frame:
            found["states"] = ops.stack(joined, axis=1)
        return joined[-1], {"frame_indices": ops.stack(indices, axis=1), **found}

    def _decide(self, state, noise):
        """How far to move ahead, int32 [batch], and what training needs to know about the choice."""
        state = ops.stop_gradient(ops.cast(state, "float32"))
        logits = self.policy(state)  # [B, A]
        # The largest sum of logits and Gumbel noise is a draw from their softmax.
        # Of both top_k and argmax, runtimes of exported networks only know what the first compiles to.
        action = ops.top_k(logits if noise is None else logits + noise, 1)[1][:, 0]
        log_probabilities = ops.log_softmax(logits, axis=-1)
        chosen = ops.one_hot(action, len(self.skips), dtype="float32")
        decision = {
            "log_probability": ops.sum(log_probabilities * chosen, axis=-1),
            "entropy": -ops.sum(ops.exp(log_probabilities) * log_probabilities, axis=-1),
            "baseline": self.baseline(state)[:, 0],
        }
        return ops.take(ops.convert_to_tensor(self.skips, "int32"), action), decision

    def _noise(self, batch_size):
        """Gumbel noise of this replica's videos, float32 [batch, budget - 1, A]. All replicas draw the whole batch's."""
        count = replicas.num_replicas()
        shape = (batch_size * count, self.budget - 1, len(self.skips))
        uniform = keras.random.uniform(shape, SMALLEST, 1.0, dtype="float32", seed=self.seed_generator)
        first = ops.cast(replicas.replica_index(), "int32") * batch_size
        own = ops.slice(uniform, (first, 0, 0), (batch_size, *shape[1:]))
        return -ops.log(-ops.log(own))

    def multiply_adds(self, num_frames: int) -> int:
        """With as many frames and decisions as possible: those of the shortest skip."""
        shortest = min(self.skips)
        reachable = (max(num_frames, 0) + shortest - 1) // shortest
        read = min(self.budget, reachable)
        decisions = min(self.budget - 1, max(reachable - 1, 0))
        return self.stack.multiply_adds(read) + decisions * self.encoding_size * len(self.skips)


def _frames_at(frames, index):
    """Each video's frame at an index, float [batch, size]; the last row for one past the end."""
    batch_size, length, size = ops.shape(frames)
    rows = ops.arange(batch_size, dtype="int32") * length + ops.minimum(index, length - 1)
    return ops.take(ops.reshape(frames, (-1, size)), rows, axis=0)
