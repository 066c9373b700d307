"""From predictions of validation videos to a cascade, on made-up predictions."""

import json
import logging
import pathlib
import types

import numpy as np
import pytest

from youtube8m_distill import config, runs
from youtube8m_distill.errors import SettingError
from youtube8m_distill.manifest import Manifest
from youtube8m_distill.metrics.calibration import fit_calibration
from youtube8m_distill.metrics.gap import GlobalAveragePrecision
from youtube8m_distill.metrics.ranking import ranking_from_top
from youtube8m_distill.runs import cascade_building as building
from youtube8m_distill.runs.cascade_observation import Observed
from youtube8m_distill.runs.thresholds import cheapest

NUM_VIDEOS, K = 400, 6


def observe(noise, cost, seed=0, overconfidence=1.0, count=NUM_VIDEOS):
    """What a network of this noise predicts for K classes of each video. Videos differ in how hard they are."""
    videos, own = np.random.default_rng(7), np.random.default_rng(seed)
    truth = videos.uniform(size=(count, K)) < 0.3
    hardness = videos.uniform(0.2, 2.0, (count, 1))
    logits = 3.0 * truth - 1.5 + noise * hardness * own.normal(size=(count, K))
    order = np.argsort(-logits, axis=1)
    scores = 1 / (1 + np.exp(-overconfidence * np.take_along_axis(logits, order, axis=1)))
    losses = np.logaddexp(0, -np.where(truth, logits, -logits)).sum(axis=1)
    return Observed(
        videos.integers(0, 2**63, count, dtype=np.uint64),
        scores.astype(np.float32),
        np.take_along_axis(truth, order, axis=1),
        truth.sum(axis=1).astype(np.int32),
        losses.astype(np.float32),
        np.full(count, 10 * cost, np.int32),
        np.full(count, float(cost)),
        encodings=np.concatenate([hardness, own.normal(size=(count, 3))], axis=1).astype(np.float32),
    )


@pytest.fixture
def observed():
    return [observe(1.5, 1, seed=1, overconfidence=3.0), observe(0.5, 10, seed=2)]


def network(folder, name):
    """A stand-in for a LoadedNetwork."""
    settings = {"network": "teacher", "weights": f"step 3, {name}", "seed": 0, "devices": ["CPU"]}
    return types.SimpleNamespace(run=types.SimpleNamespace(folder=folder / name), row_settings=lambda: settings)


def write(folder, plan, monkeypatch, **options):
    monkeypatch.setattr(building, "fingerprint", lambda shards: "files")
    networks = [network(folder, name) for name in ("small", "large")]
    return building.write_plan(folder / "cascade", plan, networks, (), config.CascadeOptions(**options), "validate")


def test_calibrations_are_fitted_on_all_videos_and_the_gap_is_that_of_the_metric(observed):
    plan = building.plan_cascade(["small", "large"], observed)
    assert plan.calibrations == [fit_calibration(each.scores, each.hits) for each in observed]
    assert plan.calibrations[0].a < 0.6 < plan.calibrations[1].a
    assert plan.num_videos == NUM_VIDEOS and plan.frontier[0].gap == plan.alone[1].gap > plan.alone[0].gap
    metric, labels = GlobalAveragePrecision(K), np.zeros((NUM_VIDEOS, K), int)
    labels[observed[1].hits] = 1  # classes numbered by their rank
    metric.update_state(ranking_from_top(labels, [range(K)] * NUM_VIDEOS, observed[1].scores))
    assert plan.alone[1].gap == pytest.approx(metric.result(), rel=1e-9)


def test_calibration_makes_a_cascade_better(observed, monkeypatch):
    calibrated = building.plan_cascade(["small", "large"], observed)
    monkeypatch.setattr(building, "_calibrate", lambda *_: building.Calibration())
    raw = building.plan_cascade(["small", "large"], observed)
    limit = calibrated.alone[1].gap - 0.01
    assert cheapest(calibrated.frontier, limit).mean_multiply_adds < cheapest(raw.frontier, limit).mean_multiply_adds


