"""Runs the papers' experiments: trains what they take, and writes tables, figures, findings and a report.

    python -m reproduce table1 --data=yt8m/frame --output_dir=experiments

NAME is one or more of

    {names}

or `all`; `report` trains nothing and makes tables, figures and report.html again from --output_dir as it is. The same
command again goes on where it stopped: a finished cell is never trained twice. Several machines: the same command with
--shard=1/4 ... --shard=4/4, in one shared folder, or in folders whose results/ and runs/ are then copied together.
"""

import contextlib
import ctypes
import importlib.metadata
import os
import shlex
import signal
import subprocess
import sys

import tensorflow as tf
from absl import flags

from reproduce import measurements
from reproduce.cells import METHODS, dearest_first, with_teachers
from reproduce.flags import REPORT, chosen_recipes, grid_from_flags, read_shard, refuse_other_flags, settings_from_flags
from reproduce.grid import FAMILIES, PAPER_KS
from reproduce.publish import publish
from reproduce.recipes import RECIPES
from reproduce.request import Request, add_request, read_request
from reproduce.results import path_of, read_results, write_class_names
from reproduce.settings import check_settings, digest, keep_settings, read_settings, run_config
from reproduce.worker import Worker, machine
from youtube8m_distill import files, runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli.eval import read_vocabulary
from youtube8m_distill.cli.loading import load_tensorflow
from youtube8m_distill.engine.interruption import Interrupted
from youtube8m_distill.engine.strategy import check_batch_size, make_strategy
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS

PR_SET_PDEATHSIG = 1  # of Linux' prctl
OF_A_WORKER = ("--workers=1", "--noreport")  # what one is told beside the flags that were given, and two flags more
PACKAGES = ("tensorflow", "keras", "numpy")


def define_flags():
    our_flags.define_files(
        "Data",
        (
            "data",
            "Folder with train*.tfrecord and validate*.tfrecord. An eighth of the validate files, at least one, chooses"
            " the best epoch; the others are scored. The next three name other files.",
        ),
        ("train_data_pattern", "Globs of training files, comma-separated."),
        ("validation_data_pattern", "Globs of files to choose the best epoch by."),
        ("eval_data_pattern", "Globs of held-out files to score. No video may be in two of the three."),
    )
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
    flags.DEFINE_integer(
        "seeds", 1, "Seeds of H-RNN's Skyline, Uniform-k and serial student of all three losses, on all videos.", 1
    )
    flags.DEFINE_integer("other_seeds", None, "Seeds of all other cells. Default: as --seeds.", 1)
    flags.DEFINE_boolean(
        "same_steps",
        False,
        "Cells of a share of the training videos train for as many steps as those of "
        "all, in more epochs. Default: for as many epochs.",
    )
    our_flags.GROUPS["Grid"] = ["families", "methods", "ks", "seeds", "other_seeds", "same_steps"]
    flags.DEFINE_string("shard", "1/1", "i/n: train the i-th of n parts of the cells, 1/n to n/n.")
    flags.DEFINE_integer("workers", 1, "Processes of this machine that train cells at the same time.", 1)
    flags.DEFINE_integer(
        "threads", None, "CPU threads for the operations of one process. Default: all cores, divided among --workers.", 1
    )
    flags.DEFINE_boolean(
        "store_targets", True, "Compute a teacher's targets once for all its students; 16 KB a video at published size."
    )
    flags.DEFINE_float(
        "max_held_gb",
        None,
        "Records that one process keeps in memory, instead of reading files for each "
        "cell. Default: a quarter of what is free, divided among --workers.",
        0,
    )
    our_flags.GROUPS["Work"] = ["shard", "workers", "threads", "store_targets", "max_held_gb"]
    our_flags.define_network()
    our_flags.define_training()
    our_flags.define_run()


