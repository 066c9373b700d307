"""Reproduces the papers: trains the trials, and writes tables, figures, findings, and a report.

    python -m reproduce table1 --data=yt8m/frame --output_dir=experiments

NAME is one or more of

    {names}

or `all`, which is all but mod_*. `report` does not train; it rewrites tables, figures, and report.html from the results in
--output_dir.

An interrupted command resumes when it is run again, and finished trials are not repeated. On several machines, run the same
command with --shard=1/4 ... --shard=4/4 in one shared folder, or in separate folders whose results/ and runs/ you then copy
into one.
"""

import contextlib
import ctypes
import importlib.metadata
import logging
import os
import shlex
import signal
import subprocess
import sys

import tensorflow as tf
from absl import flags

from reproduce import measurements
from reproduce.experiments import experiment_of
from reproduce.flags import REPORT, chosen_recipes, define_flags, grid_from_flags, read_shard, refuse_other_flags
from reproduce.publish import publish
from reproduce.recipes import EVERY_RECIPE
from reproduce.request import Request, add_request, read_request
from reproduce.results import path_of, read_results, write_class_names
from reproduce.settings import check_settings, digest, read_settings, write_settings
from reproduce.trials import with_prerequisites
from reproduce.worker import machine
from youtube8m_distill import files, runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.loading import load_tensorflow
from youtube8m_distill.cli.values import vocabulary
from youtube8m_distill.engine.interruption import Interrupted
from youtube8m_distill.engine.strategy import check_batch_size, make_strategy
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS
logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1  # an option of prctl on Linux
WORKER_FLAGS = ("--workers=1", "--noreport")  # the last flags in a worker's command, after --threads and --max_held_gb
PACKAGES = ("tensorflow", "keras", "numpy")


def main(*names):
    load_tensorflow()
    with entry.user_errors():
        recipes = chosen_recipes(names)
        if not FLAGS.output_dir:
            raise SettingError("output_dir", "is missing. Name the folder of the experiment.")
        files.check_output("output_dir", FLAGS.output_dir, folder=True)
        if REPORT in names:
            refuse_other_flags()
            write_report(read_request(FLAGS.output_dir))
            return
        experiment = experiment_of(recipes)
        request, part = Request(dict.fromkeys(recipes, grid_from_flags())), read_shard(FLAGS.shard)
        check_workers()
        if FLAGS.threads:  # before TensorFlow starts its threads
            tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
        settings, shards = experiment.settings_from_flags()
        check_settings(settings, FLAGS.output_dir)
        read_results(FLAGS.output_dir, digest(settings))  # reports invalid files before the first training
    trials = sorted(request.trials(), key=lambda trial: trial.work)[part[0] :: part[1]]
    if FLAGS.dry_run:
        list_trials(trials)
        return
    with entry.user_errors():
        strategy = make_strategy(FLAGS.num_gpu)
        check_trials(unfinished(trials), settings, strategy, experiment)
        class_names = vocabulary()
        if read_settings(FLAGS.output_dir) is None:
            runs.check_sets(shards, settings.features, settings.num_classes)
        write_settings(settings, FLAGS.output_dir)  # nothing is written until all checks have passed
        add_request(FLAGS.output_dir, request)
        if class_names is not None:
            write_class_names(FLAGS.output_dir, class_names)
    failures = train(trials, settings, strategy, shards["eval_data_pattern"], experiment.worker)
    if FLAGS.report:
        with entry.user_errors():
            request = read_request(FLAGS.output_dir)  # includes what other commands have requested since
            measure(request, settings, strategy, shards["eval_data_pattern"])
            write_report(request)
    left = unfinished(trials)
    if left:
        entry.fail(f"{len(left)} of {len(trials)} trials did not finish. {' '.join(failures)}")


def unfinished(trials):
    return [trial for trial in trials if not path_of(FLAGS.output_dir, trial).exists()]


def list_trials(trials):
    """Prints the trials and those that they need, and whether each is finished."""
    all_trials = with_prerequisites(trials)
    left = unfinished(all_trials)
    for trial in all_trials:
        print(f"{'to do' if trial in left else 'finished':<9} {trial.name}")
    num_needed = len(all_trials) - len(trials)
    needed = f" and {num_needed} that they need" if num_needed else ""
    print(f"{len(trials)} trials{needed}, {len(left)} to do.")


def train(trials, settings, strategy, eval_shards, worker_class):
    """Trains the unfinished trials, in this process or in --workers processes.

    Returns:
        list of str, the reasons why trials did not finish.
    """
    left = unfinished(trials)
    logger.info("%d trials, %d to do, in %s.", len(trials), len(left), FLAGS.output_dir)
    if not left:
        return []
    if FLAGS.workers > 1:
        return train_in_processes()
    max_held_bytes = None if FLAGS.max_held_gb is None else int(FLAGS.max_held_gb * 1e9)
    worker = worker_class(FLAGS.output_dir, settings, strategy, eval_shards, provenance(), max_held_bytes)
    try:
        failures = worker.work(left)
    except Interrupted as stopped:
        print(f"Stopped by {stopped.signal.name}. Run the same command to resume.", file=sys.stderr, flush=True)
        sys.exit(entry.SIGNALLED + stopped.signal)
    except (ValueError, OSError) as error:
        entry.fail(f"{entry.message_of(error)} Run the same command again to train the unfinished trials.")
    return [f"{trial.name}: {reason}" for trial, reason in failures.items()]


