"""Whether clips of 10 frames train as fast with `all` frames as with 10 `uniform` ones, and long videos as fast as before.

    python benchmarks/short_clips.py [--steps=30] [--models=HierarchicalLstmModel,...]

Each network trains on the same files with both frame selections, in turns; the steps that compile are not timed. Networks
are small, so that reading and padding count. A set of realistic lengths is trained on with and without cutting batches to
their longest video.
"""

import dataclasses
import pathlib
import tempfile
import time

import keras
from absl import flags

import figures
import inputs
from youtube8m_distill import config, schema
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.engine import loop
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.families.build import build_model
from youtube8m_distill.schemes.build import label_objective
from youtube8m_distill.schemes.supervised import Supervised

STEPS = flags.DEFINE_integer("steps", 30, "Steps to time in each round.", 1)
ROUNDS, COMPILING = 2, 3
BATCH_SIZE, CLIPS, FRAMES = 128, 1024, 10
CLASSES = 527
SIZES = {
    "HierarchicalLstmModel": {"lstm_cells": 256},
    "LstmModel": {"lstm_cells": 256},
    "NetVLADModelLF": {"netvlad_cluster_size": 16, "netvlad_hidden_size": 128},
    "NeXtVLADModel": {"nextvlad_cluster_size": 16, "nextvlad_hidden_size": 128},
    "DbofModel": {"dbof_cluster_size": 512, "dbof_hidden_size": 128},
    "FrameLevelLogisticModel": {},
}
MODELS = flags.DEFINE_list("models", list(SIZES), "Families to measure.")
TEN = config.FrameView(frame_selection="uniform", frames_per_video=FRAMES)
ALL = config.FrameView()


def measure():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        clips = find_files(inputs.write_videos(folder / "clips", [FRAMES] * CLIPS, 256, CLASSES))
        for model in MODELS.value:
            network = {view: config.network_config(model, CLASSES, view=view, **SIZES[model]) for view in (TEN, ALL)}
            rate = rates({view: Training(network[view], clips) for view in network})
            yield figures.Figure(f"{model}, clips of {FRAMES} frames, uniform", rate[TEN], "videos/s")
            yield figures.Figure(f"{model}, clips of {FRAMES} frames, all", rate[ALL], "videos/s")
            yield figures.Figure(f"{model}, all over uniform", rate[ALL] / rate[TEN], "x", at_least=0.9)
        videos = find_files(inputs.write_videos(folder / "videos", inputs.real_lengths(CLIPS), 256, CLASSES))
        network = config.network_config("HierarchicalLstmModel", CLASSES, lstm_cells=64)
        rate = rates({trim: Training(network, videos, trim) for trim in (True, False)})
        yield figures.Figure("realistic lengths, cut to the longest video", rate[True], "videos/s")
        yield figures.Figure("realistic lengths, cut over whole", rate[True] / rate[False], "x", at_least=0.95)


@dataclasses.dataclass
class Training:
    """A training that can be continued for some steps."""

    network: config.NetworkConfig
    shards: tuple
    trim: bool = True

    def __post_init__(self):
        keras.utils.set_random_seed(0)
        self.scheme = Supervised(build_model(self.network), schema.TEACHER, label_objective(self.network))
        self.scheme.compile(optimizer=keras.optimizers.Adam(1e-4))
        self.scheme.optimizer.build(self.scheme.trainable_variables)

    def seconds(self, steps):
        """Seconds of so many steps, after those that compile."""
        views = {schema.TEACHER: self.network.view}
        parser = VideoParser(self.network.features, CLASSES, views, trim=self.trim)
        dataset = make_dataset(self.shards, parser, BATCH_SIZE, TrainingOrder(num_epochs=None))
        clock = Clock(COMPILING)
        limits = {"batch_size": BATCH_SIZE, "max_steps": COMPILING + steps, "log_steps": COMPILING + steps}
        loop.train(self.scheme, dataset, make_strategy(), [clock], Progress(), **limits)
        return clock.ended - clock.started


class Clock(keras.callbacks.Callback):
    """Notes when a step ends, and when the last one does."""

    def __init__(self, step):
        super().__init__()
        self.step, self.started, self.ended = step, 0.0, 0.0

    def on_train_batch_end(self, step, logs=None):
        self.ended = time.perf_counter()
        if step == self.step:
            self.started = self.ended


def rates(trainings):
    """Videos per second of each training, from its fastest round."""
    best = dict.fromkeys(trainings, float("inf"))
    for _ in range(ROUNDS):
        for name, training in trainings.items():
            best[name] = min(best[name], training.seconds(STEPS.value))
    return {name: STEPS.value * BATCH_SIZE / seconds for name, seconds in best.items()}


if __name__ == "__main__":
    figures.run(measure)
