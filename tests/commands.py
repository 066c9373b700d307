"""Runs the commands in this process, as a shell would, and writes small record files for them to read."""

import contextlib
import gzip
import importlib
import io
import json
import sys
from typing import NamedTuple
from unittest import mock

import h5py
import numpy as np
import tensorflow as tf
from absl import flags

from tests import networks, records, tiny_training
from youtube8m_distill import config, runs
from youtube8m_distill.cli import entry, main, starter_flags
from youtube8m_distill.cli import flags as our_flags

FLAGS = flags.FLAGS
NUM_CLASSES = 5
FEATURES = ("--feature_names=rgb,audio", "--feature_sizes=6,3")
SMALL = (*FEATURES, f"--num_classes={NUM_CLASSES}", "--lstm_cells=4", "--lstm_layers=1")
FEW_FRAMES = ("--frame_selection=uniform", "--frames_per_video=4")
QUICK = ("--batch_size=4", "--num_epochs=1", "--base_learning_rate=0.01")


class Ended(NamedTuple):
    """How a command ended: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def lines(self):
        return self.err.splitlines()


@contextlib.contextmanager
def fresh_flags():
    """Removes this package's flags from absl's global set, inside the block and after it: every command defines its own."""
    others, groups = set(FLAGS), dict(our_flags.GROUPS)
    our_flags.GROUPS.clear()
    starter_flags.REPEATED.clear()
    try:
        yield
    finally:
        for name in set(FLAGS) - others:
            delattr(FLAGS, name)
        FLAGS.unparse_flags()
        our_flags.GROUPS.clear()
        our_flags.GROUPS.update(groups)


def defined(command):
    """Defines a command's flags, inside `fresh_flags`; returns its description."""
    if command == "reproduce":
        reproduce = importlib.import_module("reproduce.command")
        reproduce.define_flags()
        return reproduce.__doc__
    main.COMMANDS[command].define_flags()
    return main.COMMANDS[command].description


@contextlib.contextmanager
def parsed(command, *arguments):
    """A command's flags, defined and parsed as for these arguments."""
    with fresh_flags():
        defined(command)
        FLAGS([command, *map(str, arguments)])
        yield FLAGS


def run(command, *arguments):
    """Runs a command from its arguments to its exit code; returns Ended."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    # `_leave` may end the process without unwinding the stack.
    with (
        fresh_flags(),
        mock.patch.object(sys, "argv", [f"yt8m {command}", *map(str, arguments)]),
        mock.patch.object(entry, "_leave", sys.exit),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            if command == "reproduce":
                importlib.import_module("reproduce.command").run()
            else:
                main.run(command)
        except SystemExit as ended:
            code = ended.code or 0
    return Ended(code, out.getvalue(), err.getvalue())


def succeed(command, *arguments):
    """Runs a command that must succeed; returns Ended."""
    ended = run(command, *arguments)
    assert ended.code == 0, ended.err
    return ended


def fail(command, *arguments):
    """Runs a command that must refuse its arguments with one line; returns that line."""
    ended = run(command, *arguments)
    assert ended.code == 2, ended
    assert ended.out == "" and len(ended.lines) == 1, ended
    assert ended.lines[0].startswith("Error: ")
    return ended.lines[0]


def video_id(number):
    return f"v{number:03d}".encode()


def frame_videos(count, seed=0, labels=True, id_key="id", dtype=np.uint8):
    """Serialized frame-level records v000, v001, ... of 1 to 9 frames; a video's label shows in its frames."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        label = int(random.integers(NUM_CLASSES))
        frames = records.random_frames(int(random.integers(1, 10)), seed=1000 * seed + number, dtype=dtype)
        frames["rgb"][:, label] = 255 if dtype == np.uint8 else 3.0
        found.append(records.frame_record(frames, video_id(number), [label] if labels else None, id_key))
    return found


def video_means(count, seed=0):
    """Serialized video-level records v000, v001, ..."""
    random = np.random.default_rng(seed)
    return [
        records.video_record(
            {"mean_rgb": random.normal(size=6).astype(np.float32), "mean_audio": random.normal(size=3).astype(np.float32)},
            video_id(number),
            [int(random.integers(NUM_CLASSES))],
        )
        for number in range(count)
    ]