def main(*names):
    load_tensorflow()
    with entry.user_errors():
        recipes = chosen_recipes(names)
        if not FLAGS.output_dir:
            raise SettingError("output_dir", "is missing: name the folder of the experiment.")
        files.check_output("output_dir", FLAGS.output_dir, folder=True)
        if REPORT in names:
            refuse_other_flags()
            write_report(read_request(FLAGS.output_dir))
            return
        request, part = Request(dict.fromkeys(recipes, grid_from_flags())), read_shard(FLAGS.shard)
        check_workers()
        if FLAGS.threads:  # before TensorFlow does anything
            tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
        settings, shards = settings_from_flags()
        check_settings(settings, FLAGS.output_dir)
        read_results(FLAGS.output_dir, digest(settings))  # what cannot be shown at the end is told now
    mine = sorted(request.cells(), key=dearest_first)[part[0] :: part[1]]
    if FLAGS.dry_run:
        list_cells(mine)
        return
    with entry.user_errors():
        strategy = make_strategy(FLAGS.num_gpu)
        check_all(unfinished(mine), settings, strategy)
        names = read_vocabulary(FLAGS.vocabulary) if FLAGS.vocabulary else None
        keep(settings, shards)  # nothing is written before all that may be refused
        add_request(FLAGS.output_dir, request)
        if names is not None:
            write_class_names(FLAGS.output_dir, names)
    complaints = train(mine, settings, strategy, shards["eval_data_pattern"])
    if FLAGS.report:
        with entry.user_errors():
            request = read_request(FLAGS.output_dir)  # with what others have asked for meanwhile
            measure(request, settings, strategy, shards["eval_data_pattern"])
            write_report(request)
    left = unfinished(mine)
    if left:
        entry.fail(f"{len(left)} of {len(mine)} cells could not be finished. {' '.join(complaints)}")


def keep(settings, shards):
    """Notes the settings; before the first training in a folder, after a look at every video of its sets."""
    if read_settings(FLAGS.output_dir) is None:
        runs.check_sets(shards, settings.features, settings.num_classes)
    keep_settings(settings, FLAGS.output_dir)


def unfinished(cells):
    return [cell for cell in cells if not path_of(FLAGS.output_dir, cell).exists()]


def list_cells(cells):
    with_theirs = with_teachers(cells)
    for cell in with_theirs:
        print(f"{'finished' if path_of(FLAGS.output_dir, cell).exists() else 'to do':<9} {cell.name}")
    teachers = f" and {len(with_theirs) - len(cells)} teachers of theirs" if len(with_theirs) > len(cells) else ""
    print(f"{len(cells)} cells{teachers}, {len(unfinished(with_theirs))} to do.")


def train(cells, settings, strategy, eval_shards):
    """Trains what is not finished, here or in as many processes as --workers asks for.

    Returns:
        list of str, why some could not be.
    """
    left = unfinished(cells)
    print(f"{len(cells)} cells, {len(left)} to do, in {FLAGS.output_dir}.", flush=True)
    if not left:
        return []
    if FLAGS.workers > 1:
        return train_in_processes()
    max_held_bytes = None if FLAGS.max_held_gb is None else int(FLAGS.max_held_gb * 1e9)
    worker = Worker(FLAGS.output_dir, settings, strategy, eval_shards, about_runs(), say, max_held_bytes)
    try:
        failures = worker.work(left)
    except Interrupted as stopped:
        print(f"Stopped by {stopped.signal.name}. The same command goes on from there.", file=sys.stderr, flush=True)
        sys.exit(entry.SIGNALLED + stopped.signal)
    except (ValueError, OSError) as error:
        entry.fail(f"{entry.message_of(error)} The same command goes on with what is not finished.")
    return [f"{cell.name}: {reason}" for cell, reason in failures.items()]


