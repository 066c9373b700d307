"""Inputs of the speed benchmarks: random videos in files of the official format, and runs of untrained networks."""

import json
import pathlib

import numpy as np
import tensorflow as tf

from youtube8m_distill import config, runs, schema
from youtube8m_distill.data.synthetic import records
from youtube8m_distill.data.synthetic.statistics import SIZE, draw_length, generator
from youtube8m_distill.data.tfrecord import RecordWriter
from youtube8m_distill.families.build import build_model

DISTINCT = 64  # number of videos of one length with different frames; further videos reuse these frames
LABELS_PER_VIDEO = 3  # about the mean of the 2018 data set
STEP = 1


def write_videos(folder, lengths, videos_per_shard=250, num_classes=schema.NUM_CLASSES, compression=""):
    """Writes a video of random bytes for each length; returns a glob of the files.

    Args:
        folder: path of a new folder.
        lengths: ints, the number of frames of each video.
        videos_per_shard, num_classes: ints.
        compression: "" or "GZIP".
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    random, frames = np.random.default_rng(0), {}
    for start in range(0, len(lengths), videos_per_shard):
        path = folder / f"test{start // videos_per_shard:04d}.tfrecord"
        with RecordWriter(path, compression) as writer:
            for number, length in enumerate(lengths[start : start + videos_per_shard], start):
                key = length, number % DISTINCT
                if key not in frames:
                    frames[key] = _frames(random.integers(0, 256, (length, SIZE), np.uint8))
                # The fields of a message can be in any order, so the expensive part can be reused for many videos.
                writer.write(_context(number, random.choice(num_classes, LABELS_PER_VIDEO, replace=False)) + frames[key])
    return f"{folder}/*.tfrecord"


def multiply_adds_done(network, num_frames):
    """`multiply_adds` of an H-RNN without the products with zero initial states, which are skipped on CPUs."""
    encoder = network.encoder
    sequences = -(-num_frames // encoder.frames_per_block) + 1
    zeros = encoder.lower.num_layers * 4 * encoder.lower.cells**2
    return network.multiply_adds(num_frames) - sequences * zeros


def real_lengths(count):
    """The numbers of frames of `count` videos, distributed as in the official data set: list of int, at most 300."""
    rng = generator(0)
    return [draw_length(rng, schema.MAX_FRAMES) for _ in range(count)]


def _frames(codes):
    """The part of a serialized record that contains the frames: bytes."""
    example = tf.train.SequenceExample.FromString(records.frame_level_record(records.Video(b"", None, codes), "id"))
    example.ClearField("context")
    return example.SerializeToString()


def _context(number, labels):
    """The part of a serialized record that contains id and labels: bytes."""
    video = records.Video(f"{number:08d}".encode(), sorted(labels.tolist()), np.zeros((0, SIZE), np.uint8))
    example = tf.train.SequenceExample.FromString(records.frame_level_record(video, "id"))
    example.ClearField("feature_lists")
    return example.SerializeToString()


def save_network(folder, network):
    """Writes a run folder with an untrained network as its only checkpoint; returns the Run.

    Args:
        folder: path of a new folder.
        network: config.NetworkConfig.
    """
    run = runs.prepare_run(
        folder, config.RunConfig(mode="teacher", networks={schema.TEACHER: network}, training=config.TrainingConfig())
    )
    step = run.checkpoints.step_folder(STEP)
    step.mkdir(parents=True)
    build_model(network, name=schema.TEACHER).save_weights(step / f"{schema.TEACHER}.weights.h5")
    progress = {
        "step": STEP,
        "stage": 0,
        "stage_step": STEP,
        "epoch": 1,
        "stage_epoch": 1,
        "best_step": None,
        "best_value": None,
    }
    (step / "progress.json").write_text(json.dumps(progress), encoding="utf-8")
    return run
