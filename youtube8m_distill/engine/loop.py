"""The training loop: one device or several replicas, Keras callbacks, resumable at any step."""

import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from youtube8m_distill import compat, schema
from youtube8m_distill.engine.interruption import Interrupted, Interruption
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.errors import SettingError
from youtube8m_distill.schemes.divergence import refuse_divergence
from youtube8m_distill.schemes.scheme import TrainingScheme


@compat.forgetting_custom_gradients()
def train(
    scheme: TrainingScheme,
    dataset: tf.data.Dataset,
    strategy: tf.distribute.Strategy,
    callbacks: Sequence,
    progress: Progress,
    *,
    batch_size: int,
    max_steps: int | None = None,
    log_steps: int = 10,
    interruption: Interruption | None = None,
) -> None:
    """Runs `scheme.train_step` over a dataset until it ends or `max_steps` is reached.

    Callbacks get `on_train_batch_end(step, logs)`, with the means since the last logs every `log_steps` steps and an
    empty dict in between, and `on_epoch_end(epoch, logs)` after the step that trains on the last record of an epoch,
    known from the `epoch` in each batch. A callback may set `scheme.stop_training`.

    Args:
        dataset: training batches of `data.pipeline.make_dataset`, from `progress.position` on; with several machines,
            this machine's share of each batch.
        progress: updated after each step.
        max_steps: step at which the whole run ends.
        interruption: checked after each step, before the callbacks run.
    Raises:
        SettingError: if the dataset does not fill one batch.
        FloatingPointError: if a loss or a gradient is not finite, before any callback sees that step.
        Interrupted: with `progress` at the last step. A checkpoint of this state resumes as if nothing had happened.
    """
    interruption = interruption or Interruption()
    listeners = keras.callbacks.CallbackList(list(callbacks), model=scheme)
    # Without AutoGraph, as in Keras: there is nothing to convert, and conversion slows down tracing.
    run_step = tf.function(lambda batch: strategy.run(scheme.train_step, (batch,)), autograph=False)
    # One batch per replica of this machine at a time, in row order, without TensorFlow's automatic sharding.
    replicas, shares = strategy.num_replicas_in_sync, dataset
    if replicas > 1:
        shares = strategy.distribute_datasets_from_function(lambda context: dataset.rebatch(batch_size // replicas))
    batches = iter(shares)
    scheme.stop_training = False
    scheme.divergence.count_from(progress.step)
    listeners.on_train_begin()
    batch = next(batches, None)
    if batch is None and not progress.stage_step:
        raise SettingError("batch_size", "the training videos do not fill one batch.", batch_size)

    def end_step(epoch_ends, logs):
        with progress.pending_if(Interrupted, logs):
            interruption.check()
            if epoch_ends:
                progress.count_epoch()
            listeners.on_train_batch_end(progress.step, logs)
            if epoch_ends:
                listeners.on_epoch_end(progress.epoch, logs)

    last_logs, is_first = {}, True
    seconds, steps = 0.0, 0  # since the last logs, without the time of callbacks
    if progress.pending is not None:
        last_logs = progress.pending
        end_step(_ends_epoch(strategy, progress, batch), dict(last_logs))
    while batch is not None and not scheme.stop_training and (max_steps is None or progress.step < max_steps):
        logs, started = {}, time.perf_counter()
        run_step(batch)
        progress.count_step(*_place(strategy, batch))
        following = next(batches, None)
        epoch_ends = _ends_epoch(strategy, progress, following)
        if progress.stage_step % log_steps == 0 or epoch_ends or progress.step == max_steps:
            logs = _read_trackers(scheme)
        seconds, steps = seconds + time.perf_counter() - started, steps + 1
        if logs:
            refuse_divergence(scheme)
            logs["examples_per_second"] = batch_size / (seconds / steps)
        if logs or is_first:  # the first step includes tracing
            seconds, steps = 0.0, 0
        is_first, last_logs = False, dict(logs)
        end_step(epoch_ends, logs)
        batch = following
    with progress.pending_if(Interrupted, last_logs):
        listeners.on_train_end({})


def _ends_epoch(strategy, progress, following):
    return following is None or int(_rows(strategy, following[schema.EPOCH])[0][0]) > progress.stage_epoch


def _place(strategy, batch):
    """The position in the data after a batch, and the sums of the notes about its videos on this machine."""
    position = _rows(strategy, batch[schema.POSITION])[0][0].tolist()
    if schema.NOTED not in batch:
        return position, []
    return position, np.concatenate(_rows(strategy, batch[schema.NOTED])).sum(axis=0).tolist()


def _rows(strategy, values):
    """A batch's values on each replica of this machine, as numpy arrays: tensor operations would take far longer."""
    return [part.numpy() for part in strategy.experimental_local_results(values)]


def _read_trackers(scheme):
    """The trackers' means since the last call, as floats, and the learning rate of the next step."""
    logs = {tracker.name: float(tracker.result()) for tracker in scheme.metrics}
    scheme.reset_metrics()
    return {**logs, "learning_rate": float(keras.ops.convert_to_numpy(scheme.optimizer.learning_rate))}
