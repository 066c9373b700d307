"""The speedup from stored targets: a serial training step with them and with the teacher, from files to weights.

    python benchmarks/targets.py [--batch_size=64] [--rounds=2]

The network is H-RNN at its published size, on synthetic videos of 300 frames. Both cases have the same student and
optimizer. The ideal speedup is (teacher forward + student step) / student step, each measured alone on a batch in memory.
Everything is timed in turns, and times are medians over the rounds. Both steps from files use a pipeline that reads ahead.
Reading takes a few tenths of a millisecond per video, mostly while something else is timed.
"""

import os
import pathlib
import statistics
import tempfile
import time

import keras
import tensorflow as tf
from absl import flags

import figures
import inputs
from youtube8m_distill import config, runs, schema
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.engine.optimizers import build_optimizer
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.runs.targets import complete_targets
from youtube8m_distill.schemes.build import build_stages, build_student

BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Videos per step.", 1)
ROUNDS = flags.DEFINE_integer("rounds", 2, "Number of times to measure everything, in turns.", 1)
STUDENTS = (30, 10)
BATCHES = 2  # in the files, and timed per round
TEACHER = config.network_config()


def measure():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        pattern = inputs.write_videos(folder / "videos", [schema.MAX_FRAMES] * BATCHES * BATCH_SIZE.value)
        teacher = inputs.save_network(folder / "teacher", TEACHER).load_network()[0]
        shards = runs.find_shards("videos", pattern)
        for k in STUDENTS:
            settings = run_config(folder, k)
            targets = complete_targets(settings, {schema.TEACHER: teacher}, shards, make_strategy())
            if k == STUDENTS[0]:
                yield from sizes(shards, targets)
            yield from student(settings, teacher, shards, targets, k)


def run_config(folder, k):
    """The RunConfig of a serial run with stored targets."""
    pair = {
        schema.TEACHER: TEACHER,
        schema.STUDENT: config.network_config(view=config.FrameView(frame_selection="uniform", frames_per_video=k)),
    }
    return config.RunConfig(
        mode="serial",
        networks=pair,
        training=config.TrainingConfig(batch_size=BATCH_SIZE.value),
        distillation=config.DistillationConfig(),
        teacher_dir=str(folder / "teacher"),
        teacher_targets_dir=str(folder / "targets"),
    )


def sizes(shards, targets):
    videos = BATCHES * BATCH_SIZE.value
    for what, paths in (("stored targets", targets.paths), ("stored frames", [shard.path for shard in shards])):
        yield figures.Figure(f"{what}, per video", sum(map(os.path.getsize, paths)) / videos / 2**10, "KiB")


def student(settings, teacher, shards, targets, k):
    """Yields the figures of one student."""
    keras.utils.set_random_seed(0)
    networks = {schema.TEACHER: teacher, schema.STUDENT: build_student(settings, teacher)}
    optimizer = build_optimizer(settings.training)
    without = settings.replace(teacher_targets_dir="")
    steps = {name: compiled_step(each, networks, optimizer) for name, each in (("stored", settings), ("teacher", without))}
    batches = {
        "stored": endless(settings, shards, (schema.STUDENT,), targets),
        "teacher": endless(without, shards, (schema.TEACHER, schema.STUDENT)),
    }
    forward = tf.function(lambda batch: teacher(batch, training=False))
    ready = {name: next(batches[name]) for name in batches}
    runs_of = {
        "teacher forward": lambda: forward(ready["teacher"][schema.TEACHER])["predictions"].numpy(),
        "student step": lambda: read(steps["stored"](ready["stored"])),
        "stored": lambda: read(steps["stored"](next(batches["stored"]))),
        "teacher": lambda: read(steps["teacher"](next(batches["teacher"]))),
    }
    seconds = timed(runs_of)
    ideal = (seconds["teacher forward"] + seconds["student step"]) / seconds["student step"]
    found = seconds["teacher"] / seconds["stored"]
    for name, what in (
        ("teacher forward", "teacher forward alone"),
        ("student step", f"student step alone, k = {k}"),
        ("stored", f"step with stored targets, k = {k}"),
        ("teacher", f"step with the teacher, k = {k}"),
    ):
        yield figures.Figure(what, seconds[name], "s")
    yield figures.Figure(f"speedup from stored targets, k = {k}", found, "x")
    yield figures.Figure(f"ideal speedup, k = {k}", ideal, "x")
    yield figures.Figure(f"fraction of the ideal speedup, k = {k}", found / ideal, "", at_least=0.9)


def compiled_step(settings, networks, optimizer):
    scheme = build_stages(settings, networks)[0].build_scheme()
    scheme.compile(optimizer=optimizer)
    if not optimizer.built:
        optimizer.build(scheme.trainable_variables)
    return tf.function(scheme.train_step)


def endless(settings, shards, roles, targets=None):
    """An endless iterator over training batches for the networks of some roles."""
    parser = VideoParser(TEACHER.features, TEACHER.num_classes, {role: settings.networks[role].view for role in roles})
    return iter(make_dataset(shards, parser, BATCH_SIZE.value, TrainingOrder(num_epochs=None), targets=targets))


def read(logs):
    return float(logs["loss"])


def timed(functions):
    """A dict from name to the median seconds of a call. Functions are called in turns, after a first call that compiles."""
    seconds = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(ROUNDS.value):
        for name, function in functions.items():
            started = time.perf_counter()
            for _ in range(BATCHES):
                function()
            seconds[name].append((time.perf_counter() - started) / BATCHES)
    return {name: statistics.median(found) for name, found in seconds.items()}


if __name__ == "__main__":
    figures.run(measure)
