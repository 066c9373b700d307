"""Reads a run again: one of its networks over other files, for metrics and for predictions."""

import time

from youtube8m_distill import display
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.sources import estimate_records
from youtube8m_distill.training.predict import Predictor, evaluate

# Large products reach their full rate from some 2,000 rows on, and frames are what takes memory.
FRAMES_A_BATCH, MOST_VIDEOS = 38_400, 1024


def good_batch_size(max_frames):
    """Videos at a time on one device: 128 of 300 frames, 1,024 of 37 and fewer."""
    return max(1, min(FRAMES_A_BATCH // max_frames, MOST_VIDEOS))


class LoadedNetwork:
    """One trained network of a run.

    Args:
        run: runs.Run.
        strategy: tf.distribute.Strategy.
        network: "teacher" or "student"; None for the run's main one.
        checkpoint: "best", "last" or a step.
        mixed_precision: bool. Whether its encoder computes in bfloat16; None for what it was trained in.
        **options: of training.predict.Predictor.

    Attributes:
        role: name of the network.
        config: its NetworkConfig.
        progress: Progress at which its weights were saved.
        batch_size: a good number of videos at a time, over all replicas.

    Raises:
        FileNotFoundError, ValueError: if the run has no such network or checkpoint.
    """

    def __init__(self, run, strategy, network=None, checkpoint="best", mixed_precision=None, **options):
        self.run, self.role = run, run.role(network)
        self.config = run.config.networks[self.role]
        self.seed = run.config.training.seed
        if mixed_precision is None:
            mixed_precision = run.config.training.mixed_precision
        dtype = "mixed_bfloat16" if mixed_precision else "float32"
        with strategy.scope():
            self.network, self.progress = run.load_network(self.role, checkpoint, dtype)
        self.predictor = Predictor(self.network, strategy, **options)
        self.batch_size = good_batch_size(self.config.max_frames) * strategy.num_replicas_in_sync
        self.videos_per_second = None

    def restore(self, checkpoint):
        """Takes the weights of another checkpoint of the same run; nothing is built or compiled again."""
        self.progress = self.run.restore_network(self.network, self.role, checkpoint)

    def predict(self, shards, batch_size=None, description="predict"):
        """Yields a PredictedBatch for every batch, in the order of the files, with progress on display.

        `batch_size` None takes the network's own, `self.batch_size`.

        `videos_per_second` is that of the last call from its second batch on, reading included: the first one pays for
        compiling. It stays None where there was one batch only.
        """
        dataset = make_dataset(shards, self.config.features, self.config.num_classes, self.config.frames,
                               batch_size or self.batch_size, training=False, seed=self.seed)
        total, _ = estimate_records(shards)
        self.videos_per_second, started, count = None, None, 0
        with display.ProgressBar(total, description, "videos") as bar, naming_bad_records(shards):
            for batch in self.predictor(dataset):
                if started is None:
                    started = time.perf_counter()
                else:
                    count += len(batch.video_ids)
                    self.videos_per_second = count / (time.perf_counter() - started)
                yield batch
                bar.update(len(batch.video_ids))

    def evaluate(self, shards, batch_size, evaluator):
        """Feeds every video into a metrics.Evaluator and returns its result."""
        return evaluate(self.predict(shards, batch_size, "evaluate"), evaluator)
