"""How far a run has come: the part of a checkpoint that is not weights."""

import dataclasses


@dataclasses.dataclass
class Progress:
    """Counts of a run, kept in every checkpoint.

    Attributes:
        step: optimiser steps of the whole run.
        stage: index of the stage in training.
        stage_step: steps of this stage; times the batch size, the records it has consumed.
        epoch: epochs finished in the whole run.
        stage_epoch: epochs finished in this stage.
        best_step: step of the best checkpoint; None before the first.
        best_value: its validation GAP; None where there is no validation data.
    """

    step: int = 0
    stage: int = 0
    stage_step: int = 0
    epoch: int = 0
    stage_epoch: int = 0
    best_step: int | None = None
    best_value: float | None = None

    def count_step(self):
        self.step += 1
        self.stage_step += 1

    def count_epoch(self):
        self.epoch += 1
        self.stage_epoch += 1

    def start_next_stage(self):
        self.stage += 1
        self.stage_step = self.stage_epoch = 0
