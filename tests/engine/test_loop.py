import concurrent.futures
import logging
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops as framework_ops

from tests import oracles, records, tiny_training
from youtube8m_distill import config
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.engine import interruption as interruption_module
from youtube8m_distill.engine import loop
from youtube8m_distill.engine.interruption import Interrupted, Interruption
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.layers.logistic import SlimL2
from youtube8m_distill.schemes.divergence import FirstDivergence
from youtube8m_distill.schemes.supervised import Supervised


class Counter:
    """A scheme that trains nothing; its loss is the mean of the batch's `value`s."""

    def __init__(self):
        self.trackers = [keras.metrics.Mean(name="loss")]
        self.metrics = self.trackers
        self.optimizer = types.SimpleNamespace(learning_rate=0.25)
        self.seen = tf.Variable(0, dtype=tf.int64)
        self.divergence = FirstDivergence(["loss"])

    def first_divergence(self):
        return self.divergence.read()

    def train_step(self, batch):
        self.seen.assign_add(tf.cast(tf.size(batch["value"]), tf.int64))
        self.trackers[0].update_state(batch["value"])
        self.divergence.update(tf.reduce_mean(batch["value"])[None])
        return {}

    def reset_metrics(self):
        self.trackers[0].reset_state()


class Recorder(keras.callbacks.Callback):
    """Records the calls of the loop, and stops it at a given step."""

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
    positions = np.arange(1, len(epochs) + 1)[:, None]
    dataset = tf.data.Dataset.from_tensor_slices({"epoch": epochs, "value": values, "position": positions})
    return dataset.skip(start).batch(batch_size, drop_remainder=True)


def _run(dataset, batch_size, progress=None, stop_at=None, **settings):
    progress = progress or Progress()
    scheme, recorder = Counter(), Recorder(progress, stop_at)
    loop.train(scheme, dataset, make_strategy(), [recorder], progress, batch_size=batch_size, **settings)
    return scheme, recorder, progress


@pytest.mark.parametrize(
    "epoch_size, num_epochs, batch_size", [(8, 3, 4), (10, 3, 4), (5, 4, 4), (7, 1, 4), (11, 5, 1), (9, 4, 7)]
)
def test_an_epoch_ends_with_the_step_that_trains_on_its_last_record(epoch_size, num_epochs, batch_size):
    scheme, recorder, progress = _run(_epochs(epoch_size, num_epochs, batch_size), batch_size)
    assert recorder.ends == oracles.epoch_end_steps(epoch_size, num_epochs, batch_size)
    assert [stage_epoch for _, stage_epoch in recorder.at_end] == list(range(1, num_epochs + 1))
    assert progress.step == progress.stage_step == epoch_size * num_epochs // batch_size
    assert int(scheme.seen) == progress.step * batch_size


def test_callbacks_run_in_the_order_of_events():
    _, recorder, _ = _run(_epochs(10, 2, 5), 5)
    assert recorder.calls == ["begin", 1, 2, "epoch 1", 3, 4, "epoch 2", "end"]


@pytest.mark.slow  # as the runs of test_end_to_end.py do
def test_batches_of_the_pipeline_mark_where_epochs_end(tmp_path):
    path = records.write(
        tmp_path / "train0.tfrecord",
        [records.frame_record(records.random_frames(3, seed=i), f"id{i}".encode(), [i % 5]) for i in range(10)],
    )
    parser = VideoParser(
        tiny_training.FEATURES,
        tiny_training.NUM_CLASSES,
        {"teacher": config.FrameView(frame_selection="uniform", frames_per_video=2)},
    )
    dataset = make_dataset(find_files(path), parser, 4, TrainingOrder(num_epochs=3))
    dataset = dataset.map(lambda batch: {**batch, "value": tf.cast(batch["teacher"]["num_frames"], tf.float32)})
    _, recorder, progress = _run(dataset, 4)
    assert recorder.ends == [3, 5, 7] and progress.step == 7


def test_progress_holds_the_position_and_the_sums_of_the_notes():
    notes = tf.constant([[0.0, 0, 0, 0, 0], [1, 0, 0, 1, 0.5], [0, 0, 0, 0, 0.25], [1, 0, 0, 0, 0]])
    dataset = _epochs(8, 1, 4).map(lambda batch: {**batch, "notes": notes})
    _, _, progress = _run(dataset, 4, max_steps=1)
    assert progress == Progress(step=1, stage_step=1, position=[1], notes=[2, 0, 0, 1, 0.75])
    _, _, progress = _run(dataset.skip(1), 4, progress)
    assert (progress.position, progress.notes) == ([5], [4, 0, 0, 2, 1.5])


