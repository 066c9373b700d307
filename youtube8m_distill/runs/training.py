"""Trains a run: from its configuration and files to checkpoints, history and TensorBoard logs."""

import contextlib
import logging
import math
import os
import shutil
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.contents import find_layout
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.seeds import stage_seed
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.engine import callbacks, loop
from youtube8m_distill.engine.cluster import GONE
from youtube8m_distill.engine.history import History
from youtube8m_distill.engine.interruption import Interrupted, Interruption
from youtube8m_distill.engine.optimizers import build_optimizer
from youtube8m_distill.engine.placement import bytes_per_device, peak_bytes
from youtube8m_distill.engine.predictor import BestClasses, Predictor, evaluate
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.strategy import check_batch_size, chief_first, is_chief, machine, same_everywhere, wait_for_all
from youtube8m_distill.families.build import build_model
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.runs.initial_weights import take_initial_weights
from youtube8m_distill.runs.run import Run, open_run
from youtube8m_distill.runs.shards import TrainingFiles, segment_classes
from youtube8m_distill.runs.targets import complete_targets
from youtube8m_distill.schemes.build import build_stages, build_student
from youtube8m_distill.schemes.divergence import refuse_bad_numbers
from youtube8m_distill.settings import require

SECONDS_FOR_THE_CHIEF = 10.0  # that a worker waits after a signal, so that the chief can save
VALIDATION_MEASURES = ("gap_at_20", "mean_average_precision", "hit_at_one", "perr", "loss", "map_at_k")

log = logging.getLogger(__name__)


def train_run(
    run: Run, training_files: TrainingFiles, strategy: tf.distribute.Strategy, member_devices: Sequence[str] = ()
) -> Progress:
    """Trains a run to its end, from its newest checkpoint if it has one.

    With several machines, each calls this; only the chief evaluates and writes.

    Args:
        member_devices: devices over which the members of each mixture are spread (model parallelism), as for `build_model`;
            `strategy` is then a OneDeviceStrategy of the first one. Empty if each replica holds the whole network.
    Raises:
        BadRecordError: if a record cannot be used, with file and record.
        FloatingPointError: if a loss, a gradient or a weight is not finite; nothing of that step has been saved.
        Interrupted: by a signal, after the last step has been saved.
    """
    check_batch_size(run.config.training.batch_size, strategy)
    return _Training(run, training_files, strategy, member_devices).train()


