"""Runs a network over a dataset: batches of outputs on the host, from every replica, complete and in input order."""

import collections
import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from youtube8m_distill import schema
from youtube8m_distill.engine.strategy import local_replicas, make_strategy
from youtube8m_distill.metrics.calibration import Calibration
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.metrics.per_video import SHALLOW_DEPTH, perr, rated_only
from youtube8m_distill.schemes.losses import LABEL_LOSSES

# Facts about the records of a batch, which no network reads.
ABOUT_RECORDS = (schema.VIDEO_ID, schema.SHARD, schema.RECORD, schema.STORED_FRAMES, schema.NOTED)
BEFORE = "before"  # in a batch of a cascade: what the networks before this one answer, float32 [B, num_classes]


@dataclasses.dataclass(frozen=True)
class BestClasses:
    """An output function: the best classes of each video and, for metrics, what depends on all predictions.

    Gives `classes` int32 [B, k], best first and equal scores by class index; `scores` float32 [B, k]; `finite` bool [B],
    whether all predictions of the video are finite; for metrics, which alone read labels, `labels` uint8 [B, num_classes],
    `losses` (L_CE) and `perr` float32 [B]; and, if kept, `predictions` float32 [B, num_classes] and `encoding` float32
    [B, D]. k is `top_k`, or the number of classes if that is lower. Scores, predictions and losses are calibrated. The
    classes keep their order, although calibration can make scores equal, unless the calibration counts the answer `before`
    (float32 [B, num_classes]) of other networks.
    """

    top_k: int = schema.TOP_K
    for_metrics: bool = True
    keep_predictions: bool = False
    keep_encoding: bool = False
    calibration: Calibration = Calibration()
    label_loss: str = "CrossEntropyLoss"

    @property
    def reads_labels(self) -> bool:
        return self.for_metrics

    def __call__(self, outputs: dict, labels: Any, weights: Any = None, before: Any = None) -> dict[str, tf.Tensor]:
        of_all, calibration = outputs["predictions"], self.calibration
        if before is not None:
            of_all, calibration = calibration(of_all, before), Calibration()
        predictions, num_classes = rated_only(of_all, weights), of_all.shape[-1]
        top_k = min(self.top_k, num_classes)
        # One search for the best classes is enough for both uses.
        depth = max(top_k, min(SHALLOW_DEPTH, num_classes)) if self.for_metrics else top_k
        best = scores, classes = ops.top_k(predictions, depth)
        found = {
            "classes": classes[:, :top_k],
            "scores": calibration(scores[:, :top_k]),
            # Of all classes: a NaN need not be among the best. Before calibration, which makes infinity a probability.
            "finite": ops.isfinite(ops.sum(rated_only(outputs["predictions"], weights), axis=-1)),
        }
        if self.for_metrics:
            # Logits keep digits that the loss needs, but are those before calibration.
            logits = outputs.get("logits") if self.calibration == Calibration() else None
            loss = LABEL_LOSSES[self.label_loss](labels, calibration(of_all), logits, weights)
            found |= {"perr": perr(labels, predictions, best), "losses": loss}
        if self.keep_predictions:
            found["predictions"] = calibration(predictions)
        if self.keep_encoding:
            found["encoding"] = ops.cast(outputs["encoding"], "float32")
        return found


