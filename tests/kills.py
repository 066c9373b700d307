"""Trainings in separate processes that report what they are doing, so that they can be killed while doing it."""

import contextlib
import functools
import importlib
import multiprocessing
import os
import pathlib
import signal
import sys
import time
from typing import NamedTuple

LONGEST_SECONDS = 600
POLL_SECONDS = 0.002

# Forks of one process that has imported TensorFlow, before TensorFlow has started any threads.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["youtube8m_distill.cli.train", "tests.kills", "tests.commands"])


class Moment(NamedTuple):
    """When to kill: seconds after the count-th event of a kind, and the signal."""

    event: str  # start of the event's name
    count: int
    seconds: float
    signal: int

    def __str__(self):
        return f"{signal.Signals(self.signal).name} {1000 * self.seconds:.0f} ms after {self.event!r} number {self.count}"


class Process(NamedTuple):
    """How a process ended: its exit code (minus the number of a signal) and what it reported."""

    code: int
    events: list
    output: str

    @property
    def steps(self):
        """The steps that it took, in order."""
        return [int(event.split()[1]) for event in self.events if event.startswith("step ")]


def train(arguments, log, moment=None, quick=False):
    """Runs train.py with these arguments until it ends, or is killed.

    Args:
        arguments: list of str.
        log: path without suffix, for the files with the process's events and output.
        moment: Moment or None.
        quick: replace H-RNN by commands.QuickEncoder, and do not optimize graphs.
    Returns:
        Process.
    """
    events, output = (pathlib.Path(f"{log}.{suffix}") for suffix in ("events", "output"))
    events.touch()
    process = _processes.Process(
        target=_train, args=(list(map(str, arguments)), str(events), str(output), quick, dict(os.environ))
    )
    process.start()
    if moment is not None:
        _kill(process, events, moment)
    process.join(LONGEST_SECONDS)
    if process.is_alive():
        process.kill()
        raise AssertionError(f"did not end within {LONGEST_SECONDS} s (to be killed: {moment}):\n{output.read_text()}")
    return Process(process.exitcode, events.read_text().splitlines(), output.read_text())


def _kill(process, events, moment):
    deadline = time.monotonic() + LONGEST_SECONDS
    while process.is_alive() and time.monotonic() < deadline:
        if sum(event.startswith(moment.event) for event in events.read_text().splitlines()) >= moment.count:
            time.sleep(moment.seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, moment.signal)
            return
        time.sleep(POLL_SECONDS)


def _train(arguments, events, output, quick, environment):
    """The process, with the environment of the test: it inherits that of the first test that starts a process."""
    os.environ.update(environment)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    descriptor = os.open(events, os.O_WRONLY | os.O_APPEND)
    _report(lambda event: os.write(descriptor, f"{event}\n".encode()))
    if quick:
        _be_quick()
    sys.argv = ["train.py", *arguments]
    importlib.import_module("youtube8m_distill.cli.main").run("train")


def _report(report):
    """Makes a training report "start", "loop", "step N", "stage N", "validation" and "write NAME" (of an output)."""
    from youtube8m_distill import files
    from youtube8m_distill.engine import loop
    from youtube8m_distill.engine.progress import Progress
    from youtube8m_distill.metrics.evaluate import Evaluator

    report("start")

    def reporting(event, function):
        @functools.wraps(function)
        def both(*args, **kwargs):
            report(event(*args[:1]))
            return function(*args, **kwargs)

        return both

    loop.train = reporting(lambda scheme: "loop", loop.train)
    Progress.count_step = reporting(lambda progress: f"step {progress.step + 1}", Progress.count_step)
    Progress.start_next_stage = reporting(lambda progress: f"stage {progress.stage + 1}", Progress.start_next_stage)
    Evaluator.__init__ = reporting(lambda evaluator: "validation", Evaluator.__init__)
    files.atomic_path = reporting(lambda path: f"write {os.path.basename(path)}", files.atomic_path)


def _be_quick():
    import tensorflow as tf

    from tests import commands
    from youtube8m_distill import config

    config.FAMILY_OF["HierarchicalLstmModel"].build_encoder = lambda *_: commands.QuickEncoder()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