def train_in_processes():
    """The same in processes with the same flags, which end with this one; this one has its memory and threads for itself.

    They are a group of their own, so that Ctrl-C reaches this process alone, which has them save and end.
    """
    max_held_gb = FLAGS.max_held_gb if FLAGS.max_held_gb is not None else runs.default_bytes() / FLAGS.workers / 1e9
    threads = FLAGS.threads or max(1, os.cpu_count() // FLAGS.workers)
    command = [
        sys.executable,
        "-m",
        "reproduce",
        *sys.argv[1:],
        f"--threads={threads}",
        f"--max_held_gb={max_held_gb}",
        *OF_A_WORKER,
    ]
    processes = [subprocess.Popen(command, preexec_fn=end_with_parent, process_group=0) for _ in range(FLAGS.workers)]
    try:
        codes = [process.wait() for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()
    return ["A worker ended with an error; its message stands above."] if any(codes) else []


def end_with_parent():
    """Has this process told to end when its parent is gone, however that went; where the system is not Linux, it is not."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def check_workers():
    """Refuses several processes that would each take all GPUs.

    Raises:
        ValueError: beginning with the flag's name.
    """
    if FLAGS.workers > 1 and tf.config.list_physical_devices("GPU"):
        raise SettingError(
            "workers",
            "processes cannot share this machine's GPUs. Start one command a GPU on "
            "the same --output_dir, each with CUDA_VISIBLE_DEVICES and a --shard=i/n of its own.",
            FLAGS.workers,
        )


def check_all(cells, settings, strategy):
    """Sees before the first training that none of them will refuse its settings or its files.

    Raises:
        ValueError: beginning with the name of the flag that is to blame.
    """
    for cell in {(cell.family, cell.train_fraction): cell for cell in cells}.values():
        config = run_config(cell, settings, FLAGS.output_dir)
        check_batch_size(config.training.batch_size, strategy)
        runs.find_training_files(config)


def say(line):
    print(line, flush=True)


def about_runs():
    """What every result says of where it came from; the command is the one that was given, in a worker too."""
    given = sys.argv[1:-4] if tuple(sys.argv[-2:]) == OF_A_WORKER else sys.argv[1:]
    return {
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "experiment": f"python -m reproduce {shlex.join(given)}",
    }


def measure(request, settings, strategy, eval_shards):
    """Speed and encodings, for the recipes that show them and where they are not known yet."""
    about = {**about_runs(), "settings": digest(settings)}
    for name, grid in request.grids.items():
        timed = [cell for cell in getattr(RECIPES[name], "timing", lambda grid: [])(grid) if grid.wants(cell)]
        if timed and not unfinished(timed) and not measurements.is_measured(FLAGS.output_dir, timed):
            with not_ending_for(f"The speed that {name} shows was not measured"):
                measurements.measure_speed(FLAGS.output_dir, timed, eval_shards, strategy, about)
        for cell in getattr(RECIPES[name], "encodings", lambda grid: [])(grid):
            path = measurements.encodings_path(FLAGS.output_dir, cell)
            if not unfinished([cell, cell.teacher]) and not path.exists():
                with not_ending_for(f"The encodings that {name} shows were not computed"):
                    measurements.project_encodings(FLAGS.output_dir, cell, eval_shards, strategy, about)


@contextlib.contextmanager
def not_ending_for(what):
    """Says what could not be had, and why; everything else is shown without it."""
    try:
        yield
    except FileNotFoundError as error:
        our_flags.warn(f"{what}: {error} The same command does it where runs/ holds the trained networks.")
    except ValueError as error:
        our_flags.warn(f"{what}: {error}")


def write_report(request):
    """Tables, figures and report.html from the results that there are."""
    cells = request.cells()
    about_data = FLAGS.about_data or (read_settings(FLAGS.output_dir) or {}).get("about_data", "")
    path = publish(FLAGS.output_dir, request, about_data)
    print(f"{len(cells) - len(unfinished(cells))} of {len(cells)} cells finished. Report: {path}")


def run():
    define_flags()
    entry.run(main, __doc__.format(names=", ".join(RECIPES)), takes_names=True)


if __name__ == "__main__":
    run()
