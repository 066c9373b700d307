"""Progress display: a bar with rate and time left on a terminal; elsewhere a line now and then, and one at the end.

Also hides what libraries print (`hidden_stderr`).
"""

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import TextIO

import tqdm

LINE_SECONDS = 10.0  # between lines


class ProgressBar(contextlib.AbstractContextManager):
    """Counts items done.

        with ProgressBar(1000, "validate", "videos") as bar:
            for batch in batches:
                bar.update(len(batch), "GAP 0.71")

    Args:
        total: number of items; None if unknown.
        unit: what is counted, in the plural.
        initial: items done by an earlier run.
        stream: standard error by default.
    """

    def __init__(self, total: int | None, description: str, unit: str, initial: int = 0, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.total, self.description, self.unit = total, description, unit
        self.count = self.initial = self.printed_count = initial
        self.started = self.printed = time.monotonic()
        self.note = ""
        self.lock = threading.Lock()
        self.bar = None
        if self.stream.isatty():
            self.bar = tqdm.tqdm(
                total=total, desc=description, unit=f" {unit}", initial=initial, file=self.stream, dynamic_ncols=True
            )

    def update(self, count: int = 1, note: str = "") -> None:
        """Counts `count` more items and shows `note`, or the last note if it is empty. Any thread may call this."""
        with self.lock:
            self.count += count
            self.note = note or self.note
            if self.bar is not None:
                self.bar.set_postfix_str(self.note, refresh=False)
                self.bar.update(count)
            elif time.monotonic() - self.printed >= LINE_SECONDS:
                self._print_line()

    def write(self, line: str) -> None:
        """Prints a separate line without disturbing the bar."""
        if self.bar is not None:
            self.bar.write(line, file=self.stream)
        else:
            print(line, file=self.stream, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.printed_count != self.count:
            self._print_line()

    def _print_line(self):
        self.printed, self.printed_count = time.monotonic(), self.count
        seconds = max(self.printed - self.started, 1e-9)
        rate = (self.count - self.initial) / seconds
        total = f"/{self.total}" if self.total else ""
        line = f"{self.description}: {self.count}{total} {self.unit}, {rate:.4g}/s, {_duration(seconds)}"
        if self.total and rate and self.count < self.total:
            line += f", {_duration((self.total - self.count) / rate)} left"
        self.write(f"{line} | {self.note}" if self.note else line)

    def __exit__(self, *error):
        self.close()


@contextlib.contextmanager
def hidden_stderr() -> Iterator[None]:
    """Hides what libraries write to standard error inside the block, unless it raises."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            hidden.seek(0)
            os.write(stderr, hidden.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _duration(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