def test_the_cascade_of_a_plan_is_read_as_it_was_written(observed, tmp_path, monkeypatch):
    plan = building.plan_cascade(["small", "large"], observed)
    written = write(tmp_path, plan, monkeypatch, max_gap_loss=0.01)
    assert runs.open_cascade(tmp_path / "cascade") == written
    chosen = cheapest(plan.frontier, plan.frontier[0].gap - 0.01)
    assert written.thresholds == chosen.thresholds and written.calibrations == tuple(plan.calibrations)
    assert written.settings.chosen.gap == chosen.gap >= plan.alone[1].gap - 0.01
    assert len(written.settings.frontier) == len(plan.frontier) == 101
    json.loads((tmp_path / "cascade/cascade.json").read_text(), parse_constant=pytest.fail)  # no Infinity


def observe_together(*noises):
    """What networks of these noises predict for the same videos, with what those before predict for the same classes."""
    random = np.random.default_rng(3)
    truth = random.uniform(size=(NUM_VIDEOS, K)) < 0.3
    logits = [3.0 * truth - 1.5 + noise * random.normal(size=truth.shape) for noise in noises]
    found = []
    for index, own in enumerate(logits):
        order = np.argsort(-own, axis=1)
        scores = [np.float32(1 / (1 + np.exp(-np.take_along_axis(each, order, axis=1)))) for each in logits[: index + 1]]
        hits, counts = np.take_along_axis(truth, order, axis=1), np.full(NUM_VIDEOS, 10**index)
        hashes, losses = np.arange(NUM_VIDEOS, dtype=np.uint64), np.zeros(NUM_VIDEOS, np.float32)
        found.append(Observed(hashes, scores[-1], hits, truth.sum(axis=1), losses, counts, counts, tuple(scores[:-1])))
    return found


def test_a_cascade_that_combines_its_networks_has_a_higher_gap_than_the_last_one():
    observed, names = observe_together(1.4, 1.2, 1.0), ["a", "b", "c"]
    combined = building.plan_cascade(names, observed)
    assert combined.calibrations[0].c == 0 and min(each.c for each in combined.calibrations[1:]) > 0.2
    assert combined.frontier[0].gap > combined.alone[2].gap + 0.01
    apart = building.plan_cascade(names, observed, config.CascadeOptions(combine=False))
    assert [each.c for each in apart.calibrations] == [0, 0, 0] and apart.alone == combined.alone
    assert apart.frontier[0].gap == pytest.approx(apart.alone[2].gap, abs=1e-9)


def test_a_combined_answer_can_have_other_best_classes_than_the_network():
    (_, second), k = observe_together(0.3, 3.0), 2
    calibration = building.Calibration(1.0, 0.0, 5.0)
    found = building._results(second, [building.Calibration(), calibration], "expected_ap", None)
    answers = np.asarray(calibration(second.scores, second.earlier[0]))
    order = np.argsort(-answers, axis=1)
    np.testing.assert_array_equal(found.scores, np.take_along_axis(answers, order, axis=1))
    np.testing.assert_array_equal(found.hits, np.take_along_axis(second.hits, order, axis=1))
    assert found.hits[:, :k].mean() > second.hits[:, :k].mean() + 0.1


def test_the_allowed_loss_is_below_the_last_network_alone(tmp_path, monkeypatch):
    plan = building.plan_cascade(["small", "large"], observe_together(1.2, 1.0))
    chosen = write(tmp_path, plan, monkeypatch, max_gap_loss=0).settings.chosen
    assert plan.alone[1].gap <= chosen.gap < plan.frontier[0].gap and chosen.videos[0] > 0


def test_a_loss_of_0_is_kept_and_may_leave_all_videos_to_the_last_network(observed, tmp_path, monkeypatch):
    plan = building.plan_cascade(["small", "large"], observed)
    found = write(tmp_path, plan, monkeypatch, max_gap_loss=0).settings
    assert found.chosen.gap >= found.stages[-1].gap
    none = write(tmp_path, plan._replace(frontier=plan.frontier[:1]), monkeypatch, max_gap_loss=0)
    assert none.thresholds == (np.inf,) and none.settings.chosen.videos == (0, NUM_VIDEOS)