class Predictor:
    """Runs one network over any number of datasets; compiles once.

    Args:
        network: VideoClassifier or NetworkMixture, built under `strategy`, which is by default one GPU or CPU.
        role: whose frames in a batch the network reads; by default the network's name.
        outputs: function (dict of the network's outputs, labels or None) -> dict of tensors [B, ...] to bring to the host.
            It is called in a graph without AutoGraph. Its attribute `reads_labels` tells whether it gets labels.
    """

    def __init__(
        self,
        network: Callable,
        role: str | None = None,
        strategy: tf.distribute.Strategy | None = None,
        outputs: Callable = BestClasses(),  # noqa: B008, frozen
    ):
        self.network, self.outputs = network, outputs
        self.role = role or network.name
        self.strategy = strategy or make_strategy()
        self._run = tf.function(
            lambda inputs: self.strategy.run(self._forward, (inputs,)), reduce_retracing=True, autograph=False
        )

    def __call__(self, dataset: tf.data.Dataset) -> Iterator[dict[str, np.ndarray]]:
        """Yields a dict of numpy arrays for each batch of an evaluation dataset (`make_dataset`), computed one ahead.

        It holds what `predict_batch` returns.
        """
        self.compile_for(dataset.element_spec)
        return one_ahead(self.predict_batch, dataset)

    def compile_for(self, batch_spec: Any) -> None:
        """Compiles for batches of any size like those of `batch_spec`, or each other size would be compiled again."""
        if local_replicas(self.strategy) == 1:
            self._run.get_concrete_function(self._inputs(batch_spec))

    def _inputs(self, batch):
        """The parts of a batch, or of its spec, that the network and the output function read."""
        inputs = {self.role: batch[self.role]}
        others = (schema.LABELS, schema.LABEL_WEIGHTS, BEFORE) if self.outputs.reads_labels else (BEFORE,)
        return inputs | {name: batch[name] for name in others if name in batch}

    def predict_batch(self, batch: Any) -> dict[str, np.ndarray]:
        """What `outputs` gives for a batch of tensors, as numpy arrays.

        With those of ABOUT_RECORDS that the batch has, the role's `num_frames`, and `labels` if `outputs` reads them.
        """
        about = {name: batch[name].numpy() for name in ABOUT_RECORDS if name in batch}
        if schema.NUM_FRAMES in batch[self.role]:
            about[schema.NUM_FRAMES] = batch[self.role][schema.NUM_FRAMES].numpy()
        inputs = self._inputs(batch)
        about |= {name: values.numpy() for name, values in inputs.items() if name not in (self.role, BEFORE)}
        replicas = local_replicas(self.strategy)  # of several machines, only the chief predicts
        if replicas == 1:
            return about | {name: values.numpy() for name, values in self._run(inputs).items()}
        size = tf.nest.flatten(inputs)[0].shape[0]
        rows = -(-size // replicas)  # of each replica; zero rows pad the batch

        def share(context):
            first = rows * context.replica_id_in_sync_group
            return tf.nest.map_structure(lambda values: _padded(values, rows * replicas)[first : first + rows], inputs)

        outputs = self._run(self.strategy.experimental_distribute_values_from_function(share))
        found = {name: self.strategy.experimental_local_results(parts) for name, parts in outputs.items()}
        return about | {name: np.concatenate([part.numpy() for part in parts])[:size] for name, parts in found.items()}

    def _forward(self, inputs):
        outputs = self.network(inputs[self.role], training=False)
        names = {schema.LABEL_WEIGHTS: "weights", BEFORE: "before"}
        given = {names[key]: values for key, values in inputs.items() if key in names}
        return self.outputs(outputs, inputs.get(schema.LABELS), **given)


def _padded(values, rows):
    return tf.pad(values, [[0, rows - values.shape[0]]] + [[0, 0]] * (values.shape.rank - 1))


def one_ahead(function: Callable, items: Iterable) -> Iterator:
    """Yields `function(item)` for each item, in order; computes the next one while the caller uses this one."""
    worker, pending = concurrent.futures.ThreadPoolExecutor(1), collections.deque()
    try:
        for item in items:
            pending.append(worker.submit(function, item))
            if len(pending) > 1:
                yield pending.popleft().result()
        for last in pending:
            yield last.result()
    finally:
        worker.shutdown(cancel_futures=True)  # after an error or Ctrl-C, without computing the next one first


def evaluate(batches: Iterable[dict], evaluator: Evaluator) -> dict:
    """Feeds batches of a Predictor with BestClasses into an Evaluator and returns its result."""
    for batch in batches:
        found = (batch[name] for name in (schema.LABELS, "classes", "scores", "losses", "perr"))
        weights = batch.get(schema.LABEL_WEIGHTS)
        evaluator.update_state(*found, predictions=batch.get("predictions"), label_weights=weights)
    return evaluator.result()
