"""Logistic regression by Newton's method, for calibration and for the gates of cascades."""

from collections.abc import Callable

import numpy as np

MAX_STEPS, MAX_HALVINGS = 100, 30
TOLERANCE = 1e-8  # of the gradient of the mean loss, per unit of the inputs
SMALLEST_CURVATURE = 1e-10


def fit_logistic(inputs: np.ndarray, targets: np.ndarray, l2: float = 0.0) -> tuple[np.ndarray, float]:
    """The weights and the bias that minimize the mean cross-entropy plus l2 / 2 times the squared weights.

    Each Newton step is solved by conjugate gradients, so no matrix [D, D] is computed, and is halved until the objective
    falls.

    Args:
        inputs: float [N, D]; float32 halves the memory of many videos.
        targets: float [N], from 0 to 1.
    Returns:
        (float64 [D], float). They are finite unless the targets can be separated and l2 is 0.
    """
    count, size = inputs.shape
    targets = np.asarray(targets, np.float64)

    def logits(solution):
        return np.asarray(inputs @ solution[:-1].astype(inputs.dtype), np.float64) + solution[-1]  # [N]

    def back(errors):  # [N] -> [D + 1]
        return np.append(np.asarray(errors.astype(inputs.dtype) @ inputs, np.float64), errors.sum()) / count

    def objective(solution):
        z = logits(solution)
        return np.mean(np.logaddexp(0.0, z) - targets * z) + l2 / 2 * np.sum(solution[:-1] ** 2)

    penalty = np.append(np.full(size, l2), 0.0)
    solution, value = np.zeros(size + 1), np.log(2.0)
    for _ in range(MAX_STEPS):
        p = 1.0 / (1.0 + np.exp(-logits(solution)))
        gradient = back(p - targets) + penalty * solution
        if np.linalg.norm(gradient) < TOLERANCE:
            break

        def curvature(direction, weights=p * (1.0 - p)):
            return back(weights * logits(direction)) + (penalty + SMALLEST_CURVATURE) * direction

        step, share = _solve(curvature, gradient), 1.0
        for _ in range(MAX_HALVINGS):
            moved = solution - share * step
            if (reached := objective(moved)) < value:
                solution, value = moved, reached
                break
            share /= 2
        else:
            break  # as exact as the inputs' precision allows
    return solution[:-1], float(solution[-1])


def _solve(multiply: Callable[[np.ndarray], np.ndarray], target: np.ndarray) -> np.ndarray:
    """The x for which `multiply(x)`, by a positive definite matrix, is `target`: conjugate gradients, inexact if far off."""
    solution, residual = np.zeros_like(target), target.copy()
    direction, square = residual, residual @ residual
    limit = min(0.1, np.sqrt(np.linalg.norm(target))) ** 2 * square
    for _ in range(len(target) + 1):
        if square <= limit:
            break
        moved = multiply(direction)
        length = square / (direction @ moved)
        solution, residual = solution + length * direction, residual - length * moved
        before, square = square, residual @ residual
        direction = residual + square / before * direction
    return solution
