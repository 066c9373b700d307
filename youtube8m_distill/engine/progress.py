"""How far a run has come: the part of a checkpoint that is not weights."""

import contextlib
import dataclasses


@dataclasses.dataclass
class Progress:
    """Counts of a run, kept in every checkpoint.

    Attributes:
        step: optimizer steps of the whole run.
        stage: index of the stage in training.
        stage_step: steps of this stage; times the batch size, the records it has used.
        position: where the records of this stage go on, three int (data.order); None at its beginning.
        epoch: epochs finished in the whole run.
        stage_epoch: epochs finished in this stage.
        best_step: step of the best checkpoint; None before the first.
        best_value: its validation GAP; None where there is no validation data.
        long_videos: how often a video with frames past the last one that is read was trained on.
        pending: the logs of the last step if what follows it, the end of its epoch and validation for two, is still to be
            done; None if nothing is.
    """

    step: int = 0
    stage: int = 0
    stage_step: int = 0
    position: list | None = None
    epoch: int = 0
    stage_epoch: int = 0
    best_step: int | None = None
    best_value: float | None = None
    long_videos: int = 0
    pending: dict | None = None

    def count_step(self, position=None, long_videos=0):
        self.step += 1
        self.stage_step += 1
        self.position = position
        self.long_videos += long_videos

    def count_epoch(self):
        self.epoch += 1
        self.stage_epoch += 1

    def start_next_stage(self):
        self.stage += 1
        self.stage_step = self.stage_epoch = 0
        self.position = None

    @contextlib.contextmanager
    def pending_if(self, error, logs):
        """Keeps the block's changes, made at the end of a step; or, if it raises `error`, none, and the step is pending."""
        before = {**vars(self), "pending": dict(logs)}
        self.pending = None
        try:
            yield
        except error:
            vars(self).update(before)
            raise
