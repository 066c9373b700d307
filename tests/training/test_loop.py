import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from tests import oracles, records, schemes

from youtube8m_distill import config
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.sources import find_files
from youtube8m_distill.training import loop
from youtube8m_distill.training.progress import Progress
from youtube8m_distill.training.strategy import make_strategy
from youtube8m_distill.training.supervised import Supervised


class Counter:
    """A scheme that trains nothing: its loss is the mean of the batch's `value`s."""

    def __init__(self):
        self.trackers = [keras.metrics.Mean(name="loss")]
        self.metrics = self.trackers
        self.optimizer = types.SimpleNamespace(learning_rate=0.25)
        self.seen = tf.Variable(0, dtype=tf.int64)

    def train_step(self, batch):
        self.seen.assign_add(tf.cast(tf.size(batch["value"]), tf.int64))
        self.trackers[0].update_state(batch["value"])
        return {}

    def reset_metrics(self):
        self.trackers[0].reset_state()


class Recorder(keras.callbacks.Callback):
    """Writes down what the loop tells callbacks, and stops it where asked."""

    def __init__(self, progress, stop_at=None):
        super().__init__()
        self.progress, self.stop_at = progress, stop_at
        self.calls, self.logs, self.ends, self.at_end = [], {}, [], []

    def on_train_begin(self, logs=None):
        self.calls.append("begin")

    def on_train_batch_end(self, step, logs=None):
        self.calls.append(step)
        if logs:
            self.logs[step] = logs
        if step == self.stop_at:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch}")
        self.ends.append(self.progress.step)
        self.at_end.append((logs, self.progress.stage_epoch))

    def on_train_end(self, logs=None):
        self.calls.append("end")


def _epochs(epoch_size, num_epochs, batch_size, start=0):
    epochs = np.repeat(np.arange(num_epochs, dtype=np.int32), epoch_size)
    values = np.arange(len(epochs), dtype=np.float32)
    dataset = tf.data.Dataset.from_tensor_slices({"epoch": epochs, "value": values})
    return dataset.skip(start).batch(batch_size, drop_remainder=True)


def _run(dataset, batch_size, progress=None, stop_at=None, **settings):
    progress = progress or Progress()
    scheme, recorder = Counter(), Recorder(progress, stop_at)
    loop.train(scheme, dataset, make_strategy(), [recorder], progress, batch_size=batch_size, **settings)
    return scheme, recorder, progress


@pytest.mark.parametrize("epoch_size, num_epochs, batch_size", [
    (8, 3, 4), (10, 3, 4), (9, 2, 4), (4, 3, 4), (5, 4, 4), (7, 1, 4), (11, 5, 1), (5, 6, 5), (9, 4, 7)])
def test_an_epoch_ends_with_the_step_that_trains_on_its_last_record(epoch_size, num_epochs, batch_size):
    scheme, recorder, progress = _run(_epochs(epoch_size, num_epochs, batch_size), batch_size)
    assert recorder.ends == oracles.epoch_end_steps(epoch_size, num_epochs, batch_size)
    assert [stage_epoch for _, stage_epoch in recorder.at_end] == list(range(1, num_epochs + 1))
    assert progress.step == progress.stage_step == epoch_size * num_epochs // batch_size
    assert int(scheme.seen) == progress.step * batch_size


def test_callbacks_are_called_in_the_order_of_what_happens():
    _, recorder, _ = _run(_epochs(10, 2, 5), 5)
    assert recorder.calls == ["begin", 1, 2, "epoch 1", 3, 4, "epoch 2", "end"]


def test_the_pipelines_own_batches_tell_where_epochs_end(tmp_path):
    path = records.write(tmp_path / "train0.tfrecord", [
        records.frame_record(records.random_frames(3, seed=i), f"id{i}".encode(), [i % 5]) for i in range(10)])
    dataset = make_dataset(find_files(path), schemes.FEATURES, schemes.NUM_CLASSES, config.FrameConfig("uniform", 2), 4,
                           training=True, num_epochs=3).map(lambda batch: {**batch, "value": batch["num_frames"]})
    _, recorder, progress = _run(dataset, 4)
    assert recorder.ends == [3, 5, 7] and progress.step == 7


@pytest.mark.parametrize("stopped_at", [1, 2, 3, 4, 5, 6])
def test_a_run_stopped_anywhere_goes_on_with_the_same_epochs(stopped_at):
    _, first, progress = _run(_epochs(10, 3, 4), 4, max_steps=stopped_at)
    assert progress.step == stopped_at
    _, second, progress = _run(_epochs(10, 3, 4, start=stopped_at * 4), 4, progress)
    assert first.ends + second.ends == oracles.epoch_end_steps(10, 3, 4)
    assert (progress.step, progress.epoch, progress.stage_epoch) == (7, 3, 3)


