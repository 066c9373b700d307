"""The one training loop: one device or several replicas, Keras callbacks, resumable at any step."""

import math
import time

import keras
import tensorflow as tf

from youtube8m_distill import schema


def train(scheme, dataset, strategy, callbacks, progress, *, batch_size, max_steps=None, log_steps=10):
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
    Raises:
        ValueError: if the data set does not give one batch.
        FloatingPointError: if a loss is not finite, before anything is saved at that step.
    """
    callbacks = keras.callbacks.CallbackList(callbacks, model=scheme)
    run_step = tf.function(lambda batch: strategy.run(scheme.train_step, (batch,)))
    batches = iter(_distribute(strategy, dataset, batch_size))
    stopwatch = _Stopwatch()
    scheme.stop_training = False
    callbacks.on_train_begin()
    tracing = True
    batch = next(batches, None)
    if batch is None and not progress.stage_step:
        raise ValueError(f"batch_size={batch_size}: the training videos do not fill one batch.")
    while batch is not None and not scheme.stop_training and (max_steps is None or progress.step < max_steps):
        logs = {}
        with stopwatch:
            run_step(batch)
            progress.count_step()
            following = next(batches, None)
            epoch_ends = following is None or _first_epoch(strategy, following) > progress.stage_epoch
            if progress.stage_step % log_steps == 0 or epoch_ends or progress.step == max_steps:
                logs = _read_trackers(scheme)
        if logs:
            _refuse_divergence(logs, progress.step)
            logs["examples_per_second"] = batch_size / stopwatch.mean_and_reset()
        elif stopwatch.laps == 1 and tracing:
            stopwatch.mean_and_reset()          # the first step pays for tracing
        tracing = False
        if epoch_ends:
            progress.count_epoch()
        callbacks.on_train_batch_end(progress.step, logs)
        if epoch_ends:
            callbacks.on_epoch_end(progress.epoch, logs)
        batch = following
    callbacks.on_train_end({})


def _refuse_divergence(logs, step):
    wrong = {name: value for name, value in logs.items() if "loss" in name and not math.isfinite(value)}
    if wrong:
        raise FloatingPointError(f"Training diverged by step {step}: {', '.join(f'{n} is {v}' for n, v in wrong.items())}. "
                                 "Try a smaller base_learning_rate, or look for wrong values in the records.")


def _distribute(strategy, dataset, batch_size):
    """One batch a replica of this machine at a time, in the order of the rows. Nothing is left to automatic sharding."""
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return dataset
    return strategy.distribute_datasets_from_function(lambda context: dataset.rebatch(batch_size // replicas))


def _first_epoch(strategy, batch):
    """Epoch of the first record of a global batch, counted from 0 within its stage."""
    # Through numpy: indexing a tensor is an operation of its own, at thirty times the price.
    return int(strategy.experimental_local_results(batch[schema.EPOCH])[0].numpy()[0])


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
