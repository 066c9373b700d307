"""Predicts with a SavedModel that `yt8m export` wrote, on records as its run read them."""

import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.config import Reading
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.engine.predictor import BestClasses
from youtube8m_distill.errors import in_one_line
from youtube8m_distill.export.about import read_export
from youtube8m_distill.export.saved_model import load_saved_model
from youtube8m_distill.runs.evaluation import good_batch_size
from youtube8m_distill.runs.tagger import Batch, Done, predict_rest
from youtube8m_distill.settings import require

ROLE = schema.TEACHER  # any name


class LoadedExport:
    """A SavedModel of `yt8m export` in memory.

    Args:
        folder: of the SavedModel and its `export.json`.
        reading: how records are read; None for how the run's were.
        top_k: best classes of each video to keep.

    Attributes:
        configs: the NetworkConfig of the network, in a tuple, as a Tagger has them.
        reading: how records are read.
    Raises:
        OSError, ValueError: if there is no such network, or it cannot be loaded.
    """

    def __init__(self, folder: str | os.PathLike, reading: Reading | None = None, top_k: int = schema.TOP_K):
        self.folder, self.exported = pathlib.Path(folder), read_export(folder)
        config, seed = self.exported.config, self.exported.seed
        is_random = config.view is not None and config.view.frame_selection == "random"
        reason = f"{folder} does not name the seed of its random frames: export the network again."
        require(not is_random or seed is not None, "frame_selection", reason, "random")
        self.configs = (config,)
        self.reading = self.exported.reading if reading is None else reading
        self._best = BestClasses(top_k, for_metrics=False)
        try:
            self._predict = load_saved_model(folder)
        except (OSError, tf.errors.OpError) as error:
            raise ValueError(f"the SavedModel in {folder} cannot be loaded: {in_one_line(error)}") from error

    def source_of(self, batch: Batch, row: int) -> str:
        return f"{self.exported.name} in {self.folder}"

    def predict(self, shards: Sequence[Shard], batch_size: int | None = None) -> Iterator[Batch]:
        """Yields the best classes of each batch of videos, as `Tagger.predict` does. Errors are the same."""

        def run(rest, layout):
            return self._run_batches(rest, batch_size or good_batch_size(self.configs[0].max_frames), layout)

        yield from predict_rest(self, run, shards, "predict", Done())

    def _run_batches(self, shards, batch_size, layout: Layout):
        (config,), seed = self.configs, self.exported.seed or 0
        parser = VideoParser(config.features, config.num_classes, {ROLE: config.view}, seed, layout, with_labels=False)
        for batch in make_dataset(shards, parser, batch_size).as_numpy_iterator():
            best = self._best({"predictions": self._predictions(batch[ROLE])}, None)
            yield batch | {name: np.asarray(values) for name, values in best.items()}

    def _predictions(self, inputs):
        try:
            return self._predict({name: inputs[name] for name in self.exported.inputs})
        except (KeyError, TypeError, ValueError, tf.errors.InvalidArgumentError) as error:  # inputs that do not fit
            reason = f"the SavedModel in {self.folder} cannot be run with its export.json: {in_one_line(error)}"
            raise ValueError(reason) from error
