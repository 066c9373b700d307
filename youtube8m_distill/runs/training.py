"""Trains a run: from its configuration and files to checkpoints and TensorBoard logs."""

import dataclasses
import math
import os

import keras

from youtube8m_distill import schema
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.sources import count_records, estimate_records
from youtube8m_distill.distillation.builders import build_stages, build_student
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.models.builders import build_model
from youtube8m_distill.runs.folder import open_run
from youtube8m_distill.runs.initial_weights import check_initial_weights, take_initial_weights
from youtube8m_distill.runs.shards import find_shards, fingerprint
from youtube8m_distill.runs.targets import StoredTargets, check_targets, complete_targets
from youtube8m_distill.training import callbacks, loop
from youtube8m_distill.training.optimizers import build_optimizer
from youtube8m_distill.training.predict import Predictor, evaluate
from youtube8m_distill.training.strategy import (
    check_batch_size, chief_first, is_chief, machine, same_everywhere, wait_for_all)


@dataclasses.dataclass(frozen=True)
class TrainingFiles:
    """The files of a run, looked into."""

    train: tuple
    validation: tuple           # empty where there is no validation data
    num_train: int
    num_train_is_exact: bool


def find_training_files(config):
    """Finds and checks a run's files, those it starts with too, before anything is built or written.

    Args:
        config: RunConfig.
    Returns:
        TrainingFiles.
    Raises:
        FileNotFoundError, ValueError: beginning with the name of the flag that is to blame.
    """
    check_initial_weights(config)
    network, batch_size = config.networks[config.main_role], config.training.batch_size
    views = [view for network in config.networks.values() for view in network.views]
    train = find_shards("train_data_pattern", config.train_data_pattern, network.features, views)
    validation = ()
    if config.validation_data_pattern:
        validation = find_shards("validation_data_pattern", config.validation_data_pattern, network.features,
                                 [view for role in config.trained_roles for view in config.networks[role].views])
        _refuse_overlap(config, train, validation)
    fraction = config.training.train_fraction
    found = count_records(train, at_most=math.ceil(batch_size / fraction))
    if int(found * fraction) < batch_size:
        share = f", of which train_fraction={fraction:g} takes about {found * fraction:.0f}" if fraction < 1 else ""
        raise ValueError(f"batch_size={batch_size}, and {config.train_data_pattern!r} holds only {found} records{share}; "
                         "a training batch is never filled up or cut short. Choose a smaller batch.")
    return TrainingFiles(train, validation, *estimate_records(train))


def _refuse_overlap(config, train, validation):
    """The best epoch must not be chosen on videos that were trained on."""
    both = {os.path.realpath(shard.path) for shard in train} & {os.path.realpath(shard.path) for shard in validation}
    if both:
        raise ValueError(f"validation_data_pattern={config.validation_data_pattern} names {len(both)} training file(s) too, "
                         f"{min(both)} for one; keep them apart.")


def pin(config, training_files):
    """The same RunConfig with fingerprints of what it depends on, so that it goes on with the same files and weights.

    Raises:
        ValueError: beginning with the name of the flag, if stored targets are those of another teacher.
    """
    teacher = open_run(config.teacher_dir).fingerprint() if config.mode == "serial" else ""
    initial = open_run(config.init_from).fingerprint() if config.init_from else ""
    config = dataclasses.replace(config, train_files=fingerprint(training_files.train), teacher_weights=teacher,
                                 init_weights=initial)
    return dataclasses.replace(config, teacher_targets=check_targets(config))


def train_run(run, training_files, strategy, say=print):
    """Trains a run to its end, from its newest checkpoint if it has one.

    On several machines each calls this; the chief alone evaluates, writes and says something.

    Args:
        run: runs.Run.
        training_files: TrainingFiles of the same configuration.
        strategy: tf.distribute.Strategy.
        say: where the few lines about the run go.
    Returns:
        Progress at the end.
    Raises:
        data.bad_records.BadRecordError: if a record cannot be used, naming file and record.
        FloatingPointError: if a loss is not finite.
    """
    config, training = run.config, run.config.training
    check_batch_size(training.batch_size, strategy)
    if not is_chief(strategy):
        say = _say_nothing
    keras.utils.set_random_seed(training.seed)
    with strategy.scope():
        networks = _build_networks(config)
    for role, network in networks.items():
        say(f"{role}: {_num_trainable(network):,} parameters, "
            f"{network.multiply_adds(config.networks[role].max_frames):,} multiply-adds a video of "
            f"{config.networks[role].max_frames} frame(s)")
    if not training_files.validation:
        say("No --validation_data_pattern: the last checkpoint counts as the best.")
    progress = run.checkpoints.newest_progress()
    if not same_everywhere(strategy, progress.step):
        raise ValueError(f"train_dir={run.folder}: the machines of this job do not find the same checkpoint (here step "
                         f"{progress.step}); on a network file system wait a minute, then start the command on all again.")
    if not progress.step:
        take_initial_weights(config, networks, say)
    first_step = progress.step
    if progress.step:
        say(f"Found step {progress.step} of this run in {run.folder}; going past the "
            f"{progress.stage_step * training.batch_size:,} records it has used.")
    for index, stage in enumerate(build_stages(config, networks)):
        if index > progress.stage:
            progress.start_next_stage()
        if index == progress.stage:
            _train_stage(run, stage, networks, training_files, strategy, progress, say)
    if progress.step == first_step:
        say("Nothing was left to train: the run had reached its end. Raise --num_epochs (in a second stage "
            "--finetune_epochs) or --max_steps to go on, or replace it with --start_new_model.")
    wait_for_all(strategy)          # the chief may still be evaluating or saving, and leads the others' connection
    return progress


