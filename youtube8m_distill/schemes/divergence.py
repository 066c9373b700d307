"""Numbers that go wrong: the first step whose loss or gradient is not finite, remembered where the step runs."""

import math

import keras
import tensorflow as tf


class FirstDivergence:
    """Keeps the numbers of the newest step until some of them are not finite; from then on those of that step.

    So nobody has to look after each step to name the one at which it began. All replicas and machines hold the same, and
    to read it none needs the others: one that saves may ask alone.

    Args:
        names: list of str, of the numbers.
    """

    def __init__(self, names):
        self.names = names
        # As the optimizer's own counter: each replica writes the same.
        self._finite_steps = keras.Variable(0, dtype="int64", trainable=False, aggregation="only_first_replica")
        self._values = keras.Variable(tf.zeros(len(names)), trainable=False, aggregation="only_first_replica")

    def update(self, values):
        """Takes in the numbers of a step, float32 [names], of the global batch. Called inside `strategy.run`."""
        going_well = _all_finite(self._values)
        self._values.assign(tf.where(going_well, values, self._values))
        self._finite_steps.assign_add(tf.cast(going_well & _all_finite(values), "int64"))

    def count_from(self, step):
        """Lets the next step be number `step` + 1."""
        self._finite_steps.assign(step)

    def read(self):
        """None, or the number of the first bad step and its numbers by name."""
        values = keras.ops.convert_to_numpy(self._values).tolist()
        if all(map(math.isfinite, values)):
            return None
        return int(keras.ops.convert_to_numpy(self._finite_steps)) + 1, dict(zip(self.names, values, strict=True))


def refuse_divergence(scheme):
    """Ends a training whose numbers have gone wrong. To be called before anybody reads or keeps what it made.

    Raises:
        FloatingPointError: with the first step whose loss or gradient was not finite, and the terms of that step's loss.
    """
    found = scheme.first_divergence()
    if found is None:
        return
    step, values = found
    wrong = {name: value for name, value in values.items() if not math.isfinite(value)}
    fine = ", ".join(f"{name} {value:.4g}" for name, value in values.items() if name not in wrong)
    raise FloatingPointError(
        f"Training diverged at step {step}: "
        f"{', '.join(f'{name} is {value}' for name, value in wrong.items())}"
        f"{f' ({fine})' if fine else ''}. {_ADVICE}"
    )


def refuse_bad_numbers(scheme, step):
    """Ends a training before anything of a step is saved that is not finite: its loss, its gradient, what it made of them.

    A step that was itself well may leave weights, slots of the optimizer or batch statistics that are not.

    Args:
        scheme: TrainingScheme.
        step: int, the last one.
    Raises:
        FloatingPointError: as `refuse_divergence`; or with the last step, and the variables.
    """
    refuse_divergence(scheme)
    networks = [variable for network in scheme.networks.values() for variable in network.variables]
    wrong = [
        variable.path
        for variable in [*networks, *scheme.optimizer.variables]
        if tf.as_dtype(variable.dtype).is_floating and not _all_finite(variable)
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise FloatingPointError(
            f"Training diverged at step {step}: it left numbers that are not finite in "
            f"{', '.join(wrong[:3])}{more}. {_ADVICE}"
        )


_ADVICE = "Try a smaller base_learning_rate, or look for wrong values in the records."


def _all_finite(values):
    return tf.reduce_all(tf.math.is_finite(values))
