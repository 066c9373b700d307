"""Trains a run: from its configuration and files to checkpoints and TensorBoard logs."""

import dataclasses
import math
import os

import keras

from youtube8m_distill import files, schema
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.exclusions import read_exclusions
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.tfrecord import count_records, estimate_records
from youtube8m_distill.engine import callbacks, loop
from youtube8m_distill.engine.cluster import GONE
from youtube8m_distill.engine.interruption import Interrupted, Interruption
from youtube8m_distill.engine.optimizers import build_optimizer
from youtube8m_distill.engine.predictor import Predictor, evaluate
from youtube8m_distill.engine.strategy import check_batch_size, chief_first, is_chief, machine, same_everywhere, wait_for_all
from youtube8m_distill.errors import SettingError
from youtube8m_distill.families.build import build_model
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.runs.initial_weights import check_initial_weights, take_initial_weights
from youtube8m_distill.runs.run import open_run
from youtube8m_distill.runs.shards import find_sets, fingerprint
from youtube8m_distill.runs.targets import StoredTargets, check_targets, complete_targets
from youtube8m_distill.schemes.divergence import refuse_bad_numbers
from youtube8m_distill.schemes.stages import build_stages, build_student

SECONDS_FOR_THE_CHIEF = 10  # that a worker gives it to save, when both are told to end


@dataclasses.dataclass(frozen=True)
class TrainingFiles:
    """The files of a run, looked into."""

    train: tuple  # of data.tfrecord.Shard
    validation: tuple
    num_train: int
    num_train_is_exact: bool

    def held_in(self, records):
        """The same files, held in memory by a HeldRecords as far as it has room for them."""
        return dataclasses.replace(self, train=records.hold(self.train), validation=records.hold(self.validation))


def find_training_files(config):
    """Finds and checks a run's files, those it starts with too, before anything is built or written.

    Args:
        config: RunConfig.
    Returns:
        TrainingFiles, without excluded records.
    Raises:
        FileNotFoundError, ValueError: beginning with the name of the flag that is to blame.
    """
    check_initial_weights(config)
    network, training = config.networks[config.main_role], config.training
    exclusions = read_exclusions(config.exclude_records) if config.exclude_records else ()
    roles = {"train_data_pattern": config.networks, "validation_data_pattern": config.trained_roles}
    patterns = {flag: getattr(config, flag) for flag in roles if flag == "train_data_pattern" or getattr(config, flag)}
    views = {flag: [config.networks[role].view for role in roles[flag]] for flag in patterns}
    found = find_sets(patterns, network.features, views, exclusions)
    train, validation = found["train_data_pattern"], found.get("validation_data_pattern", ())
    _refuse_overlap(config, train, validation)
    fraction, batch_size = training.train_fraction, training.batch_size
    found = count_records(train, at_most=math.ceil(batch_size / fraction))
    if int(found * fraction) < batch_size:
        share = f", of which train_fraction={fraction:g} takes about {found * fraction:.0f}" if fraction < 1 else ""
        raise SettingError(
            "batch_size",
            f"{config.train_data_pattern!r} holds only {found} records{share}, and a training "
            "batch is never padded or cut short. Choose a smaller batch.",
            batch_size,
        )
    return TrainingFiles(train, validation, *estimate_records(train))


def _refuse_overlap(config, train, validation):
    """The best epoch must not be chosen on videos that were trained on."""
    both = {os.path.realpath(shard.path) for shard in train} & {os.path.realpath(shard.path) for shard in validation}
    if both:
        raise SettingError(
            "validation_data_pattern",
            f"names {len(both)} training file(s) too, {min(both)} for one; keep them apart.",
            config.validation_data_pattern,
        )


