"""Builds a cascade from what its networks predict for validation videos: calibrations, gates, and thresholds."""

import itertools
import logging
import math
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from youtube8m_distill import schema
from youtube8m_distill.config import CascadeOptions, CascadeSettings, FrontierPoint, StageSettings
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.errors import SettingError
from youtube8m_distill.metrics.calibration import Calibration, fit_calibration
from youtube8m_distill.metrics.expected_ap import expected_average_precision
from youtube8m_distill.runs.cascade import Cascade, write_cascade
from youtube8m_distill.runs.cascade_observation import Observed, rows_of
from youtube8m_distill.runs.evaluation import LoadedNetwork
from youtube8m_distill.runs.gate import Gate, fit_gate
from youtube8m_distill.runs.loaded_cascade import made_from
from youtube8m_distill.runs.run import Run
from youtube8m_distill.runs.shards import fingerprint
from youtube8m_distill.runs.thresholds import Point, StageResults, cheapest, point_of, trace_frontier
from youtube8m_distill.settings import require

log = logging.getLogger(__name__)


class Plan(NamedTuple):
    """All that a cascade of some networks needs but the choice of a point on the frontier."""

    calibrations: list[Calibration]
    gates: list[Gate]  # of all networks but the last, with criterion gate
    alone: list[Point]  # each network alone
    frontier: list[Point]  # from all videos answered by the last network to all by the first
    num_videos: int  # that the frontier was traced on


def check_runs(runs: Sequence[Run]) -> None:
    """Refuses runs whose main networks cannot form a cascade. SettingError (train_dirs)."""
    folders = [run.folder for run in runs]
    require(len(runs) >= 2, "train_dirs", "name two or more runs, the cheapest first.", folders)
    resolved = [folder.resolve() for folder in folders]
    require(len(set(resolved)) == len(resolved), "train_dirs", "names a run twice.", folders)
    first = _facts(runs[0])
    for run in runs:
        network = run.config.networks[run.config.main_role]
        reason = f"{run.folder} holds a {network.model}, which reads video-level files: there are no frames to save."
        require(not network.is_video_level, "train_dirs", reason, folders)
        reason = f"{run.folder} was trained on segments; a cascade is of networks for whole videos."
        require(not run.config.reading.segment_labels, "train_dirs", reason, folders)
        for (name, value), expected in zip(_facts(run).items(), first.values()):
            reason = f"{run.folder} has {name} {value}, and {folders[0]} has {expected}; all must be equal."
            require(value == expected, "train_dirs", reason, folders)


def _facts(run):
    """What must be equal in all runs of a cascade."""
    network = run.config.networks[run.config.main_role]
    sizes = dict(zip(network.features.names, network.features.sizes))
    return {
        "num_classes": network.num_classes,
        "features": ", ".join(f"{name} ({size})" for name, size in sizes.items()),
        "input type": network.features.dtype,
        "label_loss": run.config.training.label_loss,
        **run.config.reading.to_dict(),
    }


def check_order(networks: Sequence[LoadedNetwork]) -> None:
    """Refuses networks that do not get more expensive. SettingError (train_dirs)."""
    most = [network.network.multiply_adds(network.config.max_frames) for network in networks]
    shown = ", ".join(f"{network.run.folder} ({cost:,})" for network, cost in zip(networks, most))
    reason = f"order the runs by the multiply-adds of their networks, fewest first; all must differ. They are: {shown}."
    rises = all(one < other for one, other in zip(most, most[1:]))
    require(rises, "train_dirs", reason, [network.run.folder for network in networks])


def plan_cascade(
    names: Sequence[str],
    observed: Sequence[Observed],
    options: CascadeOptions = CascadeOptions(),  # noqa: B008, frozen
) -> Plan:
    """Calibrates the networks, trains gates, and traces the frontier of thresholds.

    A gate has thousands of weights. So with criterion gate, calibrations and gates are fitted on one half of the videos, by
    the hash of the id, and thresholds are chosen on the other half.

    Args:
        names: of the networks, for messages.
        observed: what the networks predict for the same videos, with encodings for criterion gate.
        options: `max_gap_loss` is not read: the frontier is that of all.
    Raises:
        SettingError: if a gate cannot be trained.
    """
    is_gated, every = options.criterion == "gate", np.ones(len(observed[0].hashes), bool)
    is_fitted = observed[0].hashes % 2 == 0 if is_gated else every
    is_searched = ~is_fitted if is_gated else every
    calibrations = []
    for name, each in zip(names, observed):
        calibrations.append(_calibrate(name, each, calibrations, is_fitted, options.combine))
    pairs = zip(names, observed, observed[1:]) if is_gated else ()
    gates = [_gate(name, here, after, is_fitted, options.gate_margin) for name, here, after in pairs]
    chosen = [rows_of(each, is_searched) for each in observed]
    results = [
        _results(each, calibrations[:number], options.criterion, gate)
        for number, (each, gate) in enumerate(itertools.zip_longest(chosen, gates), 1)
    ]
    num_labels = int(chosen[0].num_labels.sum())
    alone = [point_of([_alone(each)], num_labels, ()) for each in chosen]
    return Plan(calibrations, gates, alone, trace_frontier(results, num_labels), int(np.count_nonzero(is_searched)))


