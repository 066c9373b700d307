"""Reads a run again: its networks over other files, for metrics and for predictions."""

import time

from youtube8m_distill import display
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.contents import check_features
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.sources import estimate_records, find_files
from youtube8m_distill.training.predict import Predictor, evaluate


class LoadedNetwork:
    """One network of a run, with the files it is to read.

    Args:
        run: runs.Run.
        pattern: globs of record files; labels may be absent.
        strategy: tf.distribute.Strategy.
        network: "teacher" or "student"; None for the run's main one.
        checkpoint: "best", "last" or a step.
        **options: of training.predict.Predictor.

    Attributes:
        role: name of the network.
        config: its NetworkConfig.
        progress: Progress at which its weights were saved.

    Raises:
        FileNotFoundError, ValueError: if the run has no such network or checkpoint, or the files do not fit it.
    """

    def __init__(self, run, pattern, strategy, network=None, checkpoint="best", **options):
        self.role = run.role(network)
        self.config = run.config.networks[self.role]
        self.seed = run.config.training.seed
        self.shards = find_files(pattern)
        check_features(self.shards, self.config.features)
        dtype = "mixed_bfloat16" if run.config.training.mixed_precision else "float32"
        with strategy.scope():
            self.network, self.progress = run.load_network(self.role, checkpoint, dtype)
        self.predictor = Predictor(self.network, strategy, **options)

    def predict(self, batch_size, description):
        """Yields a PredictedBatch for every batch, in the order of the files, with progress on display."""
        dataset = make_dataset(self.shards, self.config.features, self.config.num_classes, self.config.frames,
                               batch_size, training=False, seed=self.seed)
        self._started, self._videos, self._seconds = None, 0, 0.0
        total, _ = estimate_records(self.shards)
        with display.ProgressBar(total, description, "videos") as bar, naming_bad_records(self.shards):
            for batch in self.predictor(dataset):
                self._clock(len(batch.video_ids))
                yield batch
                bar.update(len(batch.video_ids))

    def _clock(self, count):
        """Notes when batches are ready, from the end of the first one, which pays for compiling."""
        now = time.perf_counter()
        if self._started is None:
            self._started = now
        else:
            self._videos, self._seconds = self._videos + count, now - self._started

    def rate(self):
        """`{"videos_per_second": float}` after the first batch, reading included; {} where there was one batch only."""
        return {"videos_per_second": self._videos / self._seconds} if self._videos else {}

    def evaluate(self, batch_size, evaluator):
        """Feeds every video into a metrics.Evaluator and returns its result."""
        return evaluate(self.predict(batch_size, "evaluate"), evaluator)