def _say_nothing(line):
    """What the workers say whose chief says it all."""


def _num_trainable(network):
    return sum(math.prod(variable.shape) for variable in network.trainable_variables)


def _build_networks(config):
    dtype = "mixed_bfloat16" if config.training.mixed_precision else "float32"
    if config.mode == "serial":
        teacher, _ = open_run(config.teacher_dir).load_network(dtype=dtype)
    else:
        teacher = build_model(config.networks[schema.TEACHER], dtype, name=schema.TEACHER)
    if config.mode == "teacher":
        return {schema.TEACHER: teacher}
    return {schema.TEACHER: teacher, schema.STUDENT: build_student(config, teacher, dtype)}


def _train_stage(run, stage, networks, training_files, strategy, progress, say):
    config, training = run.config, run.config.training
    with strategy.scope():
        scheme = stage.build_scheme()
        scheme.compile(optimizer=build_optimizer(training))
        scheme.optimizer.build(scheme.trainable_variables)
    if progress.stage_step:
        run.checkpoints.restore(scheme)
    if progress.stage_epoch >= stage.num_epochs or progress.step >= (training.max_steps or math.inf):
        return
    frames = {role: config.networks[role].frames for role in stage.roles}
    network = config.networks[config.main_role]
    targets, options = StoredTargets((), 0), {}
    if stage.stored_targets:
        with chief_first(strategy):
            targets = complete_targets(config, networks[schema.TEACHER], training_files.train, strategy, say)
        options = {"targets": tuple(shard.path for shard in targets.shards), "target_size": targets.size}
    if machine(strategy)[1] > 1:
        options["share"] = machine(strategy)
    dataset = make_dataset(
        training_files.train, network.features, network.num_classes,
        frames if len(frames) > 1 else next(iter(frames.values())), training.batch_size, training=True,
        seed=training.seed + progress.stage, num_epochs=stage.num_epochs, num_readers=training.num_readers,
        skip_records=progress.stage_step * training.batch_size, train_fraction=training.train_fraction,
        **options)
    total_steps = int(training_files.num_train * training.train_fraction) * stage.num_epochs // training.batch_size
    if training.max_steps:
        total_steps = min(total_steps, training.max_steps - progress.step + progress.stage_step)
    with naming_bad_records(training_files.train + training_files.validation + targets.shards):
        loop.train(scheme, dataset, strategy,
                   _callbacks(run, stage.name, scheme, training_files, strategy, progress, total_steps), progress,
                   batch_size=training.batch_size, max_steps=training.max_steps)


def _callbacks(run, stage_name, scheme, training_files, strategy, progress, total_steps):
    """Validation first: the others read what it found. None of them beside the chief."""
    if not is_chief(strategy):
        return []
    training, roles = run.config.training, list(scheme.networks)
    main_role = scheme.main_role
    found = [callbacks.ProgressDisplay(f"{run.folder.name}, {stage_name}", total_steps, main_role, progress),
             callbacks.Checkpointing(run.checkpoints, progress, main_role, training.checkpoint_steps),
             callbacks.TensorBoardScalars(run.folder / "tensorboard", roles, main_role, progress)]
    if training_files.validation:
        measure = {role: _validation(run, role, scheme.networks[role], training_files.validation, strategy)
                   for role in roles}
        found.insert(0, callbacks.Validation(measure, progress, training.validation_steps))
    return found


def _validation(run, role, network, shards, strategy):
    """A function that evaluates one network as it is now on all validation videos."""
    config = run.config.networks[role]
    dataset = make_dataset(shards, config.features, config.num_classes, config.frames, run.config.training.batch_size,
                           training=False, seed=run.config.training.seed)
    predictor = Predictor(network, strategy)

    def measure():
        values = evaluate(predictor(dataset), Evaluator(config.num_classes))
        return {name: values[name] for name in ("gap_at_20", "mean_average_precision", "hit_at_one", "perr", "loss")}

    return measure