def pin(config, training_files):
    """The same RunConfig with fingerprints of what it depends on, so that it goes on with the same files and weights.

    Raises:
        ValueError: beginning with the name of the flag, if stored targets are those of another teacher.
    """
    teacher = open_run(config.teacher_dir).fingerprint() if config.mode == "serial" else ""
    initial = open_run(config.init_from).fingerprint() if config.init_from else ""
    config = config.replace(train_files=fingerprint(training_files.train), teacher_weights=teacher, init_weights=initial)
    return config.replace(teacher_targets=check_targets(config))


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
        FloatingPointError: if a loss, a gradient or a weight is not finite; nothing of that step has been saved.
        Interrupted: by a signal, after the last step has been saved.
    """
    config, training = run.config, run.config.training
    check_batch_size(training.batch_size, strategy)
    if not is_chief(strategy):
        say = _say_nothing
    keras.utils.set_random_seed(training.seed)
    with strategy.scope():
        networks = _build_networks(config)
    for role, network in networks.items():
        say(
            f"{role}: {_num_trainable(network):,} parameters, "
            f"{network.multiply_adds(config.networks[role].max_frames):,} multiply-adds a video of "
            f"{config.networks[role].max_frames} frame(s)"
        )
    _warn_of_little_room(run, networks, say)
    if not training_files.validation:
        say("No --validation_data_pattern: the last checkpoint counts as the best.")
    interruption = Interruption(say, patience=0.0 if is_chief(strategy) else SECONDS_FOR_THE_CHIEF)
    progress = run.checkpoints.newest_progress()
    if not same_everywhere(strategy, progress.step):
        raise SettingError(
            "train_dir",
            f"the machines of this job do not find the same checkpoint (here step "
            f"{progress.step}); on a network file system wait a minute, then start the command on all again.",
            run.folder,
        )
    if not progress.step:
        take_initial_weights(config, networks, say)
    first_step, was_pending = progress.step, progress.pending is not None
    if progress.stage_step and progress.position is None:
        raise SettingError(
            "train_dir",
            "this run's checkpoints do not tell where in the data to go on; they are "
            "another version's. Begin anew elsewhere, with --init_from for its weights.",
            run.folder,
        )
    if progress.step:
        say(f"Found step {progress.step} of this run in {run.folder}; going on from there.")
    for index, stage in enumerate(build_stages(config, networks)):
        if index > progress.stage:
            progress.start_next_stage()
        if index == progress.stage:
            _train_stage(run, stage, networks, training_files, strategy, progress, say, interruption)
    if progress.step == first_step and not was_pending:
        say(
            "Nothing was left to train: the run had reached its end. Raise --num_epochs (in a second stage "
            "--finetune_epochs) or --max_steps to go on, or replace it with --start_new_model."
        )
    wait_for_all(strategy)  # the chief may still be evaluating or saving, and leads the others' connection
    return progress


def _warn_of_little_room(run, networks, say):
    """Says so where the disk is too small for the checkpoints that will be kept, while one more is written."""
    weights = sum(math.prod(weight.shape) for role in run.config.trained_roles for weight in networks[role].weights)
    with_optimizer, best = 3, 2  # Adam's two numbers a weight beside it; the one before stands while one is written
    needed = 4 * weights * (with_optimizer * (run.config.training.max_to_keep + 1) + best)
    free = files.free_bytes(run.folder)
    if free < needed and not run.checkpoints.steps():
        say(
            f"Warning: {free / 1e9:.1f} GB are free for {run.folder}, and its checkpoints may take {needed / 1e9:.1f}; free "
            "some, or lower --max_to_keep."
        )


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


def _train_stage(run, stage, networks, training_files, strategy, progress, say, interruption):
    config, training = run.config, run.config.training
    with strategy.scope():
        scheme = stage.build_scheme()
        scheme.compile(optimizer=build_optimizer(training))
        scheme.optimizer.build(scheme.trainable_variables)
    if progress.stage_step:
        run.checkpoints.restore(scheme)
    at_last_step = progress.step >= (training.max_steps or math.inf)
    if progress.stage_epoch >= stage.num_epochs or (at_last_step and progress.pending is None):
        return
    network = config.networks[config.main_role]
    parser = VideoParser(
        network.features,
        network.num_classes,
        {role: config.networks[role].view for role in stage.roles},
        training.seed + progress.stage,
    )
    order = TrainingOrder(
        training.seed + progress.stage,
        stage.num_epochs,
        training.num_readers,
        train_fraction=training.train_fraction,
        start=progress.position,
    )
    targets = StoredTargets((), 0)
    if stage.stored_targets:
        with chief_first(strategy):
            targets = complete_targets(config, networks[schema.TEACHER], training_files.train, strategy, say)
    dataset = make_dataset(
        training_files.train,
        parser,
        training.batch_size,
        order,
        targets=targets.files,
        share=machine(strategy) if machine(strategy)[1] > 1 else None,
    )
    total_steps = int(training_files.num_train * training.train_fraction) * stage.num_epochs // training.batch_size
    if training.max_steps:
        total_steps = min(total_steps, training.max_steps - progress.step + progress.stage_step)
    with naming_bad_records(training_files.train + training_files.validation + targets.shards), interruption.noticing():
        try:
            loop.train(
                scheme,
                dataset,
                strategy,
                _callbacks(run, stage.name, scheme, training_files, strategy, progress, total_steps, interruption),
                progress,
                batch_size=training.batch_size,
                max_steps=training.max_steps,
                interruption=interruption,
            )
        except Interrupted:
            if is_chief(strategy):
                refuse_bad_numbers(scheme, progress.step)
                run.checkpoints.save(scheme, progress)
            raise
        except GONE:
            if interruption.signal is None:
                raise
            raise Interrupted(interruption.signal) from None  # the chief has got the same signal, and has saved


def _callbacks(run, stage_name, scheme, training_files, strategy, progress, total_steps, interruption):
    """Validation first, as the others read what it found; checkpoints last, as a run that goes on from one takes
    everything else about its step for done. None of them beside the chief."""
    if not is_chief(strategy):
        return []
    training, roles = run.config.training, list(scheme.networks)
    main_role = scheme.main_role
    found = [
        callbacks.ProgressDisplay(f"{run.folder.name}, {stage_name}", total_steps, main_role, progress),
        callbacks.TensorBoardScalars(run.folder / "tensorboard", roles, main_role, progress),
        callbacks.Checkpointing(run.checkpoints, progress, main_role, training.checkpoint_steps, training.max_steps),
    ]
    if training_files.validation:
        measure = {
            role: _validation(run, role, scheme.networks[role], training_files.validation, strategy, interruption)
            for role in roles
        }
        found.insert(0, callbacks.Validation(measure, progress, training.validation_steps))
    return found


def _validation(run, role, network, shards, strategy, interruption):
    """A function that evaluates one network as it is now on all validation videos."""
    config = run.config.networks[role]
    parser = VideoParser(config.features, config.num_classes, {role: config.view}, run.config.training.seed)
    dataset = make_dataset(shards, parser, run.config.training.batch_size)
    predictor = Predictor(network, role, strategy)

    def measure():
        values = evaluate(interruption.checking(predictor(dataset)), Evaluator(config.num_classes))
        return {name: values[name] for name in ("gap_at_20", "mean_average_precision", "hit_at_one", "perr", "loss")}

    return measure
