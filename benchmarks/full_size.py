"""Parameters, memory, and time of a training step and of inference for every network family at its published size.

    python benchmarks/full_size.py [--models=NetVLADModelLF,NeXtVLADModel] [--batch_size=16] [--steps=3]

Videos have 300 random frames. Each family runs in its own process, so that its memory can be measured. Memory is the peak
memory of the process, including TensorFlow. The first step compiles and is not timed. A run that does not fit into memory is
reported.
"""

import json
import math
import os
import resource
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import numpy as np
from absl import app, flags

import family_costs
from youtube8m_distill import config, schema

MODELS = flags.DEFINE_list("models", list(config.MODELS), "Families to measure, values of --model of `yt8m train`.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Videos per step. The published values are 80 to 1024.", 1)
STEPS = flags.DEFINE_integer("steps", 3, "Number of steps to time.", 1)
FRAMES = flags.DEFINE_integer("frames", 300, "Frames of each video.", 1, 300)
OPTIMIZER = flags.DEFINE_enum(
    "optimizer", "AdamOptimizer", config.OPTIMIZERS, "Optimizer. Adam stores two more numbers per weight."
)
ALONE = flags.DEFINE_string("alone", None, "Measure this one family in this process and print it as JSON.")
OUT_OF_MEMORY = -9  # killed by the kernel


def main(_):
    if ALONE.value:
        print(json.dumps(measure(ALONE.value)))
        return
    print("| model | parameters | batch | step, s | inference, s | memory, GiB | loss, first and last step |")
    print("|---" * 7 + "|")
    for model in MODELS.value:
        print(row(model), flush=True)


def row(model):
    """One line of the table, measured in a separate process."""
    arguments = [sys.executable, __file__, f"--alone={model}"]
    arguments += [f"--{flag.name}={flag.value}" for flag in (BATCH_SIZE, STEPS, FRAMES, OPTIMIZER)]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if ran.returncode:
        why = "out of memory" if ran.returncode == OUT_OF_MEMORY else (ran.stderr.strip().splitlines() or ["no message"])[-1]
        return f"| {model} | did not run: {why} |"
    found = json.loads(ran.stdout.splitlines()[-1])
    losses = f"{found['losses'][0]:.0f}, {found['losses'][-1]:.0f}"
    return (
        f"| {model} | {found['parameters']:,} | {BATCH_SIZE.value} | {found['step']:.2f} | {found['inference']:.2f} | "
        f"{found['memory']:.1f} | {losses} |"
    )


def measure(model):
    """Seconds per step and per forward pass, memory, and losses of one family, measured in this process."""
    import keras
    import tensorflow as tf

    from youtube8m_distill.engine.optimizers import build_optimizer
    from youtube8m_distill.families.build import build_model
    from youtube8m_distill.schemes.build import build_stages

    keras.utils.set_random_seed(0)
    network = family_costs.published(model, FRAMES.value)
    training = config.TrainingConfig(**{**config.FAMILY_OF[model].training, "optimizer": OPTIMIZER.value})
    teacher = build_model(network, name=schema.TEACHER)
    scheme = build_stages(
        config.RunConfig(mode="teacher", networks={schema.TEACHER: network}, training=training), {schema.TEACHER: teacher}
    )[0].build_scheme()
    scheme.compile(optimizer=build_optimizer(training))
    scheme.optimizer.build(scheme.trainable_variables)
    batch = {name: tf.constant(values) for name, values in random_batch(network).items()}
    step, infer = tf.function(scheme.train_step), tf.function(lambda batch: teacher(batch)["predictions"])
    seconds, losses = timed(lambda: losses_of(step(batch), scheme))
    inference, _ = timed(lambda: infer(batch).numpy())
    return {
        "parameters": sum(math.prod(weight.shape) for weight in teacher.trainable_weights),
        "step": seconds,
        "inference": inference,
        "losses": losses,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def random_batch(network):
    random, size = np.random.default_rng(0), BATCH_SIZE.value
    labels = (random.random((size, network.num_classes)) < 3 / network.num_classes).astype(np.uint8)
    if network.is_video_level:
        return {schema.FEATURES: random.normal(size=(size, network.features.size)).astype(np.float32), schema.LABELS: labels}
    frames = random.integers(0, 256, (size, network.max_frames, network.features.size), dtype=np.uint8)
    return {schema.FRAMES: frames, schema.NUM_FRAMES: np.full(size, network.max_frames, np.int32), schema.LABELS: labels}


def timed(function):
    """Mean seconds of a call, not counting the first, and the results of all calls."""
    found = [function()]
    started = time.perf_counter()
    found += [function() for _ in range(STEPS.value)]
    return (time.perf_counter() - started) / STEPS.value, found


def losses_of(logs, scheme):
    """The loss of this step alone. Trackers return the mean since their last reset."""
    loss = float(logs["loss"])
    scheme.reset_metrics()
    return loss


if __name__ == "__main__":
    app.run(main)
