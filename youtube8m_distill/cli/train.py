"""Trains a teacher, a baseline, or a distilled student on YouTube-8M record files.

A teacher on all frames, then a student on 30 of them that learns from it:

    train.py --train_data_pattern='yt8m/train*.tfrecord' --validation_data_pattern='yt8m/validate0*.tfrecord' --train_dir=runs/teacher
    train.py --mode=serial --teacher_dir=runs/teacher --frames_per_video=30 --train_data_pattern='yt8m/train*.tfrecord' --train_dir=runs/student
"""

import dataclasses
import pathlib
import time

from absl import flags

from youtube8m_distill import config as configs
from youtube8m_distill import runs, schema
from youtube8m_distill.cli import entry
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.data.bad_records import BadRecordError
from youtube8m_distill.training.strategy import check_batch_size, make_strategy

FLAGS = flags.FLAGS

NETWORK_FLAGS = ("num_classes", "lstm_cells", "lstm_layers", "moe_num_mixtures", "dropout")
TRAINING_FLAGS = ("batch_size", "num_epochs", "finetune_epochs", "max_steps", "optimizer", "base_learning_rate",
                  "learning_rate_decay", "learning_rate_decay_examples", "regularization_penalty", "clip_gradient_norm",
                  "seed", "mixed_precision", "train_fraction", "checkpoint_steps", "validation_steps", "max_to_keep")


def define_flags():
    our_flags.define_files(
        "Data", ("train_data_pattern", "Globs of training files, comma-separated, local or gs://."),
        ("validation_data_pattern", "Globs of validation files: the best checkpoint is chosen on them."))
    our_flags.define_training_folder()
    our_flags.define_distillation()
    our_flags.define_frames()
    our_flags.define_network()
    our_flags.define_training()
    our_flags.define_run()
    our_flags.define_refused(
        segment_labels=our_flags.SEGMENTS,
        export_model_steps="use --checkpoint_steps; a checkpoint is all that eval.py and inference.py need",
        init_from="starting from another run's weights is not in this version",
        teacher_targets_dir="storing the teacher's targets is not in this version; they are computed in each step",
        skip_bad_records="a bad record ends the run, with its file and number; skipping is not in this version",
        max_bad_fraction="a bad record ends the run; skipping is not in this version",
        gpu="use CUDA_VISIBLE_DEVICES to choose devices and --num_gpu for their number",
        bagging="resampling the file list is not in this version")


def main():
    with entry.user_errors():
        strategy = make_strategy(FLAGS.num_gpu)
        config = config_from_flags()
        check_batch_size(config.training.batch_size, strategy)
        training_files = runs.find_training_files(config)
        run = runs.prepare_run(FLAGS.train_dir, config, FLAGS.start_new_model)
    print(describe(config, training_files, strategy), flush=True)
    started = time.monotonic()
    try:
        progress = runs.train_run(run, training_files, strategy, FLAGS.num_readers)
    except BadRecordError as error:
        entry.fail(f"{error} Training stopped; the checkpoints in {run.folder} are complete.")
    best = "" if progress.best_step is None else f"; best validation GAP {progress.best_value:.4f} at step {progress.best_step}"
    print(f"Done: step {progress.step}, {progress.epoch} epoch(s), {time.monotonic() - started:.0f} s{best}. "
          f"Everything is in {run.folder}.")


def config_from_flags():
    """The RunConfig that the command line asks for.

    Raises:
        ValueError, FileNotFoundError: beginning with the name of the flag that is to blame.
    """
    if not FLAGS.train_data_pattern:
        raise ValueError("train_data_pattern is missing: give the training files, as in "
                         "--train_data_pattern='yt8m/train*.tfrecord'.")
    _refuse_flags_without_effect()
    distillation = None
    if FLAGS.mode == "teacher":
        networks = {schema.TEACHER: _new_network(_frames("all"))}
    else:
        teacher = _trained_teacher() if FLAGS.mode == "serial" else _new_network(configs.FrameConfig())
        networks = {schema.TEACHER: teacher, schema.STUDENT: _student_of(teacher)}
        names = [field.name for field in dataclasses.fields(configs.DistillationConfig)]
        distillation = configs.DistillationConfig(**our_flags.given(*names))
    return configs.RunConfig(FLAGS.mode, networks, configs.TrainingConfig(**our_flags.given(*TRAINING_FLAGS)),
                             distillation, FLAGS.train_data_pattern, FLAGS.validation_data_pattern, FLAGS.teacher_dir)