class Signalled(Recorder):
    """Receives a signal in the callback of a step, or at the end of an epoch or the run, and may check for it there."""

    def __init__(self, progress, interruption, at, obeys):
        super().__init__(progress)
        self.interruption, self.at, self.obeys = interruption, at, obeys

    def on_train_batch_end(self, step, logs=None):
        super().on_train_batch_end(step, logs)
        self._may_stop(step)

    def on_epoch_end(self, epoch, logs=None):
        self._may_stop(f"epoch {epoch}")  # before the call is recorded, as in a validation
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        self._may_stop("end")
        super().on_train_end(logs)

    def _may_stop(self, call):
        if call == self.at:
            self.interruption._notice(signal.SIGTERM, None)
            if self.obeys:
                self.interruption.check()


@pytest.mark.parametrize(
    "at, obeys, calls, saved",
    [
        (2, False, [1, 2], (3, 0)),  # noticed after step 3, before its callbacks
        (3, False, [1, 2, 3, "epoch 1"], (4, 1)),
        ("epoch 1", True, [1, 2, 3], (3, 0)),  # the callbacks of step 3 run again, then those of its epoch
        ("end", True, [1, 2, 3, "epoch 1", 4], (4, 1)),
    ],
)
def test_a_run_resumed_after_a_signal_skips_no_callback(at, obeys, calls, saved):
    progress, interruption = Progress(), Interruption()
    recorder = Signalled(progress, interruption, at, obeys)
    options = {"batch_size": 4, "max_steps": 4}
    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        loop.train(Counter(), _epochs(10, 3, 4), make_strategy(), [recorder], progress, interruption=interruption, **options)
    assert recorder.calls == ["begin", *calls]
    assert progress.pending is not None and (progress.step, progress.epoch) == saved
    _, second, progress = _run(_epochs(10, 3, 4, start=4 * progress.step), progress=progress, **options)
    done = [call for call in calls if call != saved[0]]
    assert done + second.calls[1:] == [1, 2, 3, "epoch 1", 4, "end"]
    assert progress.pending is None and (progress.step, progress.epoch) == (4, 1)
    assert sorted({**recorder.logs, **second.logs}) == [3, 4]  # the logs of an interrupted step are not lost
    assert at != "end" or second.logs[4] == recorder.logs[4]