def test_a_gate_is_fitted_on_one_half_and_thresholds_are_chosen_on_the_other(observed, tmp_path, monkeypatch):
    options = config.CascadeOptions(criterion="gate", gate_margin=0.1)
    plan = building.plan_cascade(["small", "large"], observed, options)
    is_fitted = observed[0].hashes % 2 == 0
    assert plan.num_videos == np.count_nonzero(~is_fitted)
    swapped = [
        each._replace(
            **{
                name: np.where(_like(is_fitted, values), values, values[::-1])
                for name, values in each._asdict().items()
                if name not in ("hashes", "earlier")
            }
        )
        for each in observed
    ]
    again = building.plan_cascade(["small", "large"], swapped, options)
    np.testing.assert_array_equal(again.gates[0].weights, plan.gates[0].weights)
    assert again.calibrations == plan.calibrations and again.frontier != plan.frontier
    helps = observed[0].losses - observed[1].losses > 0.1
    score = plan.gates[0](observed[0].encodings)
    assert score[helps].mean() < score[~helps].mean() - 0.05
    write(tmp_path, plan, monkeypatch, criterion="gate", gate_margin=0.1)
    (gate,) = runs.open_cascade(tmp_path / "cascade").gates
    np.testing.assert_array_equal(gate(observed[0].encodings), score)


def _like(chosen, values):
    return chosen.reshape([-1] + [1] * (values.ndim - 1))


def test_too_few_labels_leave_the_probabilities_as_they_are_with_a_warning(caplog):
    few = [observe(1.5, 1, seed=1, count=8), observe(0.5, 10, seed=2, count=8)]
    with caplog.at_level(logging.WARNING, "youtube8m_distill"):
        plan = building.plan_cascade(["runs/small", "runs/large"], few)
    assert plan.calibrations == [(1.0, 0.0, 0.0)] * 2
    assert caplog.messages[0].startswith("The probabilities of runs/small are not calibrated: ")
    assert "are too few, at least 20 are needed" in caplog.messages[0]


def test_a_gate_without_examples_is_refused(observed):
    options = config.CascadeOptions(criterion="gate", gate_margin=1e6)
    words = r"gate_margin=1000000.0: no gate of small can be trained: the next network helps 0 of \d+ videos; at least 20"
    with pytest.raises(SettingError, match=words):
        building.plan_cascade(["small", "large"], observed, options)


def test_an_older_cascade_is_replaced_with_its_gates(observed, tmp_path, monkeypatch):
    options = {"criterion": "gate"}
    write(tmp_path, building.plan_cascade(["a", "b"], observed, config.CascadeOptions(**options)), monkeypatch, **options)
    gates = tmp_path / "cascade/gates.npz"
    content = gates.read_bytes()
    gates.write_bytes(content[:-1])
    with pytest.raises(ValueError, match="gates.npz belongs to another cascade.json, or is damaged"):
        runs.open_cascade(tmp_path / "cascade")
    gates.unlink()
    with pytest.raises(ValueError, match="its gates.npz cannot be read"):
        runs.open_cascade(tmp_path / "cascade")
    gates.write_bytes(content)
    write(tmp_path, building.plan_cascade(["a", "b"], observed), monkeypatch)
    assert not gates.exists() and runs.open_cascade(tmp_path / "cascade").gates == ()


@pytest.mark.parametrize("interrupted", [(Manifest, "write"), (pathlib.Path, "write_bytes")], ids=["cascade", "gates"])
def test_an_interrupted_cascade_can_be_written_again(observed, tmp_path, monkeypatch, interrupted):
    options = {"criterion": "gate"}
    plan = building.plan_cascade(["a", "b"], observed, config.CascadeOptions(**options))

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(*interrupted, stop)
        write(tmp_path, plan, patch, **options)
    write(tmp_path, plan, monkeypatch, **options)
    assert len(runs.open_cascade(tmp_path / "cascade").gates) == 1


def test_a_folder_without_a_cascade_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"'{tmp_path}' holds no cascade: it has no cascade.json."):
        runs.open_cascade(tmp_path)
    assert not runs.is_cascade("") and not runs.is_cascade(pathlib.Path("none"))
