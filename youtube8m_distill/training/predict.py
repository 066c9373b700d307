"""A network over a data set: host batches of scores, from every replica, none lost, in the order of the input."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from keras import ops

from youtube8m_distill import schema
from youtube8m_distill.metrics.per_video import perr
from youtube8m_distill.training.losses import label_loss


class PredictedBatch(NamedTuple):
    """What is known of one batch of videos after the network has seen it. Numpy arrays on the host."""

    video_ids: np.ndarray           # object (bytes) [B]
    labels: np.ndarray              # uint8 [B, num_classes]; zeros where the files have none
    classes: np.ndarray             # int32 [B, k]: the best classes, best first, equals by class index
    scores: np.ndarray              # float32 [B, k]
    losses: np.ndarray              # float32 [B]: L_CE
    perr: np.ndarray                # float32 [B]
    predictions: np.ndarray | None  # float32 [B, num_classes], where asked for


class Predictor:
    """Runs one network over as many data sets as wanted; compiles once.

    Args:
        network: VideoClassifier built under `strategy`.
        strategy: tf.distribute.Strategy.
        top_k: int. Best classes to bring to the host; all of them if there are fewer.
        keep_predictions: bool. Bring all predictions too.
    """

    def __init__(self, network, strategy, top_k=schema.TOP_K, keep_predictions=False):
        self.network = network
        self.strategy = strategy
        self.top_k = min(top_k, network.num_classes)
        self.keep_predictions = keep_predictions
        self._run = tf.function(self._forward, reduce_retracing=True)

    def __call__(self, dataset):
        """Yields a PredictedBatch for each batch of `data.pipeline.make_dataset(training=False)`."""
        for batch in dataset:
            video_ids = batch.pop(schema.VIDEO_ID).numpy()
            labels = batch[schema.LABELS].numpy()
            outputs = {name: values[: len(video_ids)] for name, values in self._on_all_replicas(batch).items()}
            yield PredictedBatch(video_ids, labels, predictions=outputs.pop("predictions", None), **outputs)

    def _on_all_replicas(self, batch):
        """Outputs of one batch as numpy arrays; rows past the batch's own are padding."""
        replicas = self.strategy.num_replicas_in_sync
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
        scores, classes = ops.top_k(predictions, self.top_k)
        outputs = {"classes": classes, "scores": scores, "perr": perr(batch[schema.LABELS], predictions),
                   "losses": label_loss(batch[schema.LABELS], predictions)}
        return {**outputs, "predictions": predictions} if self.keep_predictions else outputs


def _equal_shares(batch, replicas):
    """The batch cut into one dict a replica, padded with zero rows so that all have the same number."""
    size = batch[schema.LABELS].shape[0]
    rows = -(-size // replicas)
    padded = {name: tf.pad(values, [[0, rows * replicas - size]] + [[0, 0]] * (values.shape.rank - 1))
              for name, values in batch.items()}
    return [{name: values[i * rows:(i + 1) * rows] for name, values in padded.items()} for i in range(replicas)]



def evaluate(batches, evaluator):
    """Feeds PredictedBatches into a metrics.Evaluator; returns its result dict."""
    for batch in batches:
        evaluator.update_state(batch.labels, batch.classes, batch.scores, batch.losses, batch.perr, batch.predictions)
    return evaluator.result()