def test_a_worker_waits_for_the_chief_before_it_stops(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(interruption_module, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    interruption = Interruption(patience=10.0)
    interruption.check()
    interruption._notice(signal.SIGTERM, None)
    interruption.check()
    clock.now = 110.0
    with pytest.raises(Interrupted) as stopped:
        interruption.check()
    assert stopped.value.signal == signal.SIGTERM and caplog.messages == ["SIGTERM: saving after this step."]


def test_a_second_ctrl_c_ends_the_process_at_once():
    own = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    try:
        with Interruption().noticing():
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, own)


def test_a_closed_terminal_is_noticed_unless_the_program_ignores_it():
    interruption = Interruption()
    with interruption.noticing():
        signal.raise_signal(signal.SIGHUP)
    with pytest.raises(Interrupted, match="stopped by SIGHUP"):
        interruption.check()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interruption().noticing():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_are_not_handled_in_another_thread():
    def inside():
        with Interruption().noticing():
            return signal.getsignal(signal.SIGTERM)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() == signal.getsignal(signal.SIGTERM)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_diverging_run_ends_before_its_callbacks(wrong):
    dataset = _epochs(40, 1, 4).map(
        lambda batch: {**batch, "value": tf.where(batch["value"] == 13.0, wrong, batch["value"])}
    )
    progress = Progress(step=100)
    recorder = Recorder(progress)
    with pytest.raises(FloatingPointError, match=f"diverged at step 104: loss is {wrong}"):
        loop.train(Counter(), dataset, make_strategy(), [recorder], progress, batch_size=4, log_steps=5)
    assert recorder.calls == ["begin", 101, 102, 103, 104]


@pytest.mark.parametrize("stopped_at", [1, 2, 3, 5])
def test_a_resumed_run_has_the_same_epochs(stopped_at):
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
    assert progress == Progress(step=54, stage=1, stage_step=4, position=[13], epoch=6, stage_epoch=2)


def test_max_steps_ends_the_run_before_its_epoch_does():
    scheme, recorder, progress = _run(_epochs(100, 1, 4), 4, max_steps=6)
    assert recorder.calls == ["begin", 1, 2, 3, 4, 5, 6, "end"] and int(scheme.seen) == 24
    assert progress.epoch == 0 and list(recorder.logs) == [6]


def test_a_run_at_max_steps_trains_no_more():
    scheme, recorder, progress = _run(_epochs(100, 1, 4), 4, Progress(step=6), max_steps=6)
    assert recorder.calls == ["begin", "end"] and int(scheme.seen) == 0 and progress.step == 6


def test_a_callback_can_stop_the_run():
    _, recorder, progress = _run(_epochs(100, 1, 4), 4, stop_at=3)
    assert recorder.calls == ["begin", 1, 2, 3, "end"] and progress.step == 3


def test_logs_come_every_log_steps_and_at_the_end_of_an_epoch():
    _, recorder, _ = _run(_epochs(28, 2, 4), 4, log_steps=3)
    assert list(recorder.logs) == [3, 6, 7, 9, 12, 14]
    assert [logs for logs, _ in recorder.at_end] == [recorder.logs[7], recorder.logs[14]]


def test_logs_are_means_since_the_last_logs():
    _, recorder, _ = _run(_epochs(40, 1, 4), 4, log_steps=4)
    expected = {4: np.mean(range(16)), 8: np.mean(range(16, 32)), 10: np.mean(range(32, 40))}
    assert {step: logs["loss"] for step, logs in recorder.logs.items()} == expected


def test_logs_include_rate_and_learning_rate_as_floats():
    _, recorder, _ = _run(_epochs(8, 1, 4), 4, log_steps=1)
    for logs in recorder.logs.values():
        assert set(logs) == {"loss", "learning_rate", "examples_per_second"}
        assert logs["learning_rate"] == 0.25 and logs["examples_per_second"] > 0
        assert all(type(value) is float for value in logs.values())


def test_the_rate_excludes_the_time_of_callbacks(monkeypatch):
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


def test_two_replicas_log_the_same_means_and_epochs_as_one():
    data = tiny_training.flat(tiny_training.videos(20))
    data["epoch"] = np.repeat(np.arange(2, dtype=np.int32), 10)
    falling, found = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.5), []
    for devices in (None, tiny_training.TWO_CPUS):
        strategy, progress = make_strategy(devices=devices), Progress()
        scheme = tiny_training.compiled(
            lambda: Supervised(tiny_training.network(), regularization_penalty=1e7),
            strategy,
            lambda: keras.optimizers.SGD(falling),
        )
        recorder = Recorder(progress)
        dataset = tf.data.Dataset.from_tensor_slices(data).batch(4, drop_remainder=True)
        with tiny_training.eagerly():
            loop.train(scheme, dataset, strategy, [recorder], progress, batch_size=4, log_steps=2)
        found.append(recorder)
    one, two = found
    assert one.ends == two.ends == [3, 5] and list(one.logs) == list(two.logs) == [2, 3, 4, 5]
    names = ["loss", "teacher/label_loss", "regularization_loss", "teacher/hit_at_one", "learning_rate"]
    for step in one.logs:
        expected = [one.logs[step][name] for name in names]
        assert [two.logs[step][name] for name in names] == pytest.approx(expected, rel=1e-5)


def test_a_constant_learning_rate_is_logged_on_two_replicas():
    with make_strategy(devices=tiny_training.TWO_CPUS).scope():
        scheme = Counter()
        scheme.optimizer = keras.optimizers.SGD(0.5)
        scheme.optimizer.build([])
    assert loop._read_trackers(scheme) == {"loss": 0.0, "learning_rate": 0.5}


@pytest.mark.parametrize("error", [BrokenPipeError, RuntimeError])
def test_a_signal_counts_even_if_its_message_cannot_be_logged(error, monkeypatch):
    def info(*arguments):
        raise error

    monkeypatch.setattr(interruption_module.log, "info", info)
    interruption = Interruption()
    interruption._notice(signal.SIGTERM, None)
    with pytest.raises(Interrupted):
        interruption.check()


class WithARegularizer(Counter):
    """The same, with a step that takes the gradient of a regularizer with a custom gradient."""

    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(tf.ones([3]))

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            penalty = SlimL2(1.0)(self.weights)
        self.weights.assign_sub(0.5 * tape.gradient(penalty, self.weights))
        return super().train_step(batch)


def test_a_finished_run_leaves_no_custom_gradient_registered():
    scheme, registered = WithARegularizer(), framework_ops.gradient_registry._registry
    before = set(registered)
    loop.train(scheme, _epochs(4, 1, 2), make_strategy(), [], Progress(), batch_size=2)
    np.testing.assert_array_equal(scheme.weights.numpy(), np.full(3, 0.25))  # halved twice
    assert set(registered) == before
