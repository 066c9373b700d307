"""Builds a cascade from trained runs: what each network predicts for validation videos, calibrations, gates, thresholds."""

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
from youtube8m_distill.data.ids import hash_ids
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.errors import SettingError
from youtube8m_distill.metrics.calibration import Calibration, fit_calibration
from youtube8m_distill.metrics.expected_ap import expected_average_precision
from youtube8m_distill.metrics.ranking import ranking_from_top
from youtube8m_distill.runs.cascade import Cascade, write_cascade
from youtube8m_distill.runs.evaluation import LoadedNetwork
from youtube8m_distill.runs.gate import Gate, fit_gate
from youtube8m_distill.runs.loaded_cascade import costs, made_from
from youtube8m_distill.runs.run import Run
from youtube8m_distill.runs.shards import fingerprint
from youtube8m_distill.runs.thresholds import Point, StageResults, cheapest, point_of, trace_frontier
from youtube8m_distill.settings import require

log = logging.getLogger(__name__)


class Observed(NamedTuple):
    """What one network predicts for the N validation videos, not calibrated, and the labels."""

    hashes: np.ndarray  # uint64 [N], of the ids
    scores: np.ndarray  # float32 [N, k], of the best classes
    hits: np.ndarray  # bool [N, k]
    num_labels: np.ndarray  # int32 [N]
    losses: np.ndarray  # float32 [N], L_CE
    num_frames: np.ndarray  # int32 [N]
    multiply_adds: np.ndarray  # float64 [N]
    encodings: np.ndarray | None  # float32 [N, D], for gates


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


def observe(network: LoadedNetwork, shards: Sequence[Shard], batch_size: int | None = None) -> Observed:
    """What a network predicts for all videos in some labeled files; with encodings if it was loaded with `keep_encoding`.

    Encodings take 4 bytes per number: 0.8 GB for 48,000 videos and an H-RNN of 1,024 cells.
    """
    rows = []
    for batch in network.predict(shards, batch_size, f"predict with {network.run.folder.name}"):
        ranking = ranking_from_top(batch[schema.LABELS], batch["classes"], batch["scores"]).cut(schema.TOP_K)
        frames = batch[schema.NUM_FRAMES]
        rows.append(
            (
                hash_ids(batch[schema.VIDEO_ID]),
                ranking.scores,
                ranking.hits,
                ranking.num_labels,
                batch["losses"],
                frames,
                costs(network, frames),
                *([batch["encoding"]] if "encoding" in batch else []),
            )
        )
    columns = [np.concatenate(column) for column in zip(*rows)]
    return Observed(*columns[:7], encodings=columns[7] if len(columns) > 7 else None)


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
    calibrations = [_calibrate(name, each, is_fitted) for name, each in zip(names, observed)]
    pairs = zip(names, observed, observed[1:]) if is_gated else ()
    gates = [_gate(name, here, after, is_fitted, options.gate_margin) for name, here, after in pairs]
    results = [
        _results(each, is_searched, calibration, options.criterion, gate)
        for each, calibration, gate in itertools.zip_longest(observed, calibrations, gates)
    ]
    num_labels = int(observed[0].num_labels[is_searched].sum())
    alone = [point_of([each], num_labels, ()) for each in results]
    return Plan(calibrations, gates, alone, trace_frontier(results, num_labels), int(np.count_nonzero(is_searched)))


def _results(observed, chosen, calibration, criterion, gate):
    """The StageResults of some of the videos. The last network has no gate, and its confidence is not read."""
    scores = np.asarray(calibration(observed.scores[chosen]), np.float32)
    if criterion == "gate":
        confidence = np.ones(len(scores)) if gate is None else gate(observed.encodings[chosen])
    else:
        confidence = expected_average_precision(scores)
    return StageResults(
        scores, observed.hits[chosen], confidence, observed.num_frames[chosen], observed.multiply_adds[chosen]
    )


def _calibrate(name, observed, is_fitted):
    """The Calibration of a network; none, with a warning, if the videos do not determine one."""
    try:
        return fit_calibration(observed.scores[is_fitted], observed.hits[is_fitted])
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
    chosen = cheapest(plan.frontier, plan.frontier[0].gap - options.max_gap_loss)
    thresholds = (*map(_finite, chosen.thresholds), None)
    stages = [
        StageSettings(
            train_dir=str(network.run.folder.resolve()),
            relative_train_dir=os.path.relpath(network.run.folder.resolve(), folder.resolve()),
            made_from=made_from(network),
            a=calibration.a,
            b=calibration.b,
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
