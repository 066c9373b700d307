"""Runs the papers' experiments: trains what they take, and writes tables, figures, findings and a report.

    python -m youtube8m_distill.experiments table1 --data=yt8m/frame --output_dir=experiments

NAME is one or more of

    {names}

or `all`; `report` trains nothing and makes tables, figures and report.html again from --output_dir as it is. The same
command again goes on where it stopped: a finished cell is never trained twice. Several machines: the same command with
--shard=1/4 ... --shard=4/4, in one shared folder, or in folders whose results/ and runs/ are then copied together.
"""

import contextlib
import dataclasses
import importlib.metadata
import os
import pathlib
import shlex
import signal
import subprocess
import sys

import tensorflow as tf
from absl import flags

from youtube8m_distill import files, runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli.eval import read_vocabulary
from youtube8m_distill.cli.experiment_request import (
    REPORT, chosen_recipes, grid_from_flags, read_shard, settings_from_flags)
from youtube8m_distill.experiments import measurements
from youtube8m_distill.experiments.cells import METHODS, dearest_first
from youtube8m_distill.experiments.grid import FAMILIES, PAPER_KS, Grid
from youtube8m_distill.experiments.publish import publish
from youtube8m_distill.experiments.recipes import RECIPES
from youtube8m_distill.experiments.results import path_of, read_versioned, write_class_names, write_versioned
from youtube8m_distill.experiments.settings import check_settings, keep_settings, read_settings, run_config
from youtube8m_distill.experiments.worker import Worker, machine
from youtube8m_distill.training.interruption import Interrupted
from youtube8m_distill.training.strategy import check_batch_size, make_strategy

FLAGS = flags.FLAGS

REQUEST_FILE = "request.json"       # what the last command asked for
PACKAGES = ("tensorflow", "keras", "numpy")


def define_flags():
    our_flags.define_files(
        "Data",
        ("data", "Folder with train*.tfrecord and validate*.tfrecord. An eighth of the validate files, at least one, chooses"
         " the best epoch; the others are scored. The next three name other files."),
        ("train_data_pattern", "Globs of training files, comma-separated."),
        ("validation_data_pattern", "Globs of files to choose the best epoch by."),
        ("eval_data_pattern", "Globs of held-out files to score. No video may be in two of the three."))
    our_flags.define_readers()
    our_flags.define_skipping()
    flags.DEFINE_string("vocabulary", "", "Official vocabulary CSV: class names in figures and tables.")
    flags.DEFINE_string("about_data", "", "One sentence about the data for the head of the report.")
    our_flags.GROUPS["Data"] += ["vocabulary", "about_data"]
    flags.DEFINE_string("output_dir", "", "Folder of the experiment: results, runs, tables, figures, report.html.")
    flags.DEFINE_boolean("report", True, "Measure speed and write the report at the end.")
    flags.DEFINE_boolean("dry_run", False, "List the cells and whether they are finished; train nothing.")
    our_flags.GROUPS["Output"] = ["output_dir", "report", "dry_run"]
    flags.DEFINE_list("families", list(FAMILIES), "Network families wanted.")
    flags.DEFINE_list("methods", list(METHODS), "Rows wanted.")
    flags.DEFINE_list("ks", list(map(str, PAPER_KS)), "Numbers of frames that students see.")
    flags.DEFINE_integer("seeds", 1, "Seeds of H-RNN's Skyline, Uniform-k and serial student of all three losses, on "
                         "all videos.", 1)
    flags.DEFINE_integer("other_seeds", None, "Seeds of all other cells. Default: as --seeds.", 1)
    flags.DEFINE_boolean("same_steps", False, "Cells of a share of the training videos train for as many steps as those of "
                         "all, in more epochs. Default: for as many epochs.")
    our_flags.GROUPS["Grid"] = ["families", "methods", "ks", "seeds", "other_seeds", "same_steps"]
    flags.DEFINE_string("shard", "1/1", "i/n: train the i-th of n parts of the cells, 1/n to n/n.")
    flags.DEFINE_integer("workers", 1, "Processes of this machine that train cells at the same time.", 1)
    flags.DEFINE_integer("threads", None, "CPU threads for the operations of one process. Default: all cores, divided "
                         "among --workers.", 1)
    flags.DEFINE_boolean("store_targets", True, "Compute a teacher's targets once for all its students; 16 KB a video at "
                         "published size.")
    our_flags.GROUPS["Work"] = ["shard", "workers", "threads", "store_targets"]
    our_flags.define_network()
    our_flags.define_training()
    our_flags.define_run()


def main(*names):
    with entry.user_errors():
        recipes = chosen_recipes(names)
        if not FLAGS.output_dir:
            raise ValueError("output_dir is missing: name the folder of the experiment.")
        files.check_output("output_dir", FLAGS.output_dir, folder=True)
        if REPORT in names:
            write_report(*last_request())
            return
        grid, part = grid_from_flags(), read_shard(FLAGS.shard)
        if FLAGS.threads or FLAGS.workers > 1:          # before TensorFlow does anything
            tf.config.threading.set_intra_op_parallelism_threads(num_threads())
        settings, shards = settings_from_flags()
    wanted = cells_of(recipes, grid)
    mine = sorted(wanted, key=dearest_first)[part[0]::part[1]]
    if FLAGS.dry_run:
        list_cells(mine)
        return
    with entry.user_errors():
        keep(settings, shards)
        write_versioned(pathlib.Path(FLAGS.output_dir) / REQUEST_FILE, {"names": recipes, "grid": dataclasses.asdict(grid)})
        if FLAGS.vocabulary:
            write_class_names(FLAGS.output_dir, read_vocabulary(FLAGS.vocabulary))
    train(mine, settings, shards["eval_data_pattern"])
    if FLAGS.report:
        with entry.user_errors():
            measure(recipes, grid, shards["eval_data_pattern"])
            write_report(recipes, grid)


