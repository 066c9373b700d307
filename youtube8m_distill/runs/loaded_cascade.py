"""Predicts with a cascade: every video is read by its first network, and by later ones only if those before are not sure.

Videos are taken in windows, in file order. A window keeps the serialized records of its videos until all are answered. The
frames of a later network are cut out of the records of those videos that reach it, and of no others.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.config import Reading
from youtube8m_distill.data.notes import NoteCounter
from youtube8m_distill.data.parsing.batch import Records, VideoParser
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.engine.predictor import BEFORE, one_ahead
from youtube8m_distill.errors import SettingError
from youtube8m_distill.manifest import differences
from youtube8m_distill.metrics.expected_ap import expected_average_precision
from youtube8m_distill.runs.cascade import Cascade
from youtube8m_distill.runs.evaluation import LoadedNetwork
from youtube8m_distill.runs.gate import Gate
from youtube8m_distill.runs.tagger import Batch, Tagger

# A record of 300 frames has 0.35 MB, so a window takes up to 0.18 GB. Reading ahead keeps up to 12 windows with 8 cores or
# more (data/pipeline.py), 2 GB, and half as many with 2. Of fewer videos, later networks would get batches too small for the
# full rate: a quarter of a window should fill a batch of 128.
WINDOW = 512
FRAMES_READ, MULTIPLY_ADDS = "frames_read", "multiply_adds"  # in a cascade's outputs, over all networks a video passed


def made_from(network: LoadedNetwork) -> dict[str, Any]:
    """What a network's predictions depend on, wherever and however they are computed."""
    names = ("network", "weights", "settings of the network", "seed", "mixed_precision")
    return {name: value for name, value in network.row_settings().items() if name in names}


def confidences(criterion: str, batch: Batch, gate: Gate | None) -> np.ndarray:
    """How sure a network is of each video, from its calibrated outputs. float64 [B]."""
    if criterion == "gate":
        assert gate is not None
        return gate(batch["encoding"])
    return expected_average_precision(batch["scores"][:, : schema.TOP_K])


def costs(network: LoadedNetwork, num_frames: np.ndarray) -> np.ndarray:
    """The multiply-adds of a network for videos of which it reads so many frames. int [B] -> float64 [B]."""
    lengths, places = np.unique(num_frames, return_inverse=True)
    return np.array([network.network.multiply_adds(int(length)) for length in lengths], np.float64)[places]


