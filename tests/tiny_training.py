"""Tiny networks, videos and training runs, for tests of training and distillation."""

import contextlib
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from youtube8m_distill import config
from youtube8m_distill.engine import loop
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.families.base import Encoder
from youtube8m_distill.families.build import build_model
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.layers.logistic import Logistic
from youtube8m_distill.layers.preprocessing import L2Preprocessing

FEATURES = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3))
NUM_CLASSES = 5
TWO_CPUS = ["/cpu:0", "/cpu:1"]
ALL_TERMS = {  # that are sums over videos
    "representation_loss": 1.5,
    "prediction_loss": 0.7,
    "label_loss": 1.2,
    "topk_logit_loss": 0.3,
    "intermediate_representation_loss": 0.4,
}


class MeanEncoder(Encoder):
    """Stands in for H-RNN where only the step matters: a step of it compiles in a tenth of the time.

    A frame's state is tanh(frame W); the encoding is the mean state of the real frames.
    """

    encoding_size = 4

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.encoding_size), initializer="glorot_uniform")

    def pool(self, frames, num_frames, training=False):
        return self.pool_with_frame_states(frames, num_frames)[0]

    def pool_with_frame_states(self, frames, num_frames):
        states = ops.tanh(ops.matmul(frames, self.kernel))
        real = ops.cast(ops.arange(ops.shape(frames)[1])[None, :] < num_frames[:, None], "float32")
        count = ops.cast(ops.maximum(num_frames, 1), "float32")
        return ops.sum(states * real[:, :, None], axis=1) / count[:, None], states


def network(role="teacher", classifier=None, dropout=0.0, encoding_size=4):
    """A VideoClassifier of 61 weights by default: MeanEncoder and a logistic classifier."""
    encoder, classifier = MeanEncoder(), classifier or Logistic(NUM_CLASSES)
    encoder.encoding_size = encoding_size
    model = VideoClassifier(L2Preprocessing("uint8"), encoder, classifier, FEATURES.size, dropout, name=role)
    model.build()
    return model


def projection(student, teacher):
    """A built layer from the size of the student's encoding to that of the teacher's."""
    layer = keras.layers.Dense(teacher.encoding_size)
    layer.build((None, student.encoding_size))
    return layer


def network_config(num_frames=6, frames_per_block=3, **settings):
    """A NetworkConfig of an H-RNN of 4 cells."""
    settings = {"lstm_cells": 4, "lstm_layers": 1, "dropout": 0.0, **settings}
    return config.network_config(
        num_classes=NUM_CLASSES,
        features=FEATURES,
        frames_per_block=frames_per_block,
        view=config.FrameView(frame_selection="uniform", frames_per_video=num_frames),
        **settings,
    )


def hierarchical_rnn(role="teacher", num_frames=6, frames_per_block=3, classifier=None, **settings):
    """An H-RNN of 4 cells."""
    return build_model(
        network_config(num_frames, frames_per_block, **settings),
        name=role,
        output_layers=None if classifier is None else [classifier],
    )


def _view(frames, num_frames, indices):
    """One network's part of a batch: the frames at `indices` below each video's `num_frames`, then padding."""
    count, length = len(frames), len(indices)
    view = {
        "frames": np.zeros((count, length, FEATURES.size), np.uint8),
        "num_frames": np.zeros(count, np.int32),
        "frame_indices": np.full((count, length), -1, np.int32),
    }
    for video in range(count):
        seen = [index for index in indices if index < num_frames[video]]
        view["num_frames"][video] = len(seen)
        view["frame_indices"][video, : len(seen)] = seen
        view["frames"][video, : len(seen)] = frames[video, seen]
    return view


def videos(count=40, seed=0):
    """Numpy arrays of a training set nested by role: the teacher sees up to 6 frames, the student every other one."""
    random = np.random.default_rng(seed)
    frames = random.integers(0, 256, (count, 6, FEATURES.size), dtype=np.uint8)
    num_frames = random.integers(1, 7, count)
    return {
        "teacher": _view(frames, num_frames, range(6)),
        "student": _view(frames, num_frames, range(0, 6, 2)),
        "labels": random.integers(0, 2, (count, NUM_CLASSES)).astype(np.uint8),
        "epoch": np.zeros(count, np.int32),
        "position": np.zeros([count, 1], np.int64),
    }


def flat(data, role="teacher"):
    """The same videos as a run that trains one network reads them."""
    return {name: data[name] for name in (role, "labels", "epoch", "position")}


def batches(data, batch_size=8):
    """Global batches without end."""
    return tf.data.Dataset.from_tensor_slices(data).repeat().batch(batch_size, drop_remainder=True)


def compiled(make_scheme, strategy, optimizer=None, seed=1):
    """A scheme from `make_scheme()`, its optimizer built, under `strategy`; plain gradient descent by default."""
    keras.utils.set_random_seed(seed)
    with strategy.scope():
        scheme = make_scheme()
        scheme.compile(optimizer=optimizer() if optimizer else keras.optimizers.SGD(0.2))
        scheme.optimizer.build(scheme.trainable_variables)
    return scheme


def train(scheme, data, strategy, steps, callbacks=(), progress=None, batch_size=8):
    """Drives `loop.train` for so many steps, from where `progress` stands in the data; returns the Progress."""
    progress = progress or Progress()
    loop.train(
        scheme,
        batches(data, batch_size).skip(progress.stage_step),
        strategy,
        list(callbacks),
        progress,
        batch_size=batch_size,
        max_steps=progress.step + steps,
    )
    return progress


def train_on(devices, make_scheme, data, optimizer=None, steps=20):
    """A scheme after so many steps on one or two devices, from the same weights whatever the devices."""
    strategy = make_strategy(devices=devices)
    scheme = compiled(make_scheme, strategy, optimizer)
    train(scheme, data, strategy, steps)
    return scheme


def train_eagerly(devices, make_scheme, data, optimizer=None, steps=3):
    """As `train_on`, but with `step_eagerly`."""
    strategy = make_strategy(devices=devices)
    scheme = compiled(make_scheme, strategy, optimizer)
    step_eagerly(scheme, data, strategy, steps)
    return scheme


@contextlib.contextmanager
def eagerly():
    """Inside the block, nothing but datasets is compiled."""
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings(action="ignore"):  # which TensorFlow warns of
            yield
    finally:
        tf.config.run_functions_eagerly(False)


def step_eagerly(scheme, data, strategy, steps=1):
    """Trains so many steps, each operation on its own: compiling takes longer than a few small steps."""
    for batch in strategy.experimental_distribute_dataset(batches(data).take(steps)):
        strategy.run(scheme.train_step, (batch,))


def weights(model):
    """Copies of all weights of a network, or of all networks of a scheme."""
    networks = model.networks.values() if hasattr(model, "networks") else [model]
    return [weight for network in networks for weight in network.get_weights()]


def assert_same_weights(found, expected, tolerance=0.0, rounding=0.0):
    """Every weight equal, or apart by no more than `tolerance` times the largest weight of its array, plus `rounding`."""
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected):
        limit = tolerance * np.abs(b).max() + rounding
        assert np.abs(a - b).max() <= limit, f"{np.abs(a - b).max()} apart, {limit} allowed"


def differ(found, expected):
    """Whether each array differs from its partner."""
    return [not np.array_equal(a, b) for a, b in zip(found, expected)]