def last_request():
    """Names of recipes and Grid of the last command that trained in --output_dir.

    Raises:
        FileNotFoundError: if none did.
    """
    path = pathlib.Path(FLAGS.output_dir) / REQUEST_FILE
    if not path.exists():
        raise FileNotFoundError(f"output_dir={FLAGS.output_dir} holds no experiment: {REQUEST_FILE} is not there.")
    request = read_versioned(path)
    return request["names"], Grid(**{name: tuple(value) if isinstance(value, list) else value
                                     for name, value in request["grid"].items()})


def keep(settings, shards):
    """Notes the settings; the first time, or with other files, after seeing that no video is in two sets."""
    check_settings(settings, FLAGS.output_dir)
    before = read_settings(FLAGS.output_dir)
    if before is None or before["fingerprints"] != settings.fingerprints:
        runs.refuse_common_videos(shards, settings.features, settings.num_classes)
    keep_settings(settings, FLAGS.output_dir)


def cells_of(recipes, grid):
    """The cells of several recipes, none twice. tuple of Cell."""
    return tuple({cell: None for name in recipes for cell in grid.cells(RECIPES[name].plan(grid))})


def unfinished(cells):
    return [cell for cell in cells if not path_of(FLAGS.output_dir, cell).exists()]


def list_cells(cells):
    for cell in cells:
        print(f"{'finished' if path_of(FLAGS.output_dir, cell).exists() else 'to do':<9} {cell.name}")
    print(f"{len(cells)} cells, {len(unfinished(cells))} to do.")


def train(cells, settings, eval_shards):
    """Trains what is not finished, in this process and in as many more as --workers asks for."""
    left = unfinished(cells)
    print(f"{len(cells)} cells, {len(left)} to do, in {FLAGS.output_dir}.", flush=True)
    if not left:
        return
    with helpers() as processes:
        with entry.user_errors():
            strategy = make_strategy(FLAGS.num_gpu)
            check_all(cells, settings, strategy)
        worker = Worker(FLAGS.output_dir, settings, strategy, eval_shards, about_runs(), say)
        try:
            failures = worker.work(left)
        except Interrupted as stopped:
            print(f"Stopped by {stopped.signal.name}. The same command goes on from there.", file=sys.stderr, flush=True)
            sys.exit(entry.SIGNALLED + stopped.signal)
        except (ValueError, OSError) as error:
            entry.fail(f"{our_flags.flag_of(str(error))} The same command goes on with what is not finished.")
        codes = [process.wait() for process in processes]
    left = unfinished(cells)
    if left:
        told = [f"{cell.name}: {reason}" for cell, reason in failures.items()]
        told += ["A worker ended with an error; its message stands above."] if any(codes) else []
        entry.fail(f"{len(left)} of {len(cells)} cells could not be finished. {' '.join(told)}")


def check_all(cells, settings, strategy):
    """Sees before the first training that none of them will refuse its settings or its files.

    Raises:
        ValueError: beginning with the name of the flag that is to blame.
    """
    for cell in {(cell.family, cell.train_fraction): cell for cell in cells}.values():
        config = run_config(cell, settings, FLAGS.output_dir)
        check_batch_size(config.training.batch_size, strategy)
        runs.find_training_files(config)


@contextlib.contextmanager
def helpers():
    """The other workers: processes with the same flags, which are ended with this one."""
    command = [sys.executable, "-m", "youtube8m_distill.experiments", *sys.argv[1:], "--workers=1", "--noreport",
               f"--threads={num_threads()}"]
    processes = [subprocess.Popen(command) for _ in range(FLAGS.workers - 1)]
    try:
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()


def num_threads():
    """CPU threads for the operations of one process."""
    return FLAGS.threads or max(1, os.cpu_count() // FLAGS.workers)


def say(line):
    print(line, flush=True)


def about_runs():
    """What every result says of where it came from."""
    return {"machine": machine(), "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
            "experiment": f"python -m youtube8m_distill.experiments {shlex.join(sys.argv[1:])}"}


def measure(recipes, grid, eval_shards):
    """Speed and encodings, for the recipes that show them and where they are not known yet."""
    strategy = make_strategy(FLAGS.num_gpu)
    for name in recipes:
        recipe = RECIPES[name]
        timed = [cell for cell in getattr(recipe, "timing", lambda grid: [])(grid) if grid.wants(cell)]
        if timed and not unfinished(timed) and not measurements.is_measured(FLAGS.output_dir, timed):
            measurements.measure_speed(FLAGS.output_dir, timed, eval_shards, strategy, about_runs())
        for cell in getattr(recipe, "encodings", lambda grid: [])(grid):
            path = measurements.encodings_path(FLAGS.output_dir, cell)
            if not unfinished([cell, cell.teacher]) and not path.exists():
                measurements.project_encodings(FLAGS.output_dir, cell, eval_shards, strategy)


def write_report(recipes, grid):
    """Tables, figures and report.html from the results that there are."""
    cells = cells_of(recipes, grid)
    missing = unfinished(cells)
    about_data = FLAGS.about_data or (read_settings(FLAGS.output_dir) or {}).get("about_data", "")
    path = publish(FLAGS.output_dir, recipes, grid, about_data, [cell.name for cell in missing])
    print(f"{len(cells) - len(missing)} of {len(cells)} cells finished. Report: {path}")


def run():
    define_flags()
    entry.run(main, __doc__.format(names=", ".join(RECIPES)), takes_names=True)


if __name__ == "__main__":
    run()