class LoadedCascade(Tagger):
    """A cascade with its networks in memory.

    Args:
        cascade: from `open_cascade`.
        strategy: from `make_strategy`.
        reading: how records are read; None for how those of the runs were.
        top_k: best classes of each video to keep.
        for_metrics: whether to read labels and compute what an Evaluator needs.
        keep_predictions: whether batches hold the predictions of all classes.

    Attributes:
        networks: LoadedNetwork of each stage.
        usage: totals over the videos of the last prediction; see Usage.
    Raises:
        FileNotFoundError, ValueError: if a run is missing, or SettingError if it has other weights or settings than the
            cascade was built with.
    """

    def __init__(
        self,
        cascade: Cascade,
        strategy: tf.distribute.Strategy,
        reading: Reading | None = None,
        top_k: int = schema.TOP_K,
        for_metrics: bool = True,
        keep_predictions: bool = False,
    ):
        self.cascade, self.top_k, criterion = cascade, top_k, cascade.settings.options.criterion
        self.keep_predictions, is_combined = keep_predictions, any(each.c for each in cascade.calibrations)
        self.networks = [
            LoadedNetwork(
                run,
                strategy,
                stage.made_from["network"],  # pyright: ignore[reportArgumentType]
                reading=reading,
                top_k=max(top_k, schema.TOP_K),
                for_metrics=for_metrics,
                keep_predictions=keep_predictions or is_combined,
                keep_encoding=criterion == "gate",
                calibration=calibration,
            )
            for run, stage, calibration in zip(cascade.open_runs(), cascade.settings.stages, cascade.calibrations)
        ]
        self._check_weights()
        self.configs = tuple(network.config for network in self.networks)
        self.reading = self.networks[0].reading
        self.batch_size = min(self.networks[0].batch_size, WINDOW * strategy.num_replicas_in_sync)
        self.videos_per_second, self.notes = None, NoteCounter(self.configs[0].max_video_frames)
        self.usage, self._is_compiled = Usage(len(self.networks)), False

    def _check_weights(self):
        for network, stage in zip(self.networks, self.cascade.settings.stages):
            differing = "; ".join(differences(stage.made_from, made_from(network)))
            if differing:
                reason = (
                    f"was built with another network than {network.run.folder} holds now: {differing}. Build it again with "
                    "`yt8m cascade`."
                )
                raise SettingError("train_dir", reason, self.cascade.folder)

    @property
    def step(self) -> int:
        return self.networks[-1].step

    @property
    def name(self) -> str:
        return f"cascade of {len(self.networks)} networks"

    def make_parser(self, layout: Layout) -> VideoParser:
        return self.networks[0].make_parser(layout)

    def source_of(self, batch: Batch, row: int) -> str:
        return self.networks[batch[schema.STAGE][row]].source_of(batch, row)

    def row_settings(self) -> dict[str, Any]:
        settings, first = self.cascade.settings, self.networks[0]
        stages = {
            f"network {number}": {
                **made_from(network),
                "a": stage.a,
                "b": stage.b,
                "c": stage.c,
                "threshold": stage.threshold,
            }
            for number, (network, stage) in enumerate(zip(self.networks, settings.stages), 1)
        }
        shared = ("devices", *self.reading.to_dict())
        return {
            **stages,
            "criterion": settings.options.criterion,
            "gates": settings.gates_sha256,
            **{name: value for name, value in first.row_settings().items() if name in shared},
            "top_k": min(self.top_k, self.configs[0].num_classes),
            "network_batch_sizes": [network.batch_size for network in self.networks[1:]],
        }

    def about(self) -> dict[str, Any]:
        usage, num_videos = self.usage, max(self.usage.videos.sum(), 1)
        networks = [network.about() for network in self.networks]
        return {
            "network": "cascade",
            "checkpoint_step": self.step,
            "max_frames": max(network["max_frames"] for network in networks),
            "multiply_adds": sum(network["multiply_adds"] for network in networks),
            "mean_frames": usage.frames / num_videos,
            "mean_multiply_adds": usage.multiply_adds / num_videos,
            "stages": [
                {"train_dir": str(network.run.folder), **about, "videos": int(videos)}
                for network, about, videos in zip(self.networks, networks, usage.videos)
            ],
        }

    def summary(self, videos: Sequence[int]) -> list[str]:
        total = max(sum(videos), 1)
        return [
            f"{count:,} videos ({count / total:.1%}) answered by the {network.name} in {network.run.folder}, which reads at "
            f"most {network.config.max_frames} frame(s)."
            for count, network in zip(videos, self.networks)
        ]

    def run_batches(self, shards: Sequence[Shard], batch_size: int, layout: Layout) -> Iterator[Batch]:
        self.usage = Usage(len(self.networks))
        first, *others = self.networks
        windows = make_dataset(shards, first.make_parser(layout), batch_size, with_serialized=True)
        if not self._is_compiled:
            first.predictor.compile_for(windows.element_spec)
            for network in others:
                network.predictor.compile_for(_spec(network, shards, layout))
            self._is_compiled = True
        paths = tf.constant([shard.path for shard in shards])
        for batch in one_ahead(lambda window: self._answer(window, paths, layout), windows):
            self.usage.add(batch)
            yield batch

    def _answer(self, window, paths, layout):
        """The outputs for a window of videos, each from the network that answers it."""
        found = latest = self.networks[0].predictor.predict_batch(window)
        rows = np.arange(len(found["finite"]))
        found[schema.STAGE], found[FRAMES_READ] = np.zeros(len(rows), np.int32), found.pop(schema.NUM_FRAMES)
        found[MULTIPLY_ADDS] = costs(self.networks[0], found[FRAMES_READ])
        for index in range(1, len(self.networks)):
            rows = rows[self._goes_on(index - 1, latest)]
            if not len(rows):
                break
            latest = self._predict_rows(index, window, rows, paths, layout, found.get("predictions"))
            found[schema.STAGE][rows] = index
            found[FRAMES_READ][rows] += latest[schema.NUM_FRAMES]
            found[MULTIPLY_ADDS][rows] += costs(self.networks[index], latest[schema.NUM_FRAMES])
            for name in ("classes", "scores", "finite", "losses", "perr", "predictions"):
                if name in found:
                    found[name][rows] = latest[name]
        for name in ("encoding", *(() if self.keep_predictions else ("predictions",))):
            found.pop(name, None)
        return found | {name: found[name][:, : self.top_k] for name in ("classes", "scores")}

    def _goes_on(self, index, outputs):
        """Whether the network `index` leaves each video to the next one. What is not finite is reported, not passed on."""
        gate = self.cascade.gates[index] if self.cascade.gates else None
        is_sure = confidences(self.cascade.settings.options.criterion, outputs, gate) >= self.cascade.thresholds[index]
        return outputs["finite"] & ~is_sure

    def _predict_rows(self, index, window, rows, paths, layout, answers):
        """The outputs of a later network for some rows of a window, in batches of equal size that suit it.

        Args:
            answers: float32 [window, num_classes], of the networks before; not read if this one does not count them.
        """
        network = self.networks[index]
        parser = network.make_parser(layout)

        def parse(part):
            with tf.device("/cpu:0"):
                of_part = {name: tf.gather(window[name], part) for name in (schema.SERIALIZED, schema.SHARD, schema.RECORD)}
                path, epoch = tf.gather(paths, of_part[schema.SHARD]), tf.zeros(len(part), tf.int64)
                batch = parser(Records(of_part[schema.SERIALIZED], path, of_part[schema.RECORD], epoch))
                return batch | {BEFORE: tf.constant(answers[part])} if _combines(network) else batch

        parts = np.array_split(rows, -(-len(rows) // network.batch_size))
        found = [network.predictor.predict_batch(batch) for batch in one_ahead(parse, parts)]
        return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}


def _combines(network):
    """Whether a network's answers also count those of the networks before it."""
    return bool(network.predictor.outputs.calibration.c)


def _spec(network, shards, layout):
    """What a later network's batches look like."""
    spec = network.make_dataset(shards, 1, layout=layout).element_spec
    return spec | {BEFORE: tf.TensorSpec([None, network.config.num_classes])} if _combines(network) else spec


class Usage:
    """What a prediction took: videos that each network answered, frames that were read, and multiply-adds."""

    def __init__(self, num_networks: int):
        self.videos = np.zeros(num_networks, np.int64)
        self.frames, self.multiply_adds = 0, 0.0

    def add(self, batch: Batch) -> None:
        """Adds a batch of a LoadedCascade."""
        self.videos += np.bincount(batch[schema.STAGE], minlength=len(self.videos))
        self.frames += int(batch[FRAMES_READ].sum())
        self.multiply_adds += float(batch[MULTIPLY_ADDS].sum())
