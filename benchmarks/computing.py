"""How much of the machine's product rate the networks reach in inference, at their published sizes.

    python benchmarks/computing.py [--rounds=2] [--more]

FLOPs of the frames that exist, two a multiply-add, over the time of a forward pass and over the rate of a 4096 x 4096
x 4096 product in the same precision. Product and pass take turns, and the best of each counts. The product of a zero state,
which a block's first step has, is counted as the papers count it, but not computed. --more adds batch sizes, NetVLAD and
NeXtVLAD in bfloat16, and a training step.
"""

import time

import numpy as np
from absl import flags

import family_costs
import figures  # first: it quiets TensorFlow
import made_up
from youtube8m_distill import schema

ROUNDS = flags.DEFINE_integer("rounds", 2, "Turns of product and pass.", 1)
MORE = flags.DEFINE_bool("more", False, "Measure more than the figures that have a target.")
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
TARGETS = {"float32": 0.90, "bfloat16": 0.65}
H_RNN = "HierarchicalLstmModel"
# model, frames, videos a batch
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
            share, videos[case, precision], done = share_of_product_rate(*case, precision)
            yield from report(case, precision, share, videos[case, precision], target)
            yield figures.Figure(
                f"{shown(case)}, {precision}: the same, zero states' products not counted", share * done, "x"
            )
    for case in WITH_TARGET:
        gain = videos[case, "bfloat16"] / videos[case, "float32"]
        yield figures.Figure(f"{shown(case)}: bfloat16 over float32", gain, "x")
    for case in OTHERS + MORE_BATCHES * MORE.value:
        for precision in PRECISIONS if MORE.value else ("float32",):
            yield from report(case, precision, *share_of_product_rate(*case, precision)[:2])
    if MORE.value:
        yield figures.Figure(f"{H_RNN}, 30 frames, batch 64: training step", training_step_seconds(H_RNN, 30, 64), "s")


def report(case, precision, share, videos_per_second, target=None):
    name = f"{shown(case)}, {precision}"
    yield figures.Figure(f"{name}: share of product rate", share, "x", at_least=target)
    yield figures.Figure(name, videos_per_second, "videos/s")


def shown(case):
    model, frames, batch_size = case
    return f"{model}, {frames} frames, batch {batch_size}"


def share_of_product_rate(model, frames, batch_size, precision):
    """FLOP/s of a forward pass over those of a large product, its videos a second, and how much of its FLOPs it computes."""
    import tensorflow as tf

    from youtube8m_distill.families.build import build_model

    network = build_model(family_costs.published(model, frames), dtype=PRECISIONS[precision])
    forward = tf.function(lambda batch: network(batch, training=False)["predictions"], autograph=False)
    batch = random_batch(frames, batch_size)
    matrix = tf.cast(tf.random.normal([4096, 4096]), precision)
    product, seconds = [], []
    for _ in range(ROUNDS.value + 1):  # the first of each, which compiles, counts for nothing
        product.append(seconds_of(lambda: tf.matmul(matrix, matrix)[0, 0].numpy()))
        seconds.append(seconds_of(lambda: forward(batch).numpy()))
    product_rate, best = 2 * 4096**3 / min(product[1:]), min(seconds[1:])
    cost = network.multiply_adds(frames)
    done = made_up.multiply_adds_done(network, frames) / cost if model == H_RNN else 1.0
    return 2 * batch_size * cost / best / product_rate, batch_size / best, done


def training_step_seconds(model, frames, batch_size):
    """Best time of a step of supervised training."""
    import keras
    import tensorflow as tf

    from youtube8m_distill import config
    from youtube8m_distill.engine.optimizers import build_optimizer
    from youtube8m_distill.families.build import build_model
    from youtube8m_distill.schemes.stages import build_stages

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