def train_in_processes():
    """Trains in worker processes that have the same flags, share the memory and threads, and end when this process ends.

    Each worker has its own process group, so only this process receives Ctrl-C. It then signals the workers to save and end.
    """
    max_held_gb = FLAGS.max_held_gb if FLAGS.max_held_gb is not None else runs.default_bytes() / FLAGS.workers / 1e9
    threads = FLAGS.threads or max(1, os.cpu_count() // FLAGS.workers)
    resources = (f"--threads={threads}", f"--max_held_gb={max_held_gb}")
    command = [sys.executable, "-m", "reproduce", *sys.argv[1:], *resources, *WORKER_FLAGS]
    processes = [subprocess.Popen(command, preexec_fn=end_with_parent, process_group=0) for _ in range(FLAGS.workers)]
    try:
        codes = [process.wait() for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()
    return ["A worker failed; see its message above."] if any(codes) else []


def end_with_parent():
    """Makes Linux send SIGTERM to this process when its parent ends, whatever the reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def check_workers():
    """Refuses several workers if each of them would take all GPUs.

    Raises:
        SettingError: about workers.
    """
    if FLAGS.workers > 1 and tf.config.list_physical_devices("GPU"):
        raise SettingError(
            "workers",
            "several processes cannot share the GPUs of this machine. Start one command per GPU, all with the same "
            "--output_dir, and each with its own CUDA_VISIBLE_DEVICES and --shard=i/n.",
            FLAGS.workers,
        )


def check_trials(trials, settings, strategy, experiment):
    """Checks the settings and files of all trials before training starts.

    Raises:
        SettingError: about the flag that is invalid.
    """
    for trial in {trial.reads: trial for trial in trials}.values():
        try:
            config = experiment.run_config(trial, settings, FLAGS.output_dir).replace(init_from="")  # may not exist yet
            check_batch_size(config.training.batch_size, strategy)
            runs.find_training_files(config)
        except SettingError as error:
            raise SettingError(experiment.flag_of(trial, error.name), error.reason, error.value) from None


def provenance():
    """Facts that every result records. The command is the user's, even in a worker."""
    is_worker = tuple(sys.argv[-2:]) == WORKER_FLAGS
    given = sys.argv[1:-4] if is_worker else sys.argv[1:]  # without the four flags that were added for a worker
    return {
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "experiment": f"python -m reproduce {shlex.join(given)}",
    }


def measure(request, settings, strategy, eval_shards):
    """Measures speed, encodings, and choices of frames for the recipes that show them, unless they exist."""
    about = {**provenance(), "settings": digest(settings)}
    for name, grid in request.grids.items():
        timed = [trial for trial in getattr(EVERY_RECIPE[name], "timing", lambda grid: [])(grid) if grid.wants(trial)]
        if timed and not unfinished(timed) and not measurements.is_measured(FLAGS.output_dir, timed):
            with skipped_on_error(f"the speed for {name}"):
                measurements.measure_speed(FLAGS.output_dir, timed, eval_shards, strategy, about)
        for trial in getattr(EVERY_RECIPE[name], "encodings", lambda grid: [])(grid):
            path = measurements.encodings_path(FLAGS.output_dir, trial)
            if not unfinished([trial, trial.teacher]) and not path.exists():
                with skipped_on_error(f"the encodings for {name}"):
                    measurements.project_encodings(FLAGS.output_dir, trial, eval_shards, strategy, about)
        for trial in grid.trials(getattr(EVERY_RECIPE[name], "frame_choices", lambda grid: [])(grid)):
            path = measurements.choices_path(FLAGS.output_dir, trial)
            if not unfinished([trial]) and not path.exists():
                with skipped_on_error(f"the frames of {trial.name} for {name}"):
                    measurements.record_frame_choices(FLAGS.output_dir, trial, eval_shards, strategy, about)


@contextlib.contextmanager
def skipped_on_error(what):
    """If a measurement in the block fails, logs the reason and continues."""
    try:
        yield
    except FileNotFoundError as error:
        logger.warning("Skipping %s: %s Run the same command in a folder whose runs/ contains the networks.", what, error)
    except ValueError as error:
        logger.warning("Skipping %s: %s", what, error)


def write_report(request):
    """Writes tables, figures, and report.html from the results that exist."""
    trials = request.trials()
    about_data = FLAGS.about_data or (read_settings(FLAGS.output_dir) or {}).get("about_data", "")
    path = publish(FLAGS.output_dir, request, about_data)
    print(f"{len(trials) - len(unfinished(trials))} of {len(trials)} trials finished. Report: {path}", flush=True)


def run():
    define_flags()
    entry.run(main, (__doc__ or "").format(names=", ".join(EVERY_RECIPE)), takes_names=True)
