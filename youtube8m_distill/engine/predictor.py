"""A network over a data set: host batches of scores, from every replica, none lost, in the order of the input."""

import concurrent.futures
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from keras import ops

from youtube8m_distill import schema
from youtube8m_distill.engine.strategy import local_replicas
from youtube8m_distill.metrics.per_video import SHALLOW_DEPTH, perr
from youtube8m_distill.schemes.losses import label_loss


class PredictedBatch(NamedTuple):
    """What is known of one batch of videos after the network has seen it. Numpy arrays on the host.

    The last four are None unless the Predictor was asked for them, the three about the record where a batch of the data
    set does not have them.
    """

    video_ids: np.ndarray                   # object (bytes) [B]
    classes: np.ndarray                     # int32 [B, k]: the best classes, best first, equals by class index
    scores: np.ndarray                      # float32 [B, k]
    finite: np.ndarray                      # bool [B]: whether all predictions of the video are numbers, those below k too
    shards: np.ndarray | None = None        # int32 [B]: which of the files
    records: np.ndarray | None = None       # int64 [B]: which of its records
    num_stored_frames: np.ndarray | None = None     # int32 [B]: how many frames the record holds; None at video level
    labels: np.ndarray | None = None        # uint8 [B, num_classes]; zeros where the files have none
    losses: np.ndarray | None = None        # float32 [B]: L_CE
    perr: np.ndarray | None = None          # float32 [B]
    predictions: np.ndarray | None = None   # float32 [B, num_classes]


# What tells of a record and is no input of a network -> its field of a PredictedBatch.
ABOUT_RECORDS = {schema.VIDEO_ID: "video_ids", schema.SHARD: "shards", schema.RECORD: "records",
                 schema.NUM_STORED_FRAMES: "num_stored_frames"}


class Predictor:
    """Runs one network over as many data sets as wanted; compiles once.

    Args:
        network: VideoClassifier built under `strategy`.
        strategy: tf.distribute.Strategy.
        top_k: int. Best classes to bring to the host; all of them if there are fewer.
        for_metrics: bool. Bring labels, losses and PERR too; otherwise nobody looks at labels.
        keep_predictions: bool. Bring all predictions too.
    """

    def __init__(self, network, strategy, top_k=schema.TOP_K, for_metrics=True, keep_predictions=False):
        self.network = network
        self.strategy = strategy
        self.top_k = min(top_k, network.num_classes)
        self.for_metrics = for_metrics
        self.keep_predictions = keep_predictions
        self._run = tf.function(self._forward, reduce_retracing=True)

    def __call__(self, dataset):
        """Yields a PredictedBatch for each batch of `data.pipeline.make_dataset(training=False)`, computed one ahead."""
        if local_replicas(self.strategy) == 1:
            # For batches of any size, or a short last one would be compiled on its own.
            self._run.get_concrete_function(self._inputs(dataset.element_spec))
        return _one_ahead(self._predict, dataset)

    def _inputs(self, batch):
        """What the network and the metrics take of a batch, or of the description of one."""
        unused = set(ABOUT_RECORDS) if self.for_metrics else {*ABOUT_RECORDS, schema.LABELS}
        return {name: values for name, values in batch.items() if name not in unused}

    def _predict(self, batch):
        """The PredictedBatch of one batch of a dataset."""
        about = {field: batch[name].numpy() for name, field in ABOUT_RECORDS.items() if name in batch}
        labels = batch[schema.LABELS].numpy() if self.for_metrics else None
        size = len(about["video_ids"])
        outputs = {name: values[:size] for name, values in self._on_all_replicas(self._inputs(batch)).items()}
        return PredictedBatch(labels=labels, **about, **outputs)

    def _on_all_replicas(self, batch):
        """Outputs of one batch as numpy arrays; rows past the batch's own are padding."""
        replicas = local_replicas(self.strategy)       # of several machines, one predicts alone: the first, the chief
        if replicas == 1:
            return {name: values.numpy() for name, values in self._run(batch).items()}
        shares = _equal_shares(batch, replicas)
        values = self.strategy.experimental_distribute_values_from_function(
            lambda context: shares[context.replica_id_in_sync_group])
        outputs = self._run(values)
        return {name: np.concatenate([part.numpy() for part in self.strategy.experimental_local_results(parts)])
                for name, parts in outputs.items()}

    def _forward(self, batch):
        return self.strategy.run(self._forward_on_replica, (batch,))

    def _forward_on_replica(self, batch):
        predictions = self.network(batch, training=False)["predictions"]
        # One search for the best classes serves both uses.
        depth = max(self.top_k, min(SHALLOW_DEPTH, self.network.num_classes)) if self.for_metrics else self.top_k
        best = scores, classes = ops.top_k(predictions, depth)
        # Of all classes: a search for the best need not find what is not a number.
        outputs = {"classes": classes[:, :self.top_k], "scores": scores[:, :self.top_k],
                   "finite": ops.isfinite(ops.sum(predictions, axis=-1))}
        if self.for_metrics:
            labels = batch[schema.LABELS]
            outputs |= {"perr": perr(labels, predictions, best), "losses": label_loss(labels, predictions)}
        if self.keep_predictions:
            outputs["predictions"] = predictions
        return outputs


def _one_ahead(function, items):
    """Yields `function(item)` for each item, in order, the next one being computed while the caller uses this one."""
    worker, pending = concurrent.futures.ThreadPoolExecutor(1), None
    try:
        for item in items:
            following = worker.submit(function, item)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()
    finally:
        worker.shutdown(cancel_futures=True)


def _equal_shares(batch, replicas):
    """The batch cut into one dict a replica, padded with zero rows so that all have the same number."""
    size = next(iter(batch.values())).shape[0]
    rows = -(-size // replicas)
    padded = {name: tf.pad(values, [[0, rows * replicas - size]] + [[0, 0]] * (values.shape.rank - 1))
              for name, values in batch.items()}
    return [{name: values[i * rows:(i + 1) * rows] for name, values in padded.items()} for i in range(replicas)]


def evaluate(batches, evaluator):
    """Feeds PredictedBatches into a metrics.Evaluator; returns its result dict."""
    for batch in batches:
        evaluator.update_state(batch.labels, batch.classes, batch.scores, batch.losses, batch.perr, batch.predictions)
    return evaluator.result()
