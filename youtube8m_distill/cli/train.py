"""Trains a teacher, a baseline, or a student that learns from a teacher."""

import contextlib
import os
import shlex
import sys
import time

from youtube8m_distill import config as configs
from youtube8m_distill import files, runs, schema
from youtube8m_distill.cli import entry, run_config
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.data.notes import NoteCounter
from youtube8m_distill.engine import cluster as clusters
from youtube8m_distill.engine.interruption import Interrupted
from youtube8m_distill.engine.placement import member_devices
from youtube8m_distill.engine.strategy import check_batch_size, chief_first, is_chief, machine, make_strategy
from youtube8m_distill.errors import BadRecordError, written
from youtube8m_distill.settings import require


def main():
    with entry.user_errors():
        cluster = clusters.read_cluster(os.environ)
    with contextlib.ExitStack() as held, clusters.ending_with_the_job(cluster, entry.fail):
        with entry.user_errors():
            reason = "is not supported with TF_CONFIG: it uses the GPUs of one machine. Leave out one of them."
            require(not (FLAGS.place_members and cluster), "place_members", reason, True)
            placed = member_devices(FLAGS.num_gpu) if FLAGS.place_members else []
            strategy = make_strategy(1 if placed else FLAGS.num_gpu, cluster=cluster)
            config, record_files = run_config.from_flags()
            check_batch_size(config.training.batch_size, strategy)
            training_files = runs.find_training_files(config, record_files)
            config = runs.pin(config, training_files, FLAGS.train_dir)
            with chief_first(strategy):  # workers share the chief's lock
                if is_chief(strategy):
                    check_held = held.enter_context(runs.lock_run(FLAGS.train_dir))
                    run = runs.prepare_run(FLAGS.train_dir, config, FLAGS.start_new_model, check_held)
                    command = f"{entry.program('train')} {shlex.join(sys.argv[1:])}\n"
                    files.write_text(run.folder / runs.COMMAND_FILE, command)
                else:
                    run = runs.join_run(FLAGS.train_dir, config)
        train(run, training_files, strategy, placed)


def train(run, training_files, strategy, placed=()):
    """Trains a run to its end; prints its settings first and its result last."""
    if is_chief(strategy):
        print(describe(run.config, training_files, strategy, placed), flush=True)
    started = time.monotonic()
    try:
        progress = runs.train_run(run, training_files, strategy, placed)
    except (ValueError, FloatingPointError, OSError) as error:  # a bad record, other targets, a full disk
        advice = entry.skip_bad_records(run.config.reading.segment_labels) if isinstance(error, BadRecordError) else ""
        reason = entry.message_of(error).rstrip(".")
        entry.fail(f"{reason}. Training stopped; {last_checkpoint(run)}. {advice}".rstrip())
    except Interrupted as stopped:
        message = f"Stopped by {stopped.signal.name}; {last_checkpoint(run)}. The same command resumes it."
        print(message, file=sys.stderr, flush=True)
        sys.exit(entry.SIGNALLED + stopped.signal)
    if not is_chief(strategy):
        print(f"Done: step {progress.step}. The chief has written everything.")
        return
    videos = progress.step * run.config.training.batch_size // machine(strategy)[1]
    max_video_frames = min(network.max_video_frames for network in run.config.networks.values())
    for line in NoteCounter(max_video_frames, progress.notes, videos).in_words(" (counted in every epoch)"):
        print(line)
    best = ""
    if progress.best_step is not None:
        best = f"; best validation GAP {progress.best_value:.4f} at step {progress.best_step}"
    print(
        f"Done: step {progress.step}, {progress.epoch} epoch(s), {time.monotonic() - started:.0f} s{best}. "
        f"Everything is in {run.folder}."
    )


def last_checkpoint(run):
    """Which checkpoint the run can be resumed from, in words."""
    steps = run.checkpoints.steps()
    return f"the last good checkpoint is {run.checkpoints.step_folder(steps[-1])}" if steps else "there is no checkpoint yet"


def describe(config, training_files, strategy, placed=()):
    """The settings of a run, one group per line."""
    examples = "segments" if config.reading.segment_labels else "videos"
    about = "" if training_files.num_train_is_exact else "about "
    machines = machine(strategy)[1]
    where = f" of {machines} machines, here" if machines > 1 else ""
    count, used = strategy.num_replicas_in_sync, ", ".join(strategy.extended.worker_devices)
    if placed:
        count, used = len(placed), f"{', '.join(placed)}, over which the members of mixtures are spread"
    devices = f"{count} device(s){where}: {used}"
    lines = [
        f"mode={config.mode} on {devices}",
        f"data: {about}{training_files.num_train:,} training {examples} in {len(training_files.train)} file(s), "
        f"{len(training_files.validation)} validation file(s)",
    ]
    lines += _about_recipe(config)
    lines += [f"{config.title(role)}: {_settings(network)}" for role, network in config.networks.items()]
    if config.mode != "serial" and config.networks[schema.TEACHER].settings().get("reverse_whitening") is False:
        lines.append(
            "Frames are L2-normalized. As published, this family reverses the whitening of the features' PCA instead; "
            "--pca_eigenvalues does so."
        )
    if len(config.teacher_roles) > 1 and config.distillation.needs_teacher:
        lines.append(f"The student learns from the mean of the predictions of {len(config.teacher_roles)} teachers.")
    if config.distillation:
        lines.append(f"distillation: {_settings(config.distillation)}")
    return "\n".join([*lines, f"training: {_settings(config.training)}"])


def _about_recipe(config):
    """The recipe of a run and, if it was asked for, every value with its source."""
    about = f"recipe {config.recipe}: {configs.RECIPES[config.recipe].about}"
    if not FLAGS["recipe"].present:
        return [f"{about} --recipe={config.recipe} lists the source of every value."]
    main = config.networks[config.main_role]
    values = configs.explain(config.recipe, main, config.training, config.distillation)
    return [about, *(f"  {line}" for line in values)]


def _settings(config):
    """The fields that have a value, as name=value; nested ones as values separated by slashes."""
    shown = {}
    for name, value in config.to_dict().items():
        if isinstance(value, dict):
            value = "/".join(written(nested) for nested in value.values() if nested is not None)
        if value is not None:
            shown[name] = written(value)
    return ", ".join(f"{name}={value}" for name, value in shown.items())
