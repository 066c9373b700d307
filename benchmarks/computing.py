"""How much of the machine's matmul rate the networks reach in inference, at their published sizes.

    python benchmarks/computing.py [--rounds=2] [--more]

The result is the FLOP rate of a forward pass, divided by the FLOP rate of a 4096 x 4096 x 4096 matrix product in the same
precision. Only real frames count, with two FLOPs per multiply-add. Product and pass are timed in turns, and the best time of
each counts. The product with the zero state in the first step of a block is counted, as in the papers, although it is not
computed. --more adds batch sizes, NetVLAD and NeXtVLAD in bfloat16, and a training step.
"""

import time

import numpy as np
from absl import flags

import family_costs
import figures  # before TensorFlow, whose log messages it turns off
import inputs
from youtube8m_distill import schema

ROUNDS = flags.DEFINE_integer("rounds", 2, "Number of times to measure product and pass.", 1)
MORE = flags.DEFINE_bool("more", False, "Also measure cases that have no target.")
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
TARGETS = {"float32": 0.90, "bfloat16": 0.65}
H_RNN = "HierarchicalLstmModel"
# (model, frames, videos per batch)
WITH_TARGET = ((H_RNN, 300, 256), (H_RNN, 30, 256), (H_RNN, 10, 512))
OTHERS = (("NetVLADModelLF", 300, 64), ("NeXtVLADModel", 300, 64))
MORE_BATCHES = (
    (H_RNN, 300, 64),
    (H_RNN, 300, 128),
    (H_RNN, 30, 64),
    (H_RNN, 30, 512),
    (H_RNN, 10, 64),
    (H_RNN, 10, 256),
    ("NetVLADModelLF", 30, 256),
    ("NeXtVLADModel", 30, 256),
)


def measure():
    """Yields the figures."""
    videos = {}
    for precision, target in TARGETS.items():
        for case in WITH_TARGET:
            share, videos[case, precision], done = fraction_of_matmul_rate(*case, precision)
            yield from report(case, precision, share, videos[case, precision], target)
            yield figures.Figure(
                f"{title(case)}, {precision}: the same without products with zero states", share * done, "x"
            )
    for case in WITH_TARGET:
        gain = videos[case, "bfloat16"] / videos[case, "float32"]
        yield figures.Figure(f"{title(case)}: bfloat16 over float32", gain, "x")
    for case in OTHERS + MORE_BATCHES * MORE.value:
        for precision in PRECISIONS if MORE.value else ("float32",):
            yield from report(case, precision, *fraction_of_matmul_rate(*case, precision)[:2])
    if MORE.value:
        yield figures.Figure(f"{H_RNN}, 30 frames, batch 64: training step", training_step_seconds(H_RNN, 30, 64), "s")


def report(case, precision, share, videos_per_second, target=None):
    name = f"{title(case)}, {precision}"
    yield figures.Figure(f"{name}: fraction of the matmul rate", share, "x", at_least=target)
    yield figures.Figure(name, videos_per_second, "videos/s")


def title(case):
    model, frames, batch_size = case
    return f"{model}, {frames} frames, batch {batch_size}"


def fraction_of_matmul_rate(model, frames, batch_size, precision):
    """Measures a forward pass.

    Returns:
        the fraction of the matmul rate that it reaches, its videos per second, and the fraction of the counted FLOPs that it
        computes.
    """
    import tensorflow as tf

    from youtube8m_distill.families.build import build_model

    network = build_model(family_costs.published(model, frames), dtype=PRECISIONS[precision])
    forward = tf.function(lambda batch: network(batch, training=False)["predictions"], autograph=False)
    batch = random_batch(frames, batch_size)
    matrix = tf.cast(tf.random.normal([4096, 4096]), precision)
    product, seconds = [], []
    for _ in range(ROUNDS.value + 1):  # the first round compiles and does not count
        product.append(seconds_of(lambda: tf.matmul(matrix, matrix)[0, 0].numpy()))
        seconds.append(seconds_of(lambda: forward(batch).numpy()))
    matmul_rate, best = 2 * 4096**3 / min(product[1:]), min(seconds[1:])
    cost = network.multiply_adds(frames)
    done = inputs.multiply_adds_done(network, frames) / cost if model == H_RNN else 1.0
    return 2 * batch_size * cost / best / matmul_rate, batch_size / best, done


def training_step_seconds(model, frames, batch_size):
    """The best time of a supervised training step."""
    import keras
    import tensorflow as tf

    from youtube8m_distill import config
    from youtube8m_distill.engine.optimizers import build_optimizer
    from youtube8m_distill.families.build import build_model
    from youtube8m_distill.schemes.build import build_stages

    keras.utils.set_random_seed(0)
    settings, training = family_costs.published(model, frames), config.TrainingConfig(**config.FAMILY_OF[model].training)
    network = build_model(settings, name=schema.TEACHER)
    scheme = build_stages(
        config.RunConfig(mode="teacher", networks={schema.TEACHER: settings}, training=training), {schema.TEACHER: network}
    )[0].build_scheme()
    scheme.compile(optimizer=build_optimizer(training))
    scheme.optimizer.build(scheme.trainable_variables)
    labels = np.random.default_rng(0).random((batch_size, settings.num_classes)) < 3 / settings.num_classes
    batch = {**random_batch(frames, batch_size), schema.LABELS: tf.constant(labels.astype(np.uint8))}
    step = tf.function(scheme.train_step, autograph=False)
    return min([seconds_of(lambda: step(batch)["loss"].numpy()) for _ in range(ROUNDS.value + 1)][1:])


def random_batch(frames, batch_size):
    import tensorflow as tf

    size = sum(schema.FEATURE_SIZES[name] for name in schema.FRAME_FEATURES)
    codes = np.random.default_rng(0).integers(0, 256, (batch_size, frames, size), dtype=np.uint8)
    return {schema.FRAMES: tf.constant(codes), schema.NUM_FRAMES: tf.fill([batch_size], frames)}


def seconds_of(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    figures.run(measure)
