"""SIGTERM and Ctrl-C in a training: noticed between two operations, obeyed where nothing is lost."""

import contextlib
import signal
import threading
import time

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):
    """A training was asked to end before its end.

    Attributes:
        signal: signal.Signals.
    """

    def __init__(self, number):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.signal = signal.Signals(number)


class Interruption:
    """Notices the signals that ask a process to end while `noticing`, and raises Interrupted where it is asked to `check`.

    A second Ctrl-C ends the process at once, as ever.

    Args:
        say: where a line goes when a signal comes.
        patience: float, seconds after a signal in which `check` does not obey yet: for a worker, so that the chief, which
            got the same signal, ends its step and saves before it misses this one.
    """

    def __init__(self, say=print, patience=0.0):
        self.say = say
        self.patience = patience
        self.signal = None
        self.obey_at = None

    @contextlib.contextmanager
    def noticing(self):
        """Takes the signals over inside the block; in another thread than the main one, which gets them, does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._notice) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def check(self):
        """Raises Interrupted if a signal has come and patience is over."""
        if self.signal is not None and time.monotonic() >= self.obey_at:
            raise Interrupted(self.signal)

    def checking(self, items):
        """Yields the items, checking before each."""
        for item in items:
            self.check()
            yield item

    def _notice(self, number, frame):
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is None:
            self.signal, self.obey_at = number, time.monotonic() + self.patience
            again = " Again to stop at once, without saving." if number == signal.SIGINT else ""
            # Here, between any two operations, nothing may be raised: the reader of the lines may be gone by now, or the
            # signal may have come while another line was written.
            with contextlib.suppress(OSError, RuntimeError):
                self.say(f"{signal.Signals(number).name}: saving after this step.{again}")
