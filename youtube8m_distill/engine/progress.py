"""How far a run has come: the part of a checkpoint that is not weights."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence

import pydantic

from youtube8m_distill import schema
from youtube8m_distill.settings import as_setting_error


@dataclasses.dataclass
class Progress:
    """Counts of a run, kept in every checkpoint."""

    __pydantic_config__ = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    step: int = 0  # optimizer steps of the whole run
    stage: int = 0  # index of the current stage
    stage_step: int = 0  # steps of this stage; times the batch size, the records it has used
    stage_seed: int | None = None  # seed of this stage's data order and frames; None: the run's seed + `stage` (version 0.1)
    position: list[int] | None = None  # where the records of this stage resume (data.order); None at its start
    epoch: int = 0  # epochs finished in the whole run
    stage_epoch: int = 0  # epochs finished in this stage
    best_step: int | None = None  # step of the best checkpoint; None before the first
    best_value: float | None = None  # its validation GAP; None without validation data
    notes: list[float] = dataclasses.field(default_factory=lambda: [0.0] * len(schema.NOTES))  # sums over all steps
    pending: dict | None = None  # the last step's logs if its callbacks have not run yet, such as the end of its epoch

    @classmethod
    def from_json(cls, text: str) -> "Progress":
        """The Progress that `to_json` wrote. Raises SettingError if a field is unknown or of another type."""
        try:
            return pydantic.TypeAdapter(cls).validate_json(_without_long_videos(text))
        except pydantic.ValidationError as error:
            raise as_setting_error(error, cls) from None

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def count_step(self, position: list[int] | None = None, notes: Sequence[float] = ()) -> None:
        self.step += 1
        self.stage_step += 1
        self.position = position
        self.notes = [total + note for total, note in zip(self.notes, notes)] if len(notes) else self.notes

    def count_epoch(self) -> None:
        self.epoch += 1
        self.stage_epoch += 1

    def start_next_stage(self) -> None:
        self.stage += 1
        self.stage_step, self.stage_epoch, self.position = 0, 0, None

    @contextlib.contextmanager
    def pending_if(self, error: type[Exception], logs: Mapping[str, float]) -> Iterator[None]:
        """Keeps the changes that the block makes after a step; if it raises `error`, undoes them and sets `pending`."""
        before = {**vars(self), "pending": dict(logs)}
        self.pending = None
        try:
            yield
        except error:
            vars(self).update(before)
            raise


def _without_long_videos(text):
    """The text of a Progress; version 0.1 counted long videos in a field of their own."""
    try:
        values = json.loads(text)
        values["notes"] = [values.pop("long_videos"), *[0] * (len(schema.NOTES) - 1)]
        return json.dumps(values)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return text  # not of that version, or invalid, which is reported next