def _results(observed, calibrations, criterion, gate):
    """The StageResults of a network and those before it. The last network has no gate, and its confidence is not read."""
    answers = _answers((*observed.earlier, observed.scores), calibrations)
    best = np.argsort(-answers, axis=1, kind="stable")[:, : schema.TOP_K]
    scores, hits = (np.take_along_axis(array, best, axis=1) for array in (answers, observed.hits))
    if criterion == "gate":
        confidence = np.ones(len(scores)) if gate is None else gate(observed.encodings)
    else:
        confidence = expected_average_precision(scores)
    return StageResults(scores, hits, confidence, observed.num_frames, observed.multiply_adds)


def _alone(observed):
    """The StageResults of a network without a cascade, whose confidence is not read."""
    scores, hits = observed.scores[:, : schema.TOP_K], observed.hits[:, : schema.TOP_K]
    return StageResults(scores, hits, np.ones(len(scores)), observed.num_frames, observed.multiply_adds)


def _answers(predictions, calibrations):
    """The answer of the last of some networks, from what each of them predicts. Arrays [N, k] -> float32 [N, k]."""
    answer = np.zeros(0, np.float32)  # before the first network, which does not read it
    for predicted, calibration in zip(predictions, calibrations[-len(predictions) :], strict=True):
        answer = np.asarray(calibration(predicted, answer), np.float32)
    return answer


def _calibrate(name, observed, before, is_fitted, combine):
    """The Calibration of a network after those in `before`; none, with a warning, if the videos do not determine one."""

    def fitted(array):
        return array[is_fitted, : schema.TOP_K]

    answers = _answers([fitted(array) for array in observed.earlier], before) if combine and observed.earlier else None
    try:
        return fit_calibration(fitted(observed.scores), fitted(observed.hits), answers)
    except ValueError as error:
        log.warning("The probabilities of %s are not calibrated: %s.", name, error)
        return Calibration()


def _gate(name, here, after, is_fitted, gate_margin):
    helps = here.losses - after.losses > gate_margin
    try:
        return fit_gate(here.encodings[is_fitted], helps[is_fitted])
    except ValueError as error:
        reason = f"no gate of {name} can be trained: {error}. Give more validation videos, or another margin."
        raise SettingError("gate_margin", reason, gate_margin) from None


def write_plan(
    folder: str | os.PathLike,
    plan: Plan,
    networks: Sequence[LoadedNetwork],
    shards: Sequence[Shard],
    options: CascadeOptions,
    validation_data_pattern: str = "",
) -> Cascade:
    """Writes the cascade of fewest multiply-adds whose GAP@20 is at most `max_gap_loss` below that of the last network.

    Args:
        plan: of these networks, in their order, with these options.
        shards: the validation files, of which the cascade states the fingerprint.
        validation_data_pattern: to state as well.
    """
    folder = pathlib.Path(folder)
    chosen = cheapest(plan.frontier, min(plan.alone[-1].gap, plan.frontier[0].gap) - options.max_gap_loss)
    thresholds = (*map(_finite, chosen.thresholds), None)
    stages = [
        StageSettings(
            train_dir=str(network.run.folder.resolve()),
            relative_train_dir=os.path.relpath(network.run.folder.resolve(), folder.resolve()),
            made_from=made_from(network),
            a=calibration.a,
            b=calibration.b,
            c=calibration.c,
            threshold=threshold,
            gap=alone.gap,
            mean_frames=alone.mean_frames,
            mean_multiply_adds=alone.mean_multiply_adds,
        )
        for network, calibration, threshold, alone in zip(networks, plan.calibrations, thresholds, plan.alone)
    ]
    settings = CascadeSettings(
        options=options,
        validation_data_pattern=validation_data_pattern,
        validation_files=fingerprint(shards),
        num_videos=plan.num_videos,
        chosen=_as_settings(chosen),
        stages=tuple(stages),
        frontier=tuple(map(_as_settings, plan.frontier)),
    )
    return write_cascade(folder, settings, plan.gates)


def _as_settings(point: Point) -> FrontierPoint:
    return FrontierPoint(**{**point._asdict(), "thresholds": tuple(map(_finite, point.thresholds))})


def _finite(threshold):
    """A threshold for JSON, which has no infinity."""
    return None if math.isinf(threshold) else threshold
