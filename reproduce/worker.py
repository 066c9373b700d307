"""Trains and scores cells, each once, whoever else works in the same folder."""

import json
import os
import pathlib
import platform
import re
import time

import keras

from reproduce import settings as settings_module
from reproduce.cells import with_teachers
from reproduce.results import Result, path_of, write_result
from youtube8m_distill import config as configs
from youtube8m_distill import runs
from youtube8m_distill.metrics import Evaluator

SECONDS_BETWEEN_LOOKS = 5  # at cells that another process trains


class Worker:
    """One process' part in an experiment.

    Args:
        folder: of the experiment.
        settings: Settings.
        strategy: tf.distribute.Strategy.
        eval_shards: tuple of data.tfrecord.Shard to score on.
        about: dict that goes into every result.
        say: where lines go.
        max_held_bytes: of records to keep in memory; as of runs.HeldRecords.
    """

    def __init__(self, folder, settings, strategy, eval_shards, about, say=print, max_held_bytes=None):
        self.folder, self.settings, self.strategy = folder, settings, strategy
        self.about, self.say = {**about, "settings": settings_module.digest(settings)}, say
        self.records = runs.HeldRecords(max_held_bytes)  # one reading of the files serves all cells
        self.eval_shards = self.records.hold(eval_shards)
        self.failures = {}

    def work(self, cells):
        """Trains what is not finished, the dearest first, teachers before their students.

        A cell that another process is training is left to it. A cell whose numbers go wrong is told and left out; the
        others go on.

        Args:
            cells: iterable of Cell.
        Returns:
            dict Cell -> why it could not be trained; empty where all are finished.
        Raises:
            ValueError, OSError, Interrupted: as training a single run does.
        """
        open_cells, waited_for = self._open(with_teachers(cells)), []
        while open_cells:
            attempted = [cell for cell in open_cells if self._is_ready(cell) and self._attempt(cell)]
            open_cells = self._open(open_cells)
            if open_cells and not attempted:
                if open_cells != waited_for:
                    self.say(f"Waiting for what other processes train: {', '.join(cell.name for cell in open_cells)}")
                waited_for = open_cells
                time.sleep(SECONDS_BETWEEN_LOOKS)
        return self.failures

    def _open(self, cells):
        """Those that are neither finished nor hopeless here."""
        left = [cell for cell in cells if not path_of(self.folder, cell).exists()]
        for cell in left:
            if cell.teacher in self.failures:
                self.failures[cell] = f"its teacher {cell.teacher.name} could not be trained"
            elif self._has_lost_its_teacher(cell):
                result = path_of(self.folder, cell.teacher)
                self.failures[cell] = f"its teacher's run is gone. Remove {result}, and the teacher is trained again."
        return [cell for cell in left if cell not in self.failures]

    def _is_ready(self, cell):
        return cell.teacher is None or path_of(self.folder, cell.teacher).exists()

    def _has_lost_its_teacher(self, cell):
        return cell.teacher and self._is_ready(cell) and not settings_module.run_folder(self.folder, cell.teacher).exists()

    def _attempt(self, cell):
        """Trains a cell, unless another process is at it. Returns whether this one was."""
        try:
            with runs.lock_run(settings_module.run_folder(self.folder, cell)) as check_held:
                if not path_of(self.folder, cell).exists():
                    self._train_and_score(cell, check_held)
        except runs.FolderInUse:
            return False
        except FloatingPointError as error:
            self.failures[cell] = str(error)
            self.say(f"{cell.name} could not be trained: {error}")
        return True

    def _train_and_score(self, cell, check_held):
        self.say(f"{cell.name}:")
        started = time.monotonic()
        config = settings_module.run_config(cell, self.settings, self.folder)
        training_files = runs.find_training_files(config)
        run = runs.prepare_run(
            settings_module.run_folder(self.folder, cell), runs.pin(config, training_files), check_held=check_held
        )
        runs.train_run(run, training_files.held_in(self.records), self.strategy, _indented(self.say))
        seconds = time.monotonic() - started
        networks, classes = {}, None
        for role in cell.roles:  # the one that the cell is about comes last
            networks[role], classes = self._score(run, role)
        command = settings_module.command(cell, self.settings, self.folder)
        result = Result(
            cell,
            networks,
            runs.read_history(run),
            command,
            json.loads(configs.to_json(run.config)),
            {**self.about, "seconds": seconds},
        )
        write_result(self.folder, result, classes)
        run.drop_checkpoints()  # its best weights stay; nobody goes on with the rest
        self.say(f"{cell.name}: GAP {result.score():.4f}, {seconds:.0f} s of training")
        keras.utils.clear_session()

    def _score(self, run, role):
        """What a Result has of a network, and its arrays by class."""
        loaded = runs.LoadedNetwork(run, self.strategy, role)
        with Evaluator(loaded.config.num_classes) as evaluator:
            measures = loaded.evaluate(self.eval_shards, None, evaluator)
            classes = evaluator.per_class()
        frames = loaded.config.max_frames
        return {
            **measures,
            "multiply_adds": loaded.network.multiply_adds(frames),
            "parameters": loaded.network.count_params(),
            "max_frames": frames,
            "step": loaded.progress.step,
            "epoch": loaded.progress.epoch,
        }, classes


def machine():
    """This computer in words, for results that depend on it."""
    about = pathlib.Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", about.read_text(encoding="utf-8")) if about.exists() else None
    return f"{os.cpu_count()} x {model[1] if model else platform.machine()}"


def _indented(say):
    return lambda line: say(f"  {line}")
