"""What the training loop and replicas cost, relative to the step itself.

    python benchmarks/devices.py

The network is that of the demo (H-RNN with 64 cells, k = 10, 100 classes, batch size 32). Measured in turns, in one process:
the compiled step alone on one batch; `engine.loop.train` on batches in memory, which shows the cost of the loop; ten steps
in one call, as with Keras' `steps_per_execution`; and the loop on two replicas that share this CPU. Results are medians of
several rounds.
"""

import logging
import statistics
import time

import figures
from youtube8m_distill import config, schema

ROUNDS, STEPS, STEPS_PER_CALL = 7, 40, 10
CLASSES, BATCH, FRAMES = 100, 32, 10


def measure():
    import tensorflow as tf

    from youtube8m_distill.engine.strategy import make_strategy

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # TensorFlow logs every reduction over replicas
    strategy = make_strategy()
    batch = random_batch(BATCH, FRAMES, CLASSES)
    network = config.network_config(
        num_classes=CLASSES, view=config.FrameView(frame_selection="uniform", frames_per_video=FRAMES), lstm_cells=64
    )
    scheme = build(network, strategy)
    step = tf.function(scheme.train_step)
    several = tf.function(lambda batch: repeat(scheme.train_step, batch))
    steps = {"step": lambda: [step(batch) for _ in range(STEPS)]}
    one = median_times(
        steps | {"several": lambda: [several(batch) for _ in range(STEPS // STEPS_PER_CALL)]}, scheme, batch, strategy
    )
    strategy = make_strategy(devices=["/cpu:0", "/cpu:1"])
    two = median_times(steps, build(network, strategy), batch, strategy)
    yield figures.Figure("demo's size: compiled step", 1000 * one["step"], "ms")
    yield figures.Figure("demo's size: a step of the loop, over the step alone", one["loop"] / one["step"], "x")
    yield figures.Figure(
        f"demo's size: {STEPS_PER_CALL} steps in one call, over {STEPS_PER_CALL} separate calls",
        one["several"] / one["step"],
        "x",
    )
    yield figures.Figure(
        "demo's size: a step of the loop on two replicas of one CPU, over the step alone", two["loop"] / two["step"], "x"
    )


def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def median_times(functions, scheme, batch, strategy):
    """Median seconds per step of the training loop, as "loop", and of each function, which takes `STEPS` steps.

    The functions run between stretches of `STEPS` steps of the loop.
    """
    import keras
    import tensorflow as tf

    from youtube8m_distill.engine import loop
    from youtube8m_distill.engine.progress import Progress

    found = {name: [] for name in ("loop", *functions)}

    class Turns(keras.callbacks.Callback):
        def on_train_batch_end(self, step, logs=None):
            if step % STEPS == 0:
                if step > STEPS:  # the first stretch includes compilation
                    found["loop"].append(time.perf_counter() - self.started)
                for name, function in functions.items():
                    found[name].append(seconds(function))
                self.started = time.perf_counter()

    loop.train(
        scheme,
        tf.data.Dataset.from_tensors(batch).repeat(),
        strategy,
        [Turns()],
        Progress(),
        batch_size=BATCH,
        max_steps=STEPS * (ROUNDS + 1),
    )
    return {name: statistics.median(times) / STEPS for name, times in found.items()}


def build(network, strategy):
    """A compiled Supervised scheme for one network."""
    import keras

    from youtube8m_distill.engine.optimizers import build_optimizer
    from youtube8m_distill.families.build import build_model
    from youtube8m_distill.schemes.supervised import Supervised

    keras.utils.set_random_seed(0)
    with strategy.scope():
        scheme = Supervised(build_model(network, name=schema.TEACHER))
        scheme.compile(optimizer=build_optimizer(config.TrainingConfig()))
        scheme.optimizer.build(scheme.trainable_variables)
    return scheme


def repeat(step, batch):
    import tensorflow as tf

    for _ in tf.range(STEPS_PER_CALL):
        step(batch)


def random_batch(size, frames, num_classes):
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(0)
    labels = (random.random((size, num_classes)) < 3 / num_classes).astype(np.uint8)
    return {
        schema.TEACHER: {
            schema.FRAMES: tf.constant(random.integers(0, 256, (size, frames, 1152), dtype=np.uint8)),
            schema.NUM_FRAMES: tf.fill([size], frames),
        },
        schema.LABELS: tf.constant(labels),
        schema.EPOCH: tf.zeros([size], tf.int32),
        schema.POSITION: tf.zeros([size, 3], tf.int64),
    }


if __name__ == "__main__":
    figures.run(measure)
