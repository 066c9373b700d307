"""Detects divergence: remembers the first step whose loss or gradient is not finite, inside the training step."""

import math
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

if TYPE_CHECKING:
    from youtube8m_distill.schemes.scheme import TrainingScheme

_ADVICE = "Try a smaller base_learning_rate, or look for wrong values in the records."


class FirstDivergence:
    """Keeps the named numbers of the latest step until some are not finite; then it keeps those of that step.

    The host can therefore check rarely and still name the first bad step. All replicas and machines hold equal values.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        # Aggregated as the optimizer's own counter: each replica writes the same value.
        self._finite_steps = keras.Variable(0, dtype="int64", trainable=False, aggregation="only_first_replica")
        self._values = keras.Variable(tf.zeros(len(names)), trainable=False, aggregation="only_first_replica")

    def update(self, values: tf.Tensor) -> None:
        """Adds the numbers of a step, float32 [names], of the global batch. Called inside `strategy.run`."""
        finite_so_far = _all_finite(self._values)
        self._values.assign(tf.where(finite_so_far, values, self._values))
        self._finite_steps.assign_add(tf.cast(finite_so_far & _all_finite(values), "int64"))

    def count_from(self, step: int) -> None:
        """Makes the next step number `step` + 1."""
        self._finite_steps.assign(step)

    def read(self) -> tuple[int, dict[str, float]] | None:
        """The number of the first bad step and its values by name; None if every step was finite."""
        values = keras.ops.convert_to_numpy(self._values).tolist()
        if all(map(math.isfinite, values)):
            return None
        return int(keras.ops.convert_to_numpy(self._finite_steps)) + 1, dict(zip(self.names, values, strict=True))


def refuse_divergence(scheme: "TrainingScheme") -> None:
    """Raises FloatingPointError, naming the step, if a loss or gradient was not finite. Call it before results are used."""
    found = scheme.first_divergence()
    if found is not None:
        step, values = found
        bad = ", ".join(f"{name} is {value}" for name, value in values.items() if not math.isfinite(value))
        finite = ", ".join(f"{name} {value:.4g}" for name, value in values.items() if math.isfinite(value))
        raise FloatingPointError(f"Training diverged at step {step}: {bad}{f' ({finite})' if finite else ''}. {_ADVICE}")


def refuse_bad_numbers(scheme: "TrainingScheme", step: int) -> None:
    """Like `refuse_divergence`, but also for weights or other variables, before saving: a finite step can leave bad ones."""
    refuse_divergence(scheme)
    trained = [variable for network in scheme.networks.values() for variable in network.variables]
    trained += scheme.auxiliary_variables
    variables = [v for v in [*trained, *scheme.optimizer.variables] if tf.as_dtype(v.dtype).is_floating]
    bad = [variable.path for variable in variables if not _all_finite(variable)]
    if bad:
        named = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
        raise FloatingPointError(f"Training diverged at step {step}: numbers are not finite in {named}. {_ADVICE}")


def _all_finite(values):
    return tf.reduce_all(tf.math.is_finite(values))
