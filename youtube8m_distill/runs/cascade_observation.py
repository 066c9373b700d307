"""What the networks of a cascade predict for validation videos, side by side."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from keras import tree

from youtube8m_distill import schema
from youtube8m_distill.config import CascadeOptions, Reading
from youtube8m_distill.data.ids import hash_ids
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.engine.predictor import ABOUT_RECORDS
from youtube8m_distill.metrics.ranking import ranking_from_top
from youtube8m_distill.runs.evaluation import LoadedNetwork
from youtube8m_distill.runs.loaded_cascade import costs
from youtube8m_distill.runs.run import Run
from youtube8m_distill.runs.tagger import Done, predict_rest

CANDIDATES = 100  # best classes of a network; beyond them, the answers of other networks are not searched for better ones


class Observed(NamedTuple):
    """What one network predicts for the N validation videos, not calibrated, and the labels."""

    hashes: np.ndarray  # uint64 [N], of the ids
    scores: np.ndarray  # float32 [N, k], of the best classes, among which those of the combined answer are searched
    hits: np.ndarray  # bool [N, k]
    num_labels: np.ndarray  # int32 [N]
    losses: np.ndarray  # float32 [N], L_CE
    num_frames: np.ndarray  # int32 [N]
    multiply_adds: np.ndarray  # float64 [N]
    earlier: tuple[np.ndarray, ...] = ()  # float32 [N, k]: what each of the networks before predicts for the same classes
    encodings: np.ndarray | None = None  # float32 [N, D], for gates


def load_networks(
    trained: Sequence[Run], strategy: tf.distribute.Strategy, reading: Reading | None, options: CascadeOptions
) -> list[LoadedNetwork]:
    """The main networks of some runs, with the outputs that `observe` needs."""
    wanted = {"top_k": CANDIDATES, "keep_predictions": options.combine, "keep_encoding": options.criterion == "gate"}
    return [LoadedNetwork(run, strategy, reading=reading, **wanted) for run in trained]


class _SideBySide:
    """Several networks that predict the same batches of videos, as a Source of `predict_rest`."""

    def __init__(self, networks):
        self.networks, self.configs, self.reading = networks, networks[0].configs, networks[0].reading

    def run(self, shards, batch_size, layout):
        streams = [network.run_batches(shards, batch_size, layout) for network in self.networks]
        for found in zip(*streams, strict=True):
            about = {name: found[0][name] for name in ABOUT_RECORDS}
            yield {**about, "finite": np.all([each["finite"] for each in found], axis=0), "found": found}

    def source_of(self, batch, row):
        index = next(index for index, each in enumerate(batch["found"]) if not each["finite"][row])
        return self.networks[index].source_of(batch, row)


def observe(networks: Sequence[LoadedNetwork], shards: Sequence[Shard], batch_size: int | None = None) -> list[Observed]:
    """What each network predicts for all videos in some labeled files.

    Encodings, which networks loaded with `keep_encoding` give, take 4 bytes per number: 0.8 GB for 48,000 videos and an
    H-RNN of 1,024 cells.

    Args:
        networks: as `load_networks` gives them, in the order of the cascade. Without `keep_predictions`, nothing can be
            combined.
    """
    together, rows = _SideBySide(networks), [[] for _ in networks]
    size = batch_size or min(network.batch_size for network in networks)
    for batch in predict_rest(together, lambda rest, layout: together.run(rest, size, layout), shards, "predict", Done()):
        found = batch["found"]
        for index, (network, own) in enumerate(zip(networks, found)):
            ranking = ranking_from_top(own[schema.LABELS], own["classes"], own["scores"])
            earlier = [each["predictions"] for each in found[:index] if "predictions" in each]
            frames = own[schema.NUM_FRAMES]
            rows[index].append(
                Observed(
                    hash_ids(own[schema.VIDEO_ID]),
                    ranking.scores,
                    ranking.hits,
                    ranking.num_labels,
                    own["losses"],
                    frames,
                    costs(network, frames),
                    tuple(np.take_along_axis(each, ranking.classes, axis=1) for each in earlier),
                    own.get("encoding"),
                )
            )
    return [_merge(parts) for parts in rows]


def _merge(parts):
    return tree.map_structure(lambda *arrays: None if arrays[0] is None else np.concatenate(arrays), *parts)


def rows_of(observed: Observed, chosen: np.ndarray) -> Observed:
    """Some of the videos: those where `chosen`, bool [N], is true."""
    return tree.map_structure(lambda array: None if array is None else array[chosen], observed)
