"""The validation measures of a run by epoch, in a file of their own: history.csv."""

import csv
import io
import pathlib
from collections.abc import Callable

import keras

from youtube8m_distill import files
from youtube8m_distill.engine.progress import Progress

FILE = "history.csv"
VALIDATION = "validation_"  # what the names of validation measures begin with, in logs


class History(keras.callbacks.Callback):
    """Adds a row for each network to history.csv when an epoch ends with a validation.

    Rows of epochs that the run has not finished according to its checkpoint are removed first, so that the file of a
    resumed run equals that of one that was never interrupted. `check` is called before anything is written, as for
    `Checkpoints`. Raises OSError with path and reason, if the file cannot be written.
    """

    def __init__(self, folder: str | pathlib.Path, progress: Progress, check: Callable[[], None] | None = None):
        super().__init__()
        self.path, self.progress, self.check = pathlib.Path(folder) / FILE, progress, check
        rows = read_rows(folder)
        self.rows = [row for row in rows if row["epoch"] <= progress.epoch]
        if self.rows != rows:
            self._write()

    def on_epoch_end(self, epoch, logs=None):
        rows = {}
        for name, value in (logs or {}).items():
            role, _, term = name.rpartition("/")
            if term.startswith(VALIDATION):
                row = rows.setdefault(role, {"epoch": epoch, "role": role, "step": self.progress.step})
                row[term.removeprefix(VALIDATION)] = value
        if rows:
            self.rows += rows.values()
            self._write()

    def _write(self):
        if self.check is not None:
            self.check()
        text = io.StringIO()
        names = dict.fromkeys(["epoch", "role", "step", *(name for row in self.rows for name in row)])
        writer = csv.DictWriter(text, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self.path, text.getvalue(), make_parent=False)


def read_rows(folder: str | pathlib.Path) -> list[dict]:
    """The rows of a run's history.csv, if it has one: `epoch` (from 1), `role`, `step` and validation measures as float."""
    path, rows = pathlib.Path(folder) / FILE, []
    if not path.exists():
        return rows
    try:
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                whole = {"epoch": int(row.pop("epoch")), "role": row.pop("role"), "step": int(row.pop("step"))}
                rows.append({**whole, **{name: float(value) for name, value in row.items() if value}})
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read ({error}); remove it to train on without the history so far.") from error
    return rows