def test_a_later_stage_counts_its_own_epochs_and_the_steps_of_the_run():
    progress = Progress(step=50, epoch=4, stage=0, stage_step=50, stage_epoch=4)
    progress.start_next_stage()
    _, recorder, _ = _run(_epochs(8, 2, 4), 4, progress)
    assert recorder.calls == ["begin", 51, 52, "epoch 5", 53, 54, "epoch 6", "end"]
    assert progress == Progress(step=54, stage=1, stage_step=4, epoch=6, stage_epoch=2)


def test_max_steps_ends_the_run_before_its_epoch_does():
    scheme, recorder, progress = _run(_epochs(100, 1, 4), 4, max_steps=6)
    assert recorder.calls == ["begin", 1, 2, 3, 4, 5, 6, "end"] and int(scheme.seen) == 24
    assert progress.epoch == 0 and list(recorder.logs) == [6]


def test_a_run_that_is_at_max_steps_already_trains_no_more():
    scheme, recorder, progress = _run(_epochs(100, 1, 4), 4, Progress(step=6), max_steps=6)
    assert recorder.calls == ["begin", "end"] and int(scheme.seen) == 0 and progress.step == 6


def test_a_callback_can_stop_the_run():
    _, recorder, progress = _run(_epochs(100, 1, 4), 4, stop_at=3)
    assert recorder.calls == ["begin", 1, 2, 3, "end"] and progress.step == 3


def test_logs_come_every_so_many_steps_and_at_the_end_of_an_epoch():
    _, recorder, _ = _run(_epochs(28, 2, 4), 4, log_steps=3)
    assert list(recorder.logs) == [3, 6, 7, 9, 12, 14]
    assert [logs for logs, _ in recorder.at_end] == [recorder.logs[7], recorder.logs[14]]


def test_logs_are_means_since_the_last_ones():
    _, recorder, _ = _run(_epochs(40, 1, 4), 4, log_steps=4)
    expected = {4: np.mean(range(16)), 8: np.mean(range(16, 32)), 10: np.mean(range(32, 40))}
    assert {step: logs["loss"] for step, logs in recorder.logs.items()} == expected


def test_logs_hold_rate_and_learning_rate_as_floats():
    _, recorder, _ = _run(_epochs(8, 1, 4), 4, log_steps=1)
    for logs in recorder.logs.values():
        assert set(logs) == {"loss", "learning_rate", "examples_per_second"}
        assert logs["learning_rate"] == 0.25 and logs["examples_per_second"] > 0
        assert all(type(value) is float for value in logs.values())


def test_the_rate_counts_the_time_of_steps_and_not_that_of_callbacks(monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(loop.time, "perf_counter", lambda: clock.now)

    class Slow(Counter):
        def train_step(self, batch):
            tf.py_function(lambda: setattr(clock, "now", clock.now + 0.5), [], [])
            return super().train_step(batch)

    class Idle(Recorder):
        def on_train_batch_end(self, step, logs=None):
            clock.now += 100.0
            super().on_train_batch_end(step, logs)

    progress = Progress()
    recorder = Idle(progress)
    loop.train(Slow(), _epochs(24, 1, 4), make_strategy(), [recorder], progress, batch_size=4, log_steps=2)
    assert [logs["examples_per_second"] for logs in recorder.logs.values()] == [8.0, 8.0, 8.0]


def test_two_replicas_log_the_means_and_epochs_of_one():
    data = schemes.flat(schemes.videos(20))
    data["epoch"] = np.repeat(np.arange(2, dtype=np.int32), 10)
    falling, found = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.5), []
    for devices in (None, schemes.TWO_CPUS):
        strategy, progress = make_strategy(devices=devices), Progress()
        scheme = schemes.compiled(lambda: Supervised(schemes.network(), regularization_penalty=1e7), strategy,
                                  lambda: keras.optimizers.SGD(falling))
        recorder = Recorder(progress)
        dataset = tf.data.Dataset.from_tensor_slices(data).batch(4, drop_remainder=True)
        loop.train(scheme, dataset, strategy, [recorder], progress, batch_size=4, log_steps=2)
        found.append(recorder)
    one, two = found
    assert one.ends == two.ends == [3, 5] and list(one.logs) == list(two.logs) == [2, 3, 4, 5]
    names = ["loss", "teacher/label_loss", "regularization_loss", "teacher/hit_at_one", "learning_rate"]
    for step in one.logs:
        expected = [one.logs[step][name] for name in names]
        assert [two.logs[step][name] for name in names] == pytest.approx(expected, rel=1e-5)


def test_a_constant_learning_rate_is_logged_on_two_replicas_too():
    with make_strategy(devices=schemes.TWO_CPUS).scope():
        scheme = Counter()
        scheme.optimizer = keras.optimizers.SGD(0.5)
        scheme.optimizer.build([])
    assert loop._read_trackers(scheme) == {"loss": 0.0, "learning_rate": 0.5}