def write_files(folder, name, videos, files=2, compression=""):
    """Writes records to `<folder>/<name>0.tfrecord`, ... and returns the glob that matches these files."""
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(videos) // files)
    for number in range(files):
        records.write(folder / f"{name}{number}.tfrecord", videos[number * size : (number + 1) * size], compression)
    return f"{folder}/{name}*.tfrecord"


def entries(folder):
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class QuickEncoder(tiny_training.MeanEncoder):
    """Stands in for H-RNN where the commands matter and the family does not."""

    def multiply_adds(self, num_frames):
        return 36 * num_frames


def use_quick_encoder(monkeypatch):
    """Every network built from here on has a QuickEncoder: a run then takes a quarter of the time."""
    monkeypatch.setattr(config.FAMILY_OF["HierarchicalLstmModel"], "build_encoder", lambda *_: QuickEncoder())


def save_run(folder, network, steps=(3,), **build):
    """A run's folder as training leaves it, but with random weights of another seed for every step; returns the Run.

    `build` are options of `networks.build`.
    """
    run = runs.prepare_run(
        folder, config.RunConfig(mode="teacher", networks={"teacher": network}, training=config.TrainingConfig())
    )
    for step in steps:
        save_checkpoint(run, step, **build)
    return run


def save_checkpoint(run, step, **build):
    """Adds a checkpoint with random weights to a run of `save_run`."""
    path = run.checkpoints.step_folder(step)
    path.mkdir(parents=True)
    network = networks.build(run.config.networks["teacher"], seed=step, name="teacher", **build)
    network.save_weights(path / "teacher.weights.h5")
    (path / "progress.json").write_text(
        json.dumps(
            {
                "step": step,
                "stage": 0,
                "stage_step": step,
                "epoch": 1,
                "stage_epoch": 1,
                "best_step": None,
                "best_value": None,
            }
        )
    )


def weights(folder, role="teacher"):
    """The arrays of the newest weights in a run's folder, read from their file by h5py alone."""
    path = sorted((folder / "checkpoints").glob("step-*"))[-1] / f"{role}.weights.h5"
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return [found[name] for name in sorted(found)]


def batches_by_hand(shards, frames, batch_size=4):
    """Yields (ids, batch of one network, labels uint8) from uncompressed files, the first `frames` frames, padded."""
    videos = [
        tf.train.SequenceExample.FromString(record.numpy())
        for shard in shards
        for record in tf.data.TFRecordDataset(shard.path, shard.compression)
    ]
    for start in range(0, len(videos), batch_size):
        part = videos[start : start + batch_size]
        batch = {"frames": np.zeros((len(part), frames, 9), np.uint8), "num_frames": np.zeros(len(part), np.int32)}
        labels = np.zeros((len(part), NUM_CLASSES), np.uint8)
        for row, video in enumerate(part):
            lists = video.feature_lists.feature_list
            rows = [
                b"".join(lists[name].feature[i].bytes_list.value[0] for name in ("rgb", "audio"))
                for i in range(min(frames, len(lists["rgb"].feature)))
            ]
            batch["frames"][row, : len(rows)] = [list(bytes_) for bytes_ in rows]
            batch["num_frames"][row] = len(rows)
            labels[row, list(video.context.feature["labels"].int64_list.value)] = 1
        yield [video.context.feature["id"].bytes_list.value[0].decode() for video in part], batch, labels


def read_csv(path):
    """{id: [(class, confidence), ...]} from a Kaggle CSV, in its order."""
    with (gzip.open if str(path).endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
        header, *lines = file.read().splitlines()
    assert header == "VideoId,LabelConfidencePairs"
    found = {}
    for video, pairs in (line.split(",") for line in lines):
        numbers = pairs.split(" ")
        found[video] = [(int(c), float(p)) for c, p in zip(numbers[::2], numbers[1::2], strict=True)]
    assert len(found) == len(lines)
    return found
