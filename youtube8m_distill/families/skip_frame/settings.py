"""SkipFrame: settings and the variants in the slides of CVPR 2019. What the slides leave open is ours and marked so."""

import re
from typing import ClassVar, Literal

from youtube8m_distill.families.settings import FrameFamilySettings
from youtube8m_distill.settings import MAX_REPEATS, require, setting, size

ACTIONS = re.compile(r"(alt-)?(\d+)-(\d+)")
LONGEST_SKIP = 10_000


class SkipFrameSettings(FrameFamilySettings):
    """An LSTM that chooses its frames: after each, a policy draws how many frames to skip."""

    source: ClassVar = "slides of CVPR 2019; rewards' details and the entropy bonus are ours"
    training: ClassVar = {"base_learning_rate": 0.001, "regularization_penalty": 1.0}
    chooses_frames: ClassVar = True

    model: Literal["SkipFrameModel"] = "SkipFrameModel"
    lstm_cells: int = size(1024, "Width of the LSTM layers.")
    lstm_layers: int = setting(2, "LSTM layers, in H-RNN of each level.", ge=1, le=MAX_REPEATS)
    skip_budget: int = setting(
        10, "Number of frames that SkipFrameModel reads at most.", shapes_weights=False, ge=2, le=MAX_REPEATS
    )
    skip_actions: str = setting(
        "5-25", "How far SkipFrameModel may move ahead: 5-25 is 5, 6, ... 24 frames, alt-5-25 is 5, 7, ... 23, 5-6 always 5."
    )
    skip_reward: Literal["delayed", "immediate", "gap"] = setting(
        "gap",
        "Reward of SkipFrameModel's policy: delayed, the negative label loss at the end; immediate, its decrease with the "
        "next frame; gap, the video's average precision over its best 20 classes at the end.",
        shapes_weights=False,
    )
    skip_entropy_weight: float = setting(
        0.01, "Weight of the entropy of SkipFrameModel's policy, which keeps it exploring.", shapes_weights=False, ge=0.0
    )

    def check(self, features, classifier):
        super().check(features, classifier)
        found = ACTIONS.fullmatch(self.skip_actions)
        reason = "must be FROM-TO or alt-FROM-TO, such as 5-25: at least 1, and FROM below TO."
        require(found is not None, "skip_actions", reason, self.skip_actions)
        require(len(self.skips) > 0 and min(self.skips) > 0, "skip_actions", reason, self.skip_actions)
        reason = f"skips more than {LONGEST_SKIP:,} frames, the most that can be read of a video."
        require(max(self.skips) <= LONGEST_SKIP, "skip_actions", reason, self.skip_actions)

    @property
    def skips(self) -> tuple[int, ...]:
        """By how many frames each action moves ahead."""
        found = ACTIONS.fullmatch(self.skip_actions)
        assert found is not None, "checked"
        every_other, first, end = found.groups()
        return tuple(range(int(first), min(int(end), LONGEST_SKIP + 2), 2 if every_other else 1))

    def frames_warning(self, max_frames):
        shortest = min(self.skips)
        reachable = -(-max_frames // shortest)
        if reachable >= self.skip_budget:
            return ""
        return (
            f"{self.model} reads at most {reachable} of its {self.skip_budget} frames: skips of {shortest} or more leave a "
            f"video of {max_frames} frames after that. See --skip_actions."
        )

    def encoding_size(self, features):
        return 2 * self.lstm_layers * self.lstm_cells

    def build_encoder(self, features, dtype):
        from youtube8m_distill.families.skip_frame.encoder import SkipFrame

        return SkipFrame(
            self.lstm_cells,
            self.lstm_layers,
            self.skip_budget,
            self.skips,
            self.skip_reward == "immediate",
            dtype=dtype,
            name="skip_frame",
        )
