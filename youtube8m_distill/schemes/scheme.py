"""The training step that every scheme shares: tape, weighting, all-reduce, clipping, trackers."""

import keras
import tensorflow as tf

from youtube8m_distill import compat, schema
from youtube8m_distill.metrics.gap import minibatch_gap
from youtube8m_distill.metrics.per_video import hit_at_one
from youtube8m_distill.schemes import replicas
from youtube8m_distill.schemes.divergence import FirstDivergence

REPLICA_STRIDE = 1_000_003  # prime, so that no small sum of layers' seeds and steps makes up for it


class TrainingScheme(keras.Model):
    """Base of the schemes: a Keras model whose `train_step` is built around one hook, `compute_losses`.

    `compile(optimizer=...)` and `fit` work on it, on one device or under MirroredStrategy; the command line drives the
    same `train_step` through `training/loop.py`. Logged names are `role/term`, the same terms for every role.

    Args:
        networks: dict role -> VideoClassifier: the networks that this scheme trains and that a checkpoint keeps.
        loss_weights: dict `role/term` -> float. The terms of `compute_losses` that are minimized; others are reported.
        regularization_penalty: float. Factor on the layers' own regularization terms.
        clip_gradient_norm: float. Greatest L2 norm of one variable's gradient over the global batch; 0 for no limit.
    """

    def __init__(self, networks, loss_weights, regularization_penalty=1.0, clip_gradient_norm=1.0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.networks = networks
        self.loss_weights = loss_weights
        self.regularization_penalty = regularization_penalty
        self.clip_gradient_norm = clip_gradient_norm
        for network in networks.values():
            _share_batch_statistics(network)
            _drop_apart(network)
        self.trackers = {name: keras.metrics.Mean(name=name) for name in self.tracked_names()}
        self.divergence = FirstDivergence(["loss", *loss_weights, "regularization_loss", "gradient_norm"])
        self.built = True

    def compute_losses(self, batch, training):
        """The hook. One forward pass of everything that this scheme needs.

        Args:
            batch: dict of tensors as in `schema.py`.
            training: bool.
        Returns:
            dict `role/term` -> float32 [batch], and dict role -> predictions float32 [batch, num_classes] of every
            network in `networks`.
        """
        raise NotImplementedError

    def loss_names(self):
        """Keys of the first dict of `compute_losses`."""
        return list(self.loss_weights)

    def tracked_names(self):
        monitors = [f"{role}/{name}" for role in self.networks for name in ("gap_at_20", "hit_at_one")]
        return ["loss", "regularization_loss", *self.loss_names(), *monitors]

    @property
    def main_role(self):
        """The network that the scheme is about: the student where there is one."""
        return schema.STUDENT if schema.STUDENT in self.networks else next(iter(self.networks))

    def call(self, batch, training=False):
        return self.networks[self.main_role](batch[self.main_role], training=training)

    @property
    def metrics(self):
        return list(self.trackers.values())

    def train_step(self, batch):
        """One step of the optimizer on one replica's share of the global batch. Returns the trackers' means so far."""
        with tf.GradientTape() as tape:
            losses, predictions = self.compute_losses(batch, training=True)
            loss, regularization = self._weigh(losses)
            objective = replicas.mean_over_global_batch(loss) + regularization / replicas.num_replicas()
        gradients = self._require_all(tape.gradient(objective, self.trainable_variables))
        terms = [
            objective,
            *(replicas.mean_over_global_batch(losses[name]) for name in self.loss_weights),
            regularization / replicas.num_replicas(),
        ]
        *gradients, terms = replicas.sum_over_replicas([*gradients, tf.stack(terms)])
        gradients, norm = self._clip(gradients)
        self.divergence.update(tf.concat([terms, [norm]], 0))
        self.optimizer.apply_gradients(zip(self._share(gradients), self.trainable_variables))
        return self._track(batch, loss, regularization, losses, predictions)

    def first_divergence(self):
        """The first training step at which something was not finite, if there was one.

        Returns:
            None, or the step's number, from 1, and a dict: `loss`, the minimized terms and `regularization_loss`, means
            over the global batch, and `gradient_norm`, that of all variables together before clipping.
        """
        return self.divergence.read()

    def test_step(self, batch):
        losses, predictions = self.compute_losses(batch, training=False)
        loss, regularization = self._weigh(losses)
        return self._track(batch, loss, regularization, losses, predictions)

    def _weigh(self, losses):
        loss = sum(weight * losses[name] for name, weight in self.loss_weights.items())  # [B]
        return loss, self.regularization_penalty * tf.add_n([tf.zeros(()), *self.losses])

    def _require_all(self, gradients):
        without = [v.path for v, gradient in zip(self.trainable_variables, gradients) if gradient is None]
        if without:
            raise ValueError(
                f"no minimized term reaches {', '.join(without)}: set trainable=False there, or add a term "
                f"to {', '.join(self.loss_weights)}."
            )
        return gradients

    def _clip(self, gradients):
        """Each gradient, summed over the replicas before, so that N of them take the step of one, and their joint norm."""
        squares = [tf.reduce_sum(tf.square(gradient)) for gradient in gradients]
        if self.clip_gradient_norm:
            longest = self.clip_gradient_norm
            gradients = [
                gradient * longest / tf.maximum(tf.sqrt(square), longest) for gradient, square in zip(gradients, squares)
            ]
        return gradients, tf.sqrt(tf.add_n(squares))

    def _share(self, gradients):
        """What each replica hands to a Keras optimizer, which sums over the replicas once more: an N-th."""
        count = replicas.num_replicas()
        return gradients if count == 1 else [gradient / count for gradient in gradients]

    def _track(self, batch, loss, regularization, losses, predictions):
        values = {"loss": loss + regularization, "regularization_loss": regularization, **losses}
        labels = batch[schema.LABELS]
        for role, predicted in predictions.items():
            values[f"{role}/gap_at_20"] = minibatch_gap(labels, predicted)
            values[f"{role}/hit_at_one"] = hit_at_one(labels, predicted)
        for name, value in values.items():
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}


def _share_batch_statistics(network):
    """Lets layers with batch statistics sum these over the replicas of whatever strategy runs the step.

    They keep doing so after the scheme is gone; without replicas the sum is the batch's own.
    """
    for layer in compat.all_layers(network):
        if hasattr(layer, "sum_over_replicas"):
            layer.sum_over_replicas = replicas.sum_over_replicas


def _drop_apart(network):
    """Lets every replica draw dropout masks of its own. The generators' states stay equal, as a checkpoint keeps them."""
    for layer in compat.all_layers(network):
        if isinstance(layer, keras.layers.Dropout) and layer.rate:
            compat.shift_dropout_seeds(layer, _replica_shift)


def _replica_shift():
    """What a replica adds to its dropout seeds, int64 [2]: zeros on the first one."""
    return tf.stack([replicas.replica_index() * REPLICA_STRIDE, 0])
