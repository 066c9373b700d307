"""The training step that every scheme shares: gradients, weighting, all-reduce, clipping, logged means."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from youtube8m_distill import schema
from youtube8m_distill.families.mixture.network import Network
from youtube8m_distill.layers.devices import beside
from youtube8m_distill.layers.replicas import num_replicas, sum_over_replicas
from youtube8m_distill.metrics.gap import minibatch_gap
from youtube8m_distill.metrics.per_video import hit_at_one, rated_only
from youtube8m_distill.schemes.divergence import FirstDivergence

Batch = Mapping[str, Any]  # nested by role, as in `schema.py`
Losses = dict[str, tf.Tensor]  # `role/term` -> float32 [batch]
MONITORS = {"gap_at_20": minibatch_gap, "hit_at_one": hit_at_one}  # of every trained network's predictions


def by_role(role: str, terms: Mapping[str, Any]) -> dict[str, Any]:
    """The same values under the names that a scheme logs: `role/term`."""
    return {f"{role}/{term}": value for term, value in terms.items()}


def mean_over_global_batch(per_video: tf.Tensor) -> tf.Tensor:
    """A mean of float [batch] whose gradient, summed over equally large replicas, is that of the whole batch's mean."""
    return ops.mean(per_video) / num_replicas()


class TrainingScheme(keras.Model):
    """Base class of the schemes: a Keras model whose `train_step` is built around one hook, `compute_losses`.

    `compile(optimizer=...)` and `fit` work, on one device or under MirroredStrategy. The command line runs the same
    `train_step` from `engine/loop.py`. Logged names are `role/term`, with the same terms for every role.

    Args:
        networks: role -> network: the networks that this scheme trains and that a checkpoint holds.
        loss_weights: `role/term` -> weight. These terms of `compute_losses` are minimized; the others are only logged.
        regularization_penalty: factor on the layers' own regularization terms.
        clip_gradient_norm: largest L2 norm of one variable's gradient over the global batch; 0 for no limit.
    """

    def __init__(
        self,
        networks: dict[str, Network],
        loss_weights: dict[str, float],
        regularization_penalty: float = 1.0,
        clip_gradient_norm: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.networks, self.loss_weights = networks, loss_weights
        self.regularization_penalty, self.clip_gradient_norm = regularization_penalty, clip_gradient_norm
        monitored = [f"{role}/{name}" for role in networks for name in MONITORS]
        tracked = ["loss", "regularization_loss", *self.loss_names(), *monitored]
        self.trackers = {name: keras.metrics.Mean(name=name) for name in tracked}
        self.divergence = FirstDivergence(["loss", *loss_weights, "regularization_loss", "gradient_norm"])
        self.built = True

    def compute_losses(self, batch: Batch, training: bool) -> tuple[Losses, dict[str, tf.Tensor]]:
        """The hook: one forward pass of everything that this scheme needs.

        Returns `role/term` -> float32 [batch], and role -> predictions, float32 [batch, num_classes], of all `networks`.
        """
        raise NotImplementedError

    def loss_names(self) -> list[str]:
        """Keys of the first dict that `compute_losses` returns."""
        return list(self.loss_weights)

    @property
    def auxiliary_variables(self) -> list[keras.Variable]:
        """Variables that are trained with the networks and dropped afterwards; checkpoints hold them until then."""
        return []

    @property
    def main_role(self) -> str:
        """The network that this scheme is about: the student if there is one."""
        return schema.STUDENT if schema.STUDENT in self.networks else next(iter(self.networks))

    def call(self, batch: Batch, training: bool = False) -> dict[str, Any]:
        return self.networks[self.main_role](batch[self.main_role], training=training)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.trackers.values())

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """One optimizer step on one replica's share of the global batch. Returns the current means of all trackers."""
        with tf.GradientTape() as tape:
            losses, predictions = self.compute_losses(batch, training=True)
            loss, regularization = self._weigh(losses)
            objective = mean_over_global_batch(loss) + regularization / num_replicas()
        gradients = self._gradients(objective, tape)
        without = [v.path for v, gradient in zip(self.trainable_variables, gradients) if gradient is None]
        if without:
            advice = f"set trainable=False there, or add a term to {', '.join(self.loss_weights)}."
            raise ValueError(f"No minimized term depends on {', '.join(without)}: {advice}")
        means = [mean_over_global_batch(losses[name]) for name in self.loss_weights]
        terms = tf.stack([objective, *means, regularization / num_replicas()])
        # Summed before they are clipped, so that N replicas take the same step as one.
        *gradients, terms = sum_over_replicas([*gradients, terms])
        gradients, norm = self._clip(gradients)
        self.divergence.update(tf.concat([terms, [norm]], 0))
        if num_replicas() > 1:  # Keras optimizers sum gradients over the replicas once more
            gradients = [gradient / num_replicas() for gradient in gradients]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return self._track(batch, loss, regularization, losses, predictions)

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Inside the block, trained weights are the optimizer's exponential moving averages, if it keeps them."""
        if not self.optimizer.use_ema:
            yield
            return
        latest = [ops.convert_to_numpy(variable) for variable in self.trainable_variables]
        self.optimizer.finalize_variable_values(self.trainable_variables)
        try:
            yield
        finally:
            for variable, value in zip(self.trainable_variables, latest, strict=True):
                variable.assign(value)

    def first_divergence(self) -> tuple[int, dict[str, float]] | None:
        """Number and values of the first step that was not finite, or None: terms, and `gradient_norm` before clipping."""
        return self.divergence.read()

    def test_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        losses, predictions = self.compute_losses(batch, training=False)
        return self._track(batch, *self._weigh(losses), losses, predictions)

    def _weigh(self, losses: Losses) -> tuple[Any, Any]:
        loss = sum(weight * losses[name] for name, weight in self.loss_weights.items())  # [B]
        return loss, self.regularization_penalty * tf.add_n([tf.zeros(()), *self.losses])

    def _gradients(self, objective, tape):
        """Gradients of the trainable variables. Those of members with devices of their own are computed there."""
        if not any(network.member_devices for network in self.networks.values()):
            return tape.gradient(objective, self.trainable_variables)
        # A tape would compute them all on the default device; this function uses that of the forward operation.
        return tf.gradients(objective, [variable.value for variable in self.trainable_variables])

    def _clip(self, gradients):
        """The clipped gradients and their joint norm before clipping."""
        squares, clipped, limit = [], [], self.clip_gradient_norm
        for variable, gradient in zip(self.trainable_variables, gradients, strict=True):
            with beside(variable):
                squares.append(tf.reduce_sum(tf.square(gradient)))
                clipped.append(gradient * limit / tf.maximum(tf.sqrt(squares[-1]), limit) if limit else gradient)
        return clipped, tf.sqrt(tf.add_n(squares))

    def _track(self, batch, loss, regularization, losses, predictions):
        values = {"loss": loss + regularization, "regularization_loss": regularization, **losses}
        for role, predicted in predictions.items():
            predicted = rated_only(predicted, batch.get(schema.LABEL_WEIGHTS))
            for name, monitor in MONITORS.items():
                values[f"{role}/{name}"] = monitor(batch[schema.LABELS], predicted)
        for name, value in values.items():
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}
