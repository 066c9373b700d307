"""What happens beside the training steps: validation, checkpoints, TensorBoard, progress."""

import dataclasses
import math
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

import keras

from youtube8m_distill import display
from youtube8m_distill.engine.checkpoints import Checkpoints
from youtube8m_distill.engine.history import VALIDATION
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.scalars import ScalarWriter
from youtube8m_distill.schemes.divergence import refuse_bad_numbers, refuse_divergence

VALIDATION_GAP = f"{VALIDATION}gap_at_20"


class Validation(keras.callbacks.Callback):
    """Evaluates every trained network at the end of each epoch, every `every_steps` steps, and at the end.

    `evaluate` has a function for each role, which returns measures by name. Later callbacks find them in the logs, as
    `role/validation_<measure>`.
    """

    def __init__(
        self, evaluate: Mapping[str, Callable[[], dict[str, float]]], progress: Progress, every_steps: int | None = None
    ):
        super().__init__()
        self.evaluate, self.progress, self.every_steps = evaluate, progress, every_steps
        self.evaluated_step, self.values = None, {}

    def on_train_batch_end(self, step, logs=None):
        if self.every_steps and step % self.every_steps == 0:
            self._validate(logs)

    def on_epoch_end(self, epoch, logs=None):
        self._validate(logs)

    def on_train_end(self, logs=None):
        if self.evaluated_step != self.progress.step:
            self._validate(logs)

    def _validate(self, logs):
        if self.evaluated_step != self.progress.step:
            refuse_divergence(self.model)
            with self.model.averaged_weights():
                self.values = {
                    f"{role}/{VALIDATION}{name}": value
                    for role, evaluate in self.evaluate.items()
                    for name, value in evaluate().items()
                }
            self.evaluated_step = self.progress.step
        logs.update(self.values)


class Checkpointing(keras.callbacks.Callback):
    """Saves at the end of each epoch, every `every_steps` steps, every `every_minutes`, and at the end.

    Keeps the best on validation GAP; that of the network `main_role` decides. `last_step` is the step at which the run ends
    at the latest.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        progress: Progress,
        main_role: str,
        every_steps: int | None = None,
        last_step: int | None = None,
        every_minutes: float = math.inf,
    ):
        super().__init__()
        self.every_seconds, self.saved_at = 60 * every_minutes, time.monotonic()
        self.checkpoints, self.progress, self.saved = checkpoints, progress, dataclasses.replace(progress)
        self.value_name = f"{main_role}/{VALIDATION_GAP}"
        self.every_steps, self.last_step = every_steps, last_step

    def on_train_batch_end(self, step, logs=None):
        self._keep_best(logs)
        # If this step ends an epoch or the run, that end saves: a run resumed from here would skip what belongs to it.
        ends_more = self.progress.epoch != self.saved.epoch or step == self.last_step
        is_due = self.every_steps and step % self.every_steps == 0 or time.monotonic() - self.saved_at >= self.every_seconds
        if is_due and not ends_more:
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        self._keep_best(logs)
        self._save()

    def on_train_end(self, logs=None):
        self._keep_best(logs)
        self._save()

    def _keep_best(self, logs):
        progress, value = self.progress, logs.get(self.value_name)
        if value is not None and (progress.best_value is None or value > progress.best_value):
            refuse_bad_numbers(self.model, progress.step)
            progress.best_value, progress.best_step = value, progress.step
            self.checkpoints.save_best(self.model, progress)

    def _save(self):
        # Compared as a whole: a step saved before its validation is saved again if it turns out to be the best.
        if self.saved != self.progress:
            refuse_bad_numbers(self.model, self.progress.step)
            self.checkpoints.save(self.model, self.progress)
            self.saved, self.saved_at = dataclasses.replace(self.progress), time.monotonic()


class TensorBoardScalars(keras.callbacks.Callback):
    """Writes the logs as scalars, one TensorBoard run per network, with the same tags in each.

    Teacher and student then share a chart: `epoch/gap_at_20` with the runs of a serial and a parallel training open is
    the paper's Figure 2. Values of no particular network go to the run of the main one. A resumed run writes the steps
    after its checkpoint again; TensorBoard shows the last value of a step.
    """

    def __init__(self, folder: str | pathlib.Path, roles: Sequence[str], main_role: str, progress: Progress):
        super().__init__()
        self.writers = {role: ScalarWriter(pathlib.Path(folder) / role) for role in roles}
        self.main_role, self.progress = main_role, progress
        self.written = set()  # names with a value for the last step

    def on_train_batch_end(self, step, logs=None):
        self._write(logs or {}, step)
        self.written = set(logs or {})

    def on_epoch_end(self, epoch, logs=None):
        validation = {name: value for name, value in (logs or {}).items() if f"/{VALIDATION}" in name}
        self._write({name: validation[name] for name in validation.keys() - self.written}, self.progress.step)
        self._write(validation, epoch, "epoch")  # a folder of tags whose points are counted in epochs, not steps

    def on_train_end(self, logs=None):
        self._write(logs or {}, self.progress.step)
        for writer in self.writers.values():
            writer.close()

    def _write(self, logs, step, folder=None):
        for name, value in logs.items():
            role, _, term = name.rpartition("/")
            kind = "validation" if term.startswith(VALIDATION) else "loss" if term.endswith("loss") else "train"
            tag = f"{folder or kind}/{term.removeprefix(VALIDATION)}"
            self.writers[role or self.main_role].write(tag, value, step)
        for writer in self.writers.values():
            writer.flush()


class ProgressDisplay(keras.callbacks.Callback):
    """Shows the steps of a stage, rate and time left, with the latest loss, GAP and Hit@1 of the main network."""

    def __init__(self, description: str, total_steps: int | None, main_role: str, progress: Progress):
        super().__init__()
        self.description, self.total_steps = description, total_steps
        self.main_role, self.progress = main_role, progress

    def on_train_begin(self, logs=None):
        done = self.progress.stage_step - (self.progress.pending is not None)  # a pending step is counted again
        self.bar = display.ProgressBar(self.total_steps, self.description, "steps", done)

    def on_train_batch_end(self, step, logs=None):
        note = ""
        if logs and "loss" in logs:
            note = (
                f"Loss: {logs['loss']:.2f} Examples/sec: {logs['examples_per_second']:.4g} | "
                f"Hit@1: {logs[f'{self.main_role}/hit_at_one']:.3f} GAP: {logs[f'{self.main_role}/gap_at_20']:.3f}"
            )
        self.bar.update(1, note)

    def on_epoch_end(self, epoch, logs=None):
        shown = {
            tuple(name.split(f"/{VALIDATION}")): value
            for name, value in (logs or {}).items()
            if name.endswith((VALIDATION_GAP, f"{VALIDATION}hit_at_one"))
        }
        of_several = len({role for role, _ in shown}) > 1
        values = ", ".join(f"{f'{role} ' if of_several else ''}{name} {value:.4f}" for (role, name), value in shown.items())
        ends = f"{self.description}: epoch {epoch} ends at step {self.progress.step}."
        self.bar.write(f"{ends} Validation: {values}" if values else ends)

    def on_train_end(self, logs=None):
        self.bar.close()
