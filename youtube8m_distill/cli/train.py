"""Trains a teacher, a baseline, or a distilled student on YouTube-8M record files.

A teacher on all frames, then a student on 30 of them that learns from it:

    train.py --train_data_pattern='yt8m/train*.tfrecord' --train_dir=runs/teacher
    train.py --train_data_pattern='yt8m/train*.tfrecord' --train_dir=runs/student \\
        --mode=serial --teacher_dir=runs/teacher --frames_per_video=30

Add --validation_data_pattern='yt8m/validate0*.tfrecord' to both, and the best epoch is kept apart from the last.
"""

import contextlib
import os
import sys
import time

from absl import flags

from youtube8m_distill import runs, schema
from youtube8m_distill.cli import entry, run_config
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.engine import cluster as clusters
from youtube8m_distill.engine.interruption import Interrupted
from youtube8m_distill.engine.strategy import check_batch_size, chief_first, is_chief, machine, make_strategy

FLAGS = flags.FLAGS


def define_flags():
    our_flags.define_files(
        "Data",
        ("train_data_pattern", "Globs of training files, comma-separated, local or gs://."),
        ("validation_data_pattern", "Globs of validation files: the best checkpoint is chosen on them."),
    )
    our_flags.define_exclusions()
    our_flags.define_training_folder()
    our_flags.define_distillation()
    our_flags.define_frames()
    our_flags.define_network()
    our_flags.define_training()
    our_flags.define_run()
    our_flags.define_refused(
        segment_labels=our_flags.SEGMENTS,
        export_model_steps="use --checkpoint_steps; a checkpoint is all that eval.py and inference.py need",
        iterations="use --frames_per_video; a network reads every frame that it is given",
        sample_random_frames="use --frame_selection=random; a network reads every frame that it is given",
        vlagd="this variant of NetVLAD is not in this version",
        moe_low_rank_gating="low-rank gates are not in this version",
        pretrain_model_path="use --init_from, with the training directory of the network to start from",
        final_temperature="use --cl_temperature, which holds for both levels of a mixture",
        final_lambda="use --cl_temperature; its square is the weight",
        cl_lambda="use --cl_temperature; its square is the weight",
        gpu="use CUDA_VISIBLE_DEVICES to choose devices and --num_gpu for their number",
        bagging="resampling the file list is not in this version",
    )


def main():
    with entry.user_errors():
        cluster = clusters.read_cluster(os.environ)
    with contextlib.ExitStack() as held, clusters.ending_with_the_job(cluster, entry.fail):
        with entry.user_errors():
            strategy = make_strategy(FLAGS.num_gpu, cluster=cluster)
            config = run_config.config_from_flags()
            check_batch_size(config.training.batch_size, strategy)
            training_files = runs.find_training_files(config)
            config = runs.pin(config, training_files)
            with chief_first(strategy):
                run = held.enter_context(begin(config, strategy))
        train(run, training_files, strategy)


@contextlib.contextmanager
def begin(config, strategy):
    """The run in --train_dir, kept for this job alone inside the block; workers share the chief's lock."""
    if is_chief(strategy):
        with runs.lock_run(FLAGS.train_dir) as check_held:
            yield runs.prepare_run(FLAGS.train_dir, config, FLAGS.start_new_model, check_held)
    else:
        yield runs.join_run(FLAGS.train_dir, config)


def train(run, training_files, strategy):
    """Trains a run to its end; says what it starts with and what it ended with."""
    if is_chief(strategy):
        print(describe(run.config, training_files, strategy), flush=True)
    started = time.monotonic()
    try:
        progress = runs.train_run(run, training_files, strategy)
    except (ValueError, FloatingPointError, OSError) as error:  # a bad record, other targets, a full disk
        entry.fail(f"{our_flags.flag_of(error).rstrip('.')}. Training stopped; {last_checkpoint(run)}.")
    except Interrupted as stopped:
        print(
            f"Stopped by {stopped.signal.name}; {last_checkpoint(run)}. The same command goes on from there.",
            file=sys.stderr,
            flush=True,
        )
        sys.exit(entry.SIGNALLED + stopped.signal)
    if not is_chief(strategy):
        print(f"Done: step {progress.step}. The chief has written everything.")
        return
    if progress.long_videos:
        videos = progress.step * run.config.training.batch_size // machine(strategy)[1]
        print(
            f"{progress.long_videos:,} of {videos:,} videos trained on here, every epoch counted, have more than "
            f"{schema.MAX_FRAMES} frames; those past frame {schema.MAX_FRAMES} were left out."
        )
    best = ""
    if progress.best_step is not None:
        best = f"; best validation GAP {progress.best_value:.4f} at step {progress.best_step}"
    print(
        f"Done: step {progress.step}, {progress.epoch} epoch(s), {time.monotonic() - started:.0f} s{best}. "
        f"Everything is in {run.folder}."
    )


def last_checkpoint(run):
    """Which checkpoint there is to go on from, in words."""
    steps = run.checkpoints.steps()
    return f"the last good checkpoint is {run.checkpoints.step_folder(steps[-1])}" if steps else "there is no checkpoint yet"


def describe(config, training_files, strategy):
    """The settings that a run starts with, one group a line."""
    about = "" if training_files.num_train_is_exact else "about "
    devices = ", ".join(strategy.extended.worker_devices)
    machines = machine(strategy)[1]
    where = f" of {machines} machines, here" if machines > 1 else ""
    lines = [
        f"mode={config.mode} on {strategy.num_replicas_in_sync} device(s){where}: {devices}",
        f"data: {about}{training_files.num_train:,} training videos in {len(training_files.train)} file(s), "
        f"{len(training_files.validation)} validation file(s)",
    ]
    lines += [f"{role}: {_settings(network)}" for role, network in config.networks.items()]
    if config.mode != "serial" and config.networks[schema.TEACHER].settings().get("reverse_whitening") is False:
        lines.append(
            "Frames are L2-normalized; as published, this family reverses the whitening of their PCA: give "
            "--pca_eigenvalues to do so."
        )
    if config.distillation:
        lines.append(f"distillation: {_settings(config.distillation)}")
    return "\n".join([*lines, f"training: {_settings(config.training)}"])


def _settings(config):
    """The fields that are set, as name=value; nested ones as their values."""
    shown = []
    for name, value in config.to_dict().items():
        if isinstance(value, dict):
            value = "/".join(_joined(nested) for nested in value.values() if nested is not None)
        if value is not None:
            shown.append(f"{name}={_joined(value)}")
    return ", ".join(shown)


def _joined(value):
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def run():
    define_flags()
    entry.run(main, __doc__)


if __name__ == "__main__":
    run()
