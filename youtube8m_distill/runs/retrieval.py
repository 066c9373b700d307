"""Retrieves segments of videos by class, in three phases on one reading of the files (MOD 2019, section 3.1).

1. A video-level network names the candidates: the most probable classes of the whole video.
2. The segment network gives each segment of the video a probability of each candidate.
3. The value of a segment for a class is P_vid^a * P_seg^b, with a = 0.05 and b = 0.95 in the paper (equation 1).

Without a video-level network, the candidates are the most probable classes of each segment, and the value is P_seg.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.config import FrameView
from youtube8m_distill.data import frame_selection
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.engine.predictor import Predictor
from youtube8m_distill.runs.evaluation import LoadedNetwork, good_batch_size
from youtube8m_distill.runs.tagger import Done, predict_rest
from youtube8m_distill.settings import require

RANKER, CANDIDATE = "ranker", "candidate"


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """What to retrieve.

    Args:
        classes: the class list; other classes of the networks are ignored.
        num_candidates: classes of each video (or, without a video-level network, of each segment) that are considered.
        exponents: a and b of the value P_vid^a * P_seg^b.
        segment_frames: frames of a segment; the last one of a video may be shorter.
        max_per_class: segments of each class to keep.
    """

    classes: tuple[int, ...]
    num_candidates: int = schema.TOP_K
    exponents: tuple[float, float] = (0.05, 0.95)
    segment_frames: int = 5
    max_per_class: int = schema.TOP_N


class _Phases:
    """A callable in place of a network: from the frames of videos to the values of their segments.

    Gives `classes` int32 [B, S, K], places in the class list, -1 where there is no segment; `values` float32 [B, S, K]; and
    `finite` bool [B], whether all predictions about the video are.
    """

    def __init__(self, ranker, candidate, retrieval):
        self.ranker, self.candidate, self.retrieval = ranker, candidate, retrieval

    def __call__(self, inputs, training=False):
        wanted, length = self.retrieval, self.retrieval.segment_frames
        frames, num_frames = inputs[RANKER][schema.FRAMES], inputs[RANKER][schema.NUM_FRAMES]
        rows = tf.shape(frames)[0]
        num_segments = -(-tf.shape(frames)[1] // length)  # S
        frames = tf.pad(frames, [[0, 0], [0, num_segments * length - tf.shape(frames)[1]], [0, 0]])
        frames = tf.reshape(frames, [rows * num_segments, length, frames.shape[2]])  # [B * S, length, D]
        starts = tf.range(num_segments) * length
        lengths = tf.reshape(tf.clip_by_value(num_frames[:, None] - starts, 0, length), [-1])  # [B * S]
        real = tf.where(lengths > 0)[:, 0]  # [R]
        scores = self._score(tf.gather(frames, real), tf.gather(lengths, real))  # [R, L]
        finite = [tf.reduce_sum(scores, axis=1)]
        if self.candidate is None:
            values, places = tf.math.top_k(scores, min(wanted.num_candidates, len(wanted.classes)))  # [R, K]
        else:
            of_video = self.candidate.network(inputs[CANDIDATE], training=False)["predictions"]
            of_video = tf.gather(of_video, wanted.classes, axis=1)  # [B, L]
            likely, candidates = tf.math.top_k(of_video, min(wanted.num_candidates, len(wanted.classes)))
            videos = real // tf.cast(num_segments, tf.int64)
            places, likely = tf.gather(candidates, videos), tf.gather(likely, videos)  # [R, K]
            first, second = wanted.exponents
            values = likely**first * tf.gather(scores, places, batch_dims=1) ** second
            finite.append(tf.gather(tf.reduce_sum(of_video, axis=1), videos))
        shape = [tf.cast(rows * num_segments, tf.int64)]
        is_bad = tf.scatter_nd(real[:, None], tf.cast(~tf.math.is_finite(tf.add_n(finite)), tf.int32), shape)

        def by_video(of_segments, padding):
            found = tf.tensor_scatter_nd_update(
                tf.fill([rows * num_segments, of_segments.shape[1]], padding), real[:, None], of_segments
            )
            return tf.reshape(found, [rows, num_segments, of_segments.shape[1]])

        return {
            "classes": by_video(places, -1),
            "values": by_video(values, 0.0),
            "finite": tf.reduce_sum(tf.reshape(is_bad, [rows, num_segments]), axis=1) < 1,
        }

    def _score(self, frames, lengths):
        """The segment network's predictions of the listed classes. [R, length, D], int32 [R] -> float32 [R, L]."""
        view = self.ranker.config.view
        no_seed = tf.zeros([tf.shape(lengths)[0], 2], tf.int64)
        count = min(view.max_frames, self.retrieval.segment_frames)
        indices = frame_selection.select(view, lengths, no_seed)[:, :count]  # [R, count]
        seen = {
            schema.FRAMES: tf.where(
                indices[:, :, None] >= 0, tf.gather(frames, tf.maximum(indices, 0), batch_dims=1), tf.zeros([], frames.dtype)
            ),
            schema.NUM_FRAMES: tf.math.count_nonzero(indices >= 0, axis=1, dtype=tf.int32),
            schema.FRAME_INDICES: indices,
        }
        predictions = self.ranker.network(seen, training=False)["predictions"]
        return tf.gather(predictions, self.retrieval.classes, axis=1)


