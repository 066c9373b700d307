"""SIGTERM, SIGHUP and Ctrl-C during training: noticed at any time, acted on where nothing is lost."""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterable, Iterator

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)  # SIGHUP: the terminal was closed

log = logging.getLogger(__name__)


class Interrupted(Exception):
    """A signal asked a training to end. `signal` holds it, as signal.Signals."""

    def __init__(self, number: int):
        self.signal = signal.Signals(number)
        super().__init__(f"stopped by {self.signal.name}")


class Interruption:
    """Notices signals that ask the process to end while in `noticing`, and raises Interrupted in `check`.

    A second Ctrl-C ends the process at once. `check` does nothing for `patience` seconds after a signal: a worker waits so
    that the chief, which got the same signal, can end its step and save before it misses this worker.
    """

    def __init__(self, patience: float = 0.0):
        self.patience = patience
        self.signal, self.obey_at = None, 0.0

    @contextlib.contextmanager
    def noticing(self) -> Iterator[None]:
        """Handles the signals inside the block. Does nothing outside the main thread, which is the one that gets them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # A program started with nohup ignores SIGHUP.
        noticed = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._notice) for number in noticed}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def check(self) -> None:
        """Raises Interrupted if a signal has come and `patience` is over."""
        if self.signal is not None and time.monotonic() >= self.obey_at:
            raise Interrupted(self.signal)

    def checking(self, items: Iterable) -> Iterator:
        """Yields the items, checking before each."""
        for item in items:
            self.check()
            yield item

    def _notice(self, number, frame):
        if self.signal is None:
            self.signal, self.obey_at = number, time.monotonic() + self.patience
            again = " Press Ctrl-C again to stop at once, without saving." if number == signal.SIGINT else ""
            # A handler runs between any two operations, so nothing may be raised here: the reader of the log may be gone,
            # or the signal may have come while another line was being written.
            with contextlib.suppress(OSError, RuntimeError):
                log.info("%s: saving after this step.%s", signal.Signals(number).name, again)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