def _refuse_flags_without_effect():
    """A flag that this mode would not read is a misunderstanding, so it is an error."""
    without_effect = {
        "teacher": [field.name for field in dataclasses.fields(configs.DistillationConfig)]
        + ["teacher_dir", "student_frames_per_block", "finetune_epochs"],
        "serial": ["frames_per_block"],
        "parallel": ["teacher_dir", "finetune_epochs"],
    }[FLAGS.mode]
    for name in without_effect:
        if FLAGS[name].present:
            raise ValueError(f"{name} has no effect with --mode={FLAGS.mode}; leave it out"
                             + (", or give --mode=serial or --mode=parallel." if FLAGS.mode == "teacher" else "."))


def _new_network(frames):
    features = our_flags.feature_config()
    if features.frame_features:
        dtype = runs.stored_dtype("train_data_pattern", FLAGS.train_data_pattern, features.names)
        features = dataclasses.replace(features, dtype=dtype)
    options = our_flags.given(*NETWORK_FLAGS)
    if FLAGS.video_level_classifier_model is not None:
        options["classifier"] = FLAGS.video_level_classifier_model
    return configs.NetworkConfig(FLAGS.model, features=features, frames=frames,
                                 frames_per_block=FLAGS.frames_per_block, **options)


def _frames(default_selection):
    """None for a video-level model, which takes no frame selection."""
    if FLAGS.model not in configs.VIDEO_LEVEL_MODELS:
        return our_flags.frame_config(default_selection)
    for name in ("frame_selection", "frames_per_video", "every_n", "frames_per_block", "lstm_cells", "lstm_layers",
                 "dropout", "video_level_classifier_model"):
        if FLAGS[name].present:
            raise ValueError(f"{name} has no effect with --model={FLAGS.model}, which sees the video's mean.")
    return None


def _trained_teacher():
    """The network in --teacher_dir, refused where other flags ask for another one."""
    if not FLAGS.teacher_dir:
        raise ValueError("teacher_dir is missing: --mode=serial needs the training directory of a trained teacher.")
    if pathlib.Path(FLAGS.teacher_dir).resolve() == pathlib.Path(FLAGS.train_dir).resolve():
        raise ValueError(f"teacher_dir={FLAGS.teacher_dir} is --train_dir too: the student needs a folder of its own.")
    try:
        run = runs.open_run(FLAGS.teacher_dir)
        run.weights_folder()
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"teacher_dir={FLAGS.teacher_dir}: {error}") from error
    teacher = run.config.networks[run.config.main_role]
    asked = our_flags.given(*NETWORK_FLAGS[:-1])
    if FLAGS["model"].present:
        asked["model"] = FLAGS.model
    if FLAGS.video_level_classifier_model is not None:
        asked["classifier"] = FLAGS.video_level_classifier_model
    if FLAGS.feature_names is not None or FLAGS.feature_sizes is not None:
        asked["features"] = dataclasses.replace(our_flags.feature_config(), dtype=teacher.features.dtype)
    for name, value in asked.items():
        if getattr(teacher, name) != value:
            flag = {"classifier": "video_level_classifier_model", "features": "feature_names"}.get(name, name)
            raise ValueError(f"{flag} asks for {_shown(value)}, and the teacher in {FLAGS.teacher_dir} has "
                             f"{_shown(getattr(teacher, name))}: distillation is between networks of one family and size.")
    return teacher


def _shown(value):
    """A setting as a user writes it: features by name and size."""
    if isinstance(value, configs.FeatureConfig):
        return f"{','.join(value.names)} with feature_sizes={','.join(map(str, value.sizes))}"
    return str(value)


def _student_of(teacher):
    return dataclasses.replace(teacher, frames=our_flags.frame_config("uniform"),
                               frames_per_block=FLAGS.student_frames_per_block, **our_flags.given("dropout"))


def describe(config, training_files, strategy):
    """The settings that a run starts with, one group a line."""
    training = config.training
    about = "" if training_files.num_train_is_exact else "about "
    lines = [f"mode={config.mode}, {strategy.num_replicas_in_sync} replica(s), {about}{training_files.num_train:,} training "
             f"videos in {len(training_files.train)} file(s), {len(training_files.validation)} validation file(s)"]
    for role, network in config.networks.items():
        shown = dataclasses.asdict(network) | {"features": ",".join(network.features.names)}
        shown["frames"] = network.frames and ",".join(str(v) for v in dataclasses.astuple(network.frames) if v is not None)
        lines.append(f"{role}: " + ", ".join(f"{name}={value}" for name, value in shown.items()))
    if config.distillation:
        lines.append("distillation: " + ", ".join(f"{k}={v}" for k, v in dataclasses.asdict(config.distillation).items()))
    lines.append("training: " + ", ".join(f"{k}={v}" for k, v in dataclasses.asdict(training).items() if v is not None))
    return "\n".join(lines)


def run():
    define_flags()
    entry.run(main, __doc__)


if __name__ == "__main__":
    run()