class _Training:
    """One call of `train_run`. Read `train` and `_train_stage` first."""

    def __init__(self, run, training_files, strategy, member_devices):
        self.run, self.files, self.strategy, self.member_devices = run, training_files, strategy, member_devices
        self.config, self.settings = run.config, run.config.training
        self.interruption = Interruption(patience=0.0 if is_chief(strategy) else SECONDS_FOR_THE_CHIEF)
        keras.utils.set_random_seed(self.settings.seed)
        self.networks = self._build_networks()
        self.progress = self._find_progress()

    def train(self):
        self._log_start()
        if not self.progress.step:
            take_initial_weights(self.config, self.networks)
        first_step, was_pending = self.progress.step, self.progress.pending is not None
        for index, stage in enumerate(build_stages(self.config, self.networks)):
            if index > self.progress.stage:
                self.progress.start_next_stage()
            if index == self.progress.stage:
                self._train_stage(stage)
        if self.progress.step == first_step and not was_pending:
            log.info(
                "Nothing was left to train: the run had reached its end. Raise --num_epochs (in a second stage "
                "--finetune_epochs) or --max_steps to continue, or replace it with --start_new_model."
            )
        for device, peak in peak_bytes(self.member_devices).items():
            log.info("Most memory used on %s: %s.", device, _gigabytes(peak))
        wait_for_all(self.strategy)  # the chief may still be evaluating or saving, and the others depend on its connection
        return self.progress

    def _train_stage(self, stage):
        with self._creating_variables():
            scheme = stage.build_scheme()
            scheme.compile(optimizer=build_optimizer(self.settings, bool(self.member_devices)))
            scheme.optimizer.build(scheme.trainable_variables)
        self._log_placement(scheme)
        if self.progress.stage_step:
            self.run.checkpoints.restore(scheme)
        else:
            self.progress.stage_seed = stage_seed(self.settings.seed, self.progress.stage)
        at_last_step = self.progress.step >= (self.settings.max_steps or math.inf)
        if self.progress.stage_epoch >= stage.num_epochs or at_last_step and self.progress.pending is None:
            return
        shards, targets = self.files.train + self.files.validation, None
        if stage.stored_targets:
            with chief_first(self.strategy):
                teachers = {role: self.networks[role] for role in self.config.teacher_roles}
                targets = complete_targets(self.config, teachers, self.files.train, self.strategy)
            shards += tuple(Shard(path, "", os.path.getsize(path)) for path in targets.paths)
        with naming_bad_records(shards), self.interruption.noticing():
            try:
                loop.train(
                    scheme,
                    self._make_dataset(stage, targets),
                    self.strategy,
                    self._make_callbacks(stage, scheme),
                    self.progress,
                    batch_size=self.settings.batch_size,
                    max_steps=self.settings.max_steps,
                    interruption=self.interruption,
                )
            except Interrupted:
                if is_chief(self.strategy):
                    refuse_bad_numbers(scheme, self.progress.step)
                    self.run.checkpoints.save(scheme, self.progress)
                raise
            except GONE:
                if self.interruption.signal is None:
                    raise
                raise Interrupted(self.interruption.signal) from None  # the chief got the same signal, and has saved

    def _creating_variables(self):
        # A strategy's scope would put all variables on its own devices.
        return contextlib.nullcontext() if self.member_devices else self.strategy.scope()

    def _build_networks(self):
        dtype, devices = "mixed_bfloat16" if self.settings.mixed_precision else "float32", self.member_devices
        with self._creating_variables():
            if self.config.mode == "serial":
                runs = dict(zip(self.config.teacher_roles, map(open_run, self.config.teacher_dirs)))
                if not self.config.distillation.needs_teacher:  # only the first one's weights, from which a student starts
                    runs = {schema.TEACHER: runs[schema.TEACHER]}
                found = {role: run.load_network(dtype=dtype, member_devices=devices)[0] for role, run in runs.items()}
            else:
                network = self.config.networks[schema.TEACHER]
                found = {schema.TEACHER: build_model(network, dtype, name=schema.TEACHER, member_devices=devices)}
            if self.config.mode == "teacher":
                return found
            return {**found, schema.STUDENT: build_student(self.config, found[schema.TEACHER], dtype, devices)}

    def _find_progress(self):
        """Progress of the newest checkpoint, the same on all machines."""
        progress = self.run.checkpoints.newest_progress()
        reason = (
            f"the machines of this job see different checkpoints (here step {progress.step}). On a network file system, "
            "wait a minute, then start the command on all of them again."
        )
        require(same_everywhere(self.strategy, progress.step), "train_dir", reason, self.run.folder)
        reason = (
            "its checkpoints are from a version that did not record the position in the data. Start a new run with "
            "--init_from to use its weights."
        )
        require(not progress.stage_step or progress.position is not None, "train_dir", reason, self.run.folder)
        return progress

    def _log_start(self):
        for role, network in self.networks.items():
            frames = self.config.networks[role].max_frames
            parameters = sum(math.prod(variable.shape) for variable in network.trainable_variables)
            cost = f"{parameters:,} parameters, {network.multiply_adds(frames):,} multiply-adds per video"
            log.info("%s: %s of %d frame(s)", self.config.title(role), cost, frames)
        for network in (self.config.networks[role] for role in self.config.trained_roles):
            if warning := network.family.frames_warning(network.max_frames):
                log.info("%s", warning)
        if self.config.mode == "serial" and not self.config.distillation.needs_teacher:
            log.info("student_loss=ce needs labels alone: the teacher is not run, and its frames are not read.")
        self._log_estimate()
        if not self.files.validation:
            log.info("No --validation_data_pattern: the last checkpoint counts as the best.")
        if self.progress.step:
            log.info("Found step %d of this run in %s; resuming from there.", self.progress.step, self.run.folder)
        else:
            self._warn_if_disk_is_small()

    def _log_estimate(self):
        """How many steps are to come, and how much memory and disk weights take. Activations and batches come on top."""
        settings, stages = self.settings, build_stages(self.config, self.networks)
        videos = int(self.files.num_train * settings.train_fraction)
        steps = sum(videos * stage.num_epochs // settings.batch_size for stage in stages)
        steps = min(steps, settings.max_steps or steps)
        if len(stages) > 1:
            names = " and then ".join(f"{stage.num_epochs} epoch(s) of {stage.name}" for stage in stages)
            log.info("student_loss=%s trains twice: %s.", ",".join(self.config.distillation.student_loss), names)
        checkpoint, run = self._disk_bytes()
        weights = sum(network.count_params() for network in self.networks.values())
        trained = sum(self.networks[role].count_params() for role in self.config.trained_roles)
        message = "About %s steps; %s of memory for weights and their training; %s on disk per checkpoint, at most %s."
        memory = 4 * (weights + (self._state_per_weight() + 1) * trained)  # one more for the gradient
        log.info(message, f"{steps:,}", *map(_gigabytes, (memory, checkpoint, run)))

    def _log_placement(self, scheme):
        """With members on devices of their own: how much memory weights and optimizer take on each."""
        if self.member_devices:
            networks = [variable for network in self.networks.values() for variable in network.variables]
            held = bytes_per_device([*networks, *scheme.optimizer.variables])
            told = ", ".join(f"{device} {_gigabytes(count)}" for device, count in held.items())
            log.info("Weights and optimizer on each device: %s. Gradients and activations come on top.", told)

    def _disk_bytes(self):
        """Bytes of one checkpoint with optimizer, and the most that the run's checkpoints take."""
        weights = sum(self.networks[role].count_params() for role in self.config.trained_roles)
        with_state = 1 + self._state_per_weight() + bool(self.settings.ema_decay)  # the average is saved as the weight, too
        best = 2  # the old best stays while the new one is written
        return 4 * weights * with_state, 4 * weights * (with_state * (self.settings.max_to_keep + 1) + best)

    def _state_per_weight(self):
        """How many numbers the optimizer keeps for a weight: Adam's two, and an average."""
        return 3 if self.settings.ema_decay else 2

    def _warn_if_disk_is_small(self):
        _, needed = self._disk_bytes()
        free = shutil.disk_usage(self.run.folder).free
        if free < needed:
            message = "%.1f GB are free in %s, but checkpoints may take %.1f GB. Free some space, or lower --max_to_keep."
            log.warning(message, free / 1e9, self.run.folder, needed / 1e9)

    def _make_dataset(self, stage, targets):
        settings, fraction, start = self.settings, self.settings.train_fraction, self.progress.position
        place, seed = machine(self.strategy), self.progress.stage_seed
        if seed is None:
            seed = settings.seed + self.progress.stage
        order = TrainingOrder(seed, stage.num_epochs, settings.num_readers, train_fraction=fraction, start=start)
        share = place if place[1] > 1 else None
        jittered = self.config.trained_roles if settings.jitter_frames else ()
        parser = self._parser(self.files.train, stage.roles, seed, jittered)
        return make_dataset(self.files.train, parser, settings.batch_size, order, targets=targets, share=share)

    def _parser(self, shards, roles, seed, jittered=()):
        network = self.config.networks[self.config.main_role]
        views = {role: self.config.networks[role].view for role in roles}
        layout = find_layout(shards, network.features, self.config.reading)
        return VideoParser(network.features, network.num_classes, views, seed, layout, trim=True, jittered=tuple(jittered))

    def _make_callbacks(self, stage, scheme):
        """Validation first, since the others read its values; checkpoints last, since a resumed run skips all the others
        for the step of its checkpoint. None on machines other than the chief."""
        if not is_chief(self.strategy):
            return []
        run, settings, progress, main_role = self.run, self.settings, self.progress, scheme.main_role
        total_steps = int(self.files.num_train * settings.train_fraction) * stage.num_epochs // settings.batch_size
        total_steps = min(total_steps, (settings.max_steps or math.inf) - progress.step + progress.stage_step)
        found = [
            callbacks.ProgressDisplay(f"{run.folder.name}, {stage.name}", total_steps, main_role, progress),
            callbacks.TensorBoardScalars(run.folder / "tensorboard", list(scheme.networks), main_role, progress),
            History(run.folder, progress, run.check_held),
            callbacks.Checkpointing(
                run.checkpoints,
                progress,
                main_role,
                settings.checkpoint_steps,
                settings.max_steps,
                settings.checkpoint_minutes,
            ),
        ]
        if self.files.validation:
            measure = {role: self._validation(role, network) for role, network in scheme.networks.items()}
            found.insert(0, callbacks.Validation(measure, progress, settings.validation_steps))
        return found

    def _validation(self, role: str, network: keras.Model) -> Callable[[], dict[str, float]]:
        """A function that evaluates a network in its current state on all validation videos."""
        parser = self._parser(self.files.validation, [role], self.settings.seed)
        dataset = make_dataset(self.files.validation, parser, self.settings.batch_size)
        reading, num_classes = self.config.reading, self.config.networks[role].num_classes
        classes = segment_classes(reading, num_classes) if reading.segment_labels else None
        outputs = BestClasses(label_loss=self.settings.label_loss, keep_predictions=reading.segment_labels)
        predictor = Predictor(network, role, self.strategy, outputs)

        def measure():
            evaluator = Evaluator(num_classes, segment_classes=classes)
            values = evaluate(self.interruption.checking(predictor(dataset)), evaluator)
            return {name: values[name] for name in VALIDATION_MEASURES if name in values}

        return measure


def _gigabytes(count):
    """Bytes in words: 12 MB, 1.5 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(count / 1e6, 0.1):.1f} MB"
