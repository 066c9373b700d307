"""Trains and evaluates each trial once, even if several processes work in the same folder."""

import json
import logging
import os
import pathlib
import platform
import re
import time

import keras

from reproduce import settings as settings_module
from reproduce.results import Result, path_of, write_result
from reproduce.segment_trials import AnyTrial
from reproduce.tables import MEASURES, SEGMENT_MEASURES
from reproduce.trials import with_prerequisites
from youtube8m_distill import config as configs
from youtube8m_distill import runs
from youtube8m_distill.metrics.evaluate import Evaluator

logger = logging.getLogger(__name__)

POLL_SECONDS = 5  # between checks for trials that another process trains


class Worker:
    """Trains and evaluates trials of an experiment in this process.

    Args:
        folder: the experiment's folder.
        settings: ExperimentSettings.
        strategy: tf.distribute.Strategy.
        eval_shards: tuple of data.tfrecord.Shard, the held-out files.
        about: dict to store with every result.
        max_held_bytes: most bytes of records to keep in memory; see runs.HeldRecords.
    """

    def __init__(self, folder, settings, strategy, eval_shards, about, max_held_bytes=None):
        self.folder, self.settings, self.strategy = folder, settings, strategy
        self.about = {**about, "settings": settings_module.digest(settings)}
        self.records = runs.HeldRecords(max_held_bytes)  # files are read once for all trials
        self.eval_shards = self.records.hold(eval_shards)
        self.failures = {}

    def work(self, trials) -> dict[AnyTrial, str]:
        """Trains the unfinished trials and their prerequisites, most expensive first, prerequisites before the others.

        Skips a trial while another process trains it. If a trial diverges, logs it and continues with the others.

        Args:
            trials: iterable of trials.
        Returns:
            dict from trial to the reason why it could not be trained; empty if all are finished.
        Raises:
            ValueError, OSError, Interrupted: as when a single run is trained.
        """
        remaining, waited_for = self._remaining(with_prerequisites(trials)), []
        while remaining:
            attempted = [trial for trial in remaining if self._is_ready(trial) and self._attempt(trial)]
            remaining = self._remaining(remaining)
            if remaining and not attempted:
                if remaining != waited_for:
                    logger.info("Waiting for trials of other processes: %s", ", ".join(trial.name for trial in remaining))
                waited_for = remaining
                time.sleep(POLL_SECONDS)
        return self.failures

    def _remaining(self, trials):
        """The trials that are neither finished nor failed."""
        unfinished = [trial for trial in trials if not path_of(self.folder, trial).exists()]
        for trial in unfinished:
            if trial.prerequisite in self.failures:
                self.failures[trial] = f"{trial.prerequisite.name}, which it needs, could not be trained"
            elif self._is_needed_run_missing(trial):
                result = path_of(self.folder, trial.prerequisite)
                reason = f"the run of {trial.prerequisite.name}, which it needs, is missing"
                self.failures[trial] = f"{reason}. Remove {result} to train it again."
        return [trial for trial in unfinished if trial not in self.failures]

    def _is_ready(self, trial):
        return trial.prerequisite is None or path_of(self.folder, trial.prerequisite).exists()

    def _is_needed_run_missing(self, trial):
        if trial.prerequisite is None or not self._is_ready(trial):
            return False
        return not settings_module.run_folder(self.folder, trial.prerequisite).exists()

    def _attempt(self, trial):
        """Trains a trial. Returns False, without training, if another process is training it."""
        try:
            with runs.lock_run(settings_module.run_folder(self.folder, trial)) as check_held:
                if not path_of(self.folder, trial).exists():
                    self._train_and_evaluate(trial, check_held)
        except runs.FolderInUse:
            return False
        except FloatingPointError as error:
            self.failures[trial] = str(error)
            logger.warning("%s could not be trained: %s", trial.name, error)
        return True

    def _train_and_evaluate(self, trial, check_held):
        logger.info("%s:", trial.name)
        started = time.monotonic()
        run = self._train(trial, check_held)
        seconds = time.monotonic() - started
        networks, classes = {}, None
        for role in trial.roles:  # the main network comes last; its classes are kept
            networks[role], classes = self._evaluate(trial, run, role)
        result = Result(
            trial,
            networks,
            runs.read_history(run),
            self._command(trial),
            json.loads(configs.to_json(run.config)),
            {**self.about, "seconds": seconds},
            self._losses(run),
        )
        write_result(self.folder, result, classes)
        run.drop_checkpoints()  # the best weights remain
        title = {**MEASURES, **SEGMENT_MEASURES}[trial.measure]
        logger.info("%s: %s %.4f, %.0f s of training", trial.name, title, result.score(), seconds)
        keras.utils.clear_session()

    def _train(self, trial, check_held):
        """Trains or resumes the run of a trial, and returns it."""
        config = self._config(trial)
        files = runs.find_training_files(config)
        folder = settings_module.run_folder(self.folder, trial)
        run = runs.prepare_run(folder, runs.pin(config, files), check_held=check_held)
        runs.train_run(run, files.held_in(self.records), self.strategy)
        return run

    def _config(self, trial):
        return settings_module.run_config(trial, self.settings, self.folder)

    def _command(self, trial):
        return settings_module.command(trial, self.settings, self.folder)

    def _losses(self, run):
        """`Result.losses`."""
        return {}

    def _evaluate(self, trial, run, role):
        """The entry of a network in `Result.networks`, and its per-class arrays."""
        loaded = runs.LoadedNetwork(run, self.strategy, role)
        with Evaluator(loaded.config.num_classes) as evaluator:
            measures = loaded.evaluate(self.eval_shards, None, evaluator)
            return {**measures, **about_network(loaded)}, evaluator.per_class()


def about_network(loaded: runs.LoadedNetwork) -> dict:
    """What `Result.networks` records about a network besides its measures."""
    frames = loaded.config.max_frames
    return {
        "multiply_adds": loaded.network.multiply_adds(frames),
        "parameters": loaded.network.count_params(),
        "max_frames": frames,
        "step": loaded.progress.step,
        "epoch": loaded.progress.epoch,
    }


def machine() -> str:
    """The number and model of this computer's CPUs."""
    info = pathlib.Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", info.read_text(encoding="utf-8")) if info.exists() else None
    return f"{os.cpu_count()} x {model[1] if model else platform.machine()}"