class _Outputs:
    """An output function of a Predictor: what `_Phases` gives."""

    reads_labels = False

    def __call__(self, outputs, labels):
        return outputs


class SegmentRetriever:
    """A segment network and, if there is one, the video-level network that names its candidates.

    Args:
        ranker: LoadedNetwork that scores segments.
        candidate: LoadedNetwork that sees whole videos; None for the first phase to be left out.
        strategy: under which both were built.
    Raises:
        SettingError: naming the flag, if a network cannot be used so.
    """

    def __init__(
        self, ranker: LoadedNetwork, candidate: LoadedNetwork | None, strategy: tf.distribute.Strategy, retrieval: Retrieval
    ):
        _check(ranker, candidate)
        networks = [network for network in (ranker, candidate) if network is not None]
        self.max_video_frames = max(schema.MAX_FRAMES, *(network.config.max_video_frames for network in networks))
        self.batch_size = good_batch_size(self.max_video_frames) * strategy.num_replicas_in_sync
        self.ranker, self.candidate, self.retrieval = ranker, candidate, retrieval
        self._predictor = Predictor(_Phases(ranker, candidate, retrieval), RANKER, strategy, _Outputs())  # pyright: ignore[reportArgumentType]

    def predict(self, shards: Sequence[Shard], batch_size: int, done: Done) -> Iterator[dict[str, np.ndarray]]:
        """Yields what `_Phases` gives for every batch of videos after what is `done`; errors as `LoadedNetwork.predict`."""

        def run(rest, layout):
            return self._predictor(self._make_dataset(rest, layout, batch_size))

        return predict_rest(self.ranker, run, shards, "retrieve", done)

    def _make_dataset(self, shards: Sequence[Shard], layout: Layout, batch_size: int) -> tf.data.Dataset:
        """Batches of whole videos, with the frames for both networks under one key."""
        config, whole = self.ranker.config, FrameView(max_video_frames=self.max_video_frames)
        views: dict[str, FrameView | None] = {RANKER: whole}
        if self.candidate is not None:
            views[CANDIDATE] = self.candidate.config.view
        parser = VideoParser(config.features, config.num_classes, views, self.ranker.seed, layout, False, trim=True)
        dataset = make_dataset(shards, parser, batch_size)
        return dataset.map(lambda batch: {**batch, RANKER: {role: batch[role] for role in views}})

    def fingerprint(self) -> str:
        networks = [network.fingerprint() for network in (self.ranker, self.candidate) if network is not None]
        return "; ".join(networks)


def _check(ranker, candidate):
    reason = f"holds a {ranker.config.model}, which reads video-level files: it cannot score segments."
    require(not ranker.config.is_video_level, "train_dir", reason, ranker.run.folder)
    reason = "holds a network with frame_selection=random, which has no meaning for segments."
    require(ranker.config.view.frame_selection != "random", "train_dir", reason, ranker.run.folder)
    if candidate is None:
        return
    folder, one, two = candidate.run.folder, candidate.config, ranker.config
    reason = f"holds a {one.model}, which reads video-level files; name a network that reads frames."
    require(not one.is_video_level, "candidate_dir", reason, folder)
    reason = f"holds a network of {one.num_classes} classes, and the one in --train_dir has {two.num_classes}."
    require(one.num_classes == two.num_classes, "candidate_dir", reason, folder)
    reason = "holds a network of other features than the one in --train_dir; both must be trained on the same."
    require(one.features == two.features, "candidate_dir", reason, folder)
