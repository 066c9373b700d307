"""The one training loop: one device or several replicas, Keras callbacks, resumable at any step."""

import contextlib
import time

import keras
import tensorflow as tf
from tensorflow.python.framework import ops as framework_ops

from youtube8m_distill import schema
from youtube8m_distill.engine.interruption import Interrupted, Interruption
from youtube8m_distill.errors import SettingError
from youtube8m_distill.schemes.divergence import refuse_divergence


@contextlib.contextmanager
def _forgetting_custom_gradients():
    """Removes the gradient functions that are registered inside from TensorFlow's list of them.

    They are looked up while a step is traced and never again, but the list is for ever, and with each of them it keeps the
    graph and all variables of the step: a process that trains many networks would fill its memory. There is no public way.
    """
    registered = framework_ops.gradient_registry._registry
    before = set(registered)
    try:
        yield
    finally:
        for name in registered.keys() - before:
            del registered[name]


@_forgetting_custom_gradients()
def train(scheme, dataset, strategy, callbacks, progress, *, batch_size, max_steps=None, log_steps=10, interruption=None):
    """Runs `scheme.train_step` over a data set until it ends or `max_steps` is reached.

    Callbacks get `on_train_batch_end(step, logs)` with the means since the last logs every `log_steps` steps and an
    empty dict in between, and `on_epoch_end(epoch, logs)` when the last record of an epoch has been trained on, known
    from the batches' own `epoch`. A callback may set `scheme.stop_training`.

    Args:
        scheme: compiled TrainingScheme.
        dataset: batches of `data.pipeline.make_dataset(training=True)`, from where `progress` stands; on several machines
            this one's share of each.
        strategy: tf.distribute.Strategy under which the scheme was built.
        callbacks: list of keras.callbacks.Callback, called in this order.
        progress: Progress, moved on as the run goes.
        batch_size: int. Videos in a global batch.
        max_steps: int or None. Ends the whole run at this step.
        log_steps: int.
        interruption: Interruption, asked after each step, before the callbacks are told of it; None never ends early.
    Raises:
        ValueError: if the data set does not give one batch.
        FloatingPointError: if a loss or a gradient is not finite, before anybody is told of that step.
        Interrupted: with `progress` at the last step. Saved as it is, a run goes on from it without a trace of this.
    """
    interruption = interruption or Interruption()
    callbacks = keras.callbacks.CallbackList(callbacks, model=scheme)
    run_step = tf.function(lambda batch: strategy.run(scheme.train_step, (batch,)))
    batches = iter(_distribute(strategy, dataset, batch_size))
    stopwatch = _Stopwatch()
    scheme.stop_training = False
    scheme.divergence.count_from(progress.step)
    callbacks.on_train_begin()
    tracing = True
    batch = next(batches, None)
    if batch is None and not progress.stage_step:
        raise SettingError("batch_size", "the training videos do not fill one batch.", batch_size)

    def end_step(epoch_ends, logs):
        with progress.pending_if(Interrupted, logs):
            interruption.check()
            if epoch_ends:
                progress.count_epoch()
            callbacks.on_train_batch_end(progress.step, logs)
            if epoch_ends:
                callbacks.on_epoch_end(progress.epoch, logs)

    told = {}  # of the last step
    if progress.pending is not None:
        told = progress.pending
        end_step(_ends_epoch(strategy, progress, batch), dict(told))
    while batch is not None and not scheme.stop_training and (max_steps is None or progress.step < max_steps):
        logs = {}
        with stopwatch:
            run_step(batch)
            progress.count_step(*_place(strategy, batch))
            following = next(batches, None)
            epoch_ends = _ends_epoch(strategy, progress, following)
            if progress.stage_step % log_steps == 0 or epoch_ends or progress.step == max_steps:
                logs = _read_trackers(scheme)
        if logs:
            refuse_divergence(scheme)
            logs["examples_per_second"] = batch_size / stopwatch.mean_and_reset()
        elif stopwatch.laps == 1 and tracing:
            stopwatch.mean_and_reset()  # the first step pays for tracing
        tracing, told = False, dict(logs)
        end_step(epoch_ends, logs)
        batch = following
    with progress.pending_if(Interrupted, told):
        callbacks.on_train_end({})


def _distribute(strategy, dataset, batch_size):
    """One batch a replica of this machine at a time, in the order of the rows. Nothing is left to automatic sharding."""
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return dataset
    return strategy.distribute_datasets_from_function(lambda context: dataset.rebatch(batch_size // replicas))


def _ends_epoch(strategy, progress, following):
    """Whether no record of the epoch in training comes after the last step."""
    return following is None or int(_rows(strategy, following[schema.EPOCH])[0][0]) > progress.stage_epoch


def _place(strategy, batch):
    """Where the records go on after a batch, and how many videos of it, on this machine, are longer than what is read."""
    position = _rows(strategy, batch[schema.POSITION])[0][0].tolist()
    lengths = _rows(strategy, batch[schema.STORED_FRAMES]) if schema.STORED_FRAMES in batch else []
    return position, sum(int((rows > schema.MAX_FRAMES).sum()) for rows in lengths)


def _rows(strategy, values):
    """What each replica of this machine has of a batch's values, as numpy arrays: operations on tensors take far longer."""
    return [part.numpy() for part in strategy.experimental_local_results(values)]


def _read_trackers(scheme):
    """The trackers' means since the last call, as floats, and the learning rate of the next step."""
    logs = {tracker.name: float(tracker.result()) for tracker in scheme.metrics}
    scheme.reset_metrics()
    return {**logs, "learning_rate": float(keras.ops.convert_to_numpy(scheme.optimizer.learning_rate))}


class _Stopwatch:
    """Mean seconds a step, without what callbacks do in between."""

    def __init__(self):
        self.seconds, self.laps = 0.0, 0

    def __enter__(self):
        self.started = time.perf_counter()

    def __exit__(self, *error):
        self.seconds += time.perf_counter() - self.started
        self.laps += 1

    def mean_and_reset(self):
        mean = self.seconds / self.laps
        self.seconds, self.laps = 0.0, 0
        return mean
