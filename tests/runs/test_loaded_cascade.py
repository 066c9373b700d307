"""Prediction with a cascade: each video has the answer of the network that the thresholds name."""

import dataclasses
import shutil

import numpy as np
import pytest

from tests import cascades, commands, records
from youtube8m_distill import runs
from youtube8m_distill.data.bad_records import BadRecordError
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.metrics.calibration import Calibration
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.metrics.expected_ap import expected_average_precision
from youtube8m_distill.runs import predictions
from youtube8m_distill.runs.gate import Gate

NUM_VIDEOS, WINDOW = 11, 4
NEVER, ALWAYS = None, -1.0


pytestmark = pytest.mark.usefixtures("quick_hrnn")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cascade")


@pytest.fixture(scope="module")
def trained(folder):
    return cascades.save_runs(folder / "runs", ("small", "middle", "large"))


@pytest.fixture(scope="module")
def shards(folder):
    return find_files(commands.write_files(folder / "data", "v", commands.frame_videos(NUM_VIDEOS)))


def joined(batches):
    batches = list(batches)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@pytest.fixture(scope="module")
def alone(trained, shards):
    """What each network predicts alone, not calibrated."""
    return [joined(runs.LoadedNetwork(run, make_strategy(), keep_predictions=True).predict(shards)) for run in trained]


@pytest.fixture(scope="module")
def thresholds(alone):
    """At which the first network answers some videos, the second some more, and the last the rest."""
    confidence = [expected_average_precision(calibrated(*pair)) for pair in zip(alone, cascades.MAPS)]
    first = np.sort(confidence[0])
    rest = np.sort(confidence[1][confidence[0] < first[7:9].mean()])
    return [float(first[7:9].mean()), float(rest[3:5].mean())]


def calibrated(found, pair):
    return np.asarray(Calibration(*pair)(found["scores"]))


@pytest.fixture(scope="module")
def loaded(folder, trained, thresholds):
    cascade = cascades.save_cascade(folder / "some", trained, thresholds)
    return runs.LoadedCascade(cascade, make_strategy(), keep_predictions=True)


def expected_stage(alone, thresholds):
    confidence = [expected_average_precision(calibrated(*pair)) for pair in zip(alone, cascades.MAPS)]
    limits = [np.inf if limit is None else limit for limit in thresholds]
    return np.where(confidence[0] >= limits[0], 0, np.where(confidence[1] >= limits[1], 1, 2))


def assert_rows(found, alone, stage):
    assert [video_id.decode() for video_id in found["video_id"]] == [f"v{i:03d}" for i in range(NUM_VIDEOS)]
    np.testing.assert_array_equal(found["stage"], stage)
    for row, index in enumerate(stage):
        pair, network = cascades.MAPS[index], alone[index]
        np.testing.assert_array_equal(found["classes"][row], network["classes"][row])
        np.testing.assert_allclose(found["scores"][row], calibrated(network, pair)[row], rtol=2e-6)
        all_scores = np.asarray(Calibration(*pair)(network["predictions"][row]))
        np.testing.assert_allclose(found["predictions"][row], all_scores, rtol=2e-6)
        np.testing.assert_allclose(found["perr"][row], network["perr"][row])
        labels = network["labels"][row]
        loss = -(labels * np.log(all_scores + 1e-5) + (1 - labels) * np.log(1 - all_scores + 1e-5)).sum()
        np.testing.assert_allclose(found["losses"][row], loss, rtol=1e-4)


def test_every_video_has_the_calibrated_predictions_of_the_network_that_answers_it(loaded, shards, alone, thresholds):
    found = joined(loaded.predict(shards, WINDOW))
    stage = expected_stage(alone, thresholds)
    assert set(stage) == {0, 1, 2}
    assert_rows(found, alone, stage)
    assert "encoding" not in found
    frames = np.minimum(alone[0]["stored_frames"][:, None], [2, 4, 7]).cumsum(axis=1)[np.arange(NUM_VIDEOS), stage]
    np.testing.assert_array_equal(found["frames_read"], frames)
    costs = [[network.network.multiply_adds(n) for network in loaded.networks] for n in range(10)]
    by_hand = [
        sum(costs[min(stored, k)][index] for index, k in enumerate((2, 4, 7)) if index <= last)
        for stored, last in zip(found["stored_frames"], stage)
    ]
    np.testing.assert_allclose(found["multiply_adds"], by_hand)
    assert loaded.usage.videos.tolist() == np.bincount(stage).tolist() and loaded.usage.frames == frames.sum()
    about = loaded.about()
    assert about["mean_frames"] == frames.mean() and about["mean_multiply_adds"] == pytest.approx(np.mean(by_hand))
    assert [each["videos"] for each in about["stages"]] == np.bincount(stage).tolist()


def combined_answers(alone):
    """What each network answers if it counts those before: float64 [network][video, class], by the formula."""
    answers, before = [], None
    for found, (a, b, c) in zip(alone, cascades.COMBINED_MAPS):
        p = np.float64(found["predictions"])
        z = a * np.log(p / (1 - p)) + b + (0 if before is None else c * np.log(before / (1 - before)))
        answers.append(before := 1 / (1 + np.exp(-z)))
    return answers


@pytest.mark.parametrize("keep_predictions", [True, False])
def test_an_answer_counts_those_of_the_networks_before(folder, trained, shards, alone, keep_predictions):
    answers = combined_answers(alone)
    confidence = [expected_average_precision(-np.sort(-each, axis=1)) for each in answers]
    thresholds = [float(np.sort(each)[5:7].mean()) for each in confidence[:2]]
    cascade = cascades.save_cascade(folder / f"combined_{keep_predictions}", trained, thresholds, cascades.COMBINED_MAPS)
    found = joined(runs.LoadedCascade(cascade, make_strategy(), keep_predictions=keep_predictions).predict(shards, WINDOW))
    stage = np.where(confidence[0] >= thresholds[0], 0, np.where(confidence[1] >= thresholds[1], 1, 2))
    assert set(stage) == {0, 1, 2}
    np.testing.assert_array_equal(found["stage"], stage)
    expected = np.stack(answers)[stage, np.arange(NUM_VIDEOS)]
    order = np.argsort(-expected, axis=1)
    np.testing.assert_array_equal(found["classes"], order)
    np.testing.assert_allclose(found["scores"], np.take_along_axis(expected, order, axis=1), rtol=1e-4)
    labels = found["labels"]
    losses = -(labels * np.log(expected + 1e-5) + (1 - labels) * np.log(1 - expected + 1e-5)).sum(axis=1)
    np.testing.assert_allclose(found["losses"], losses, rtol=1e-4)
    assert ("predictions" in found) == keep_predictions
    if keep_predictions:
        np.testing.assert_allclose(found["predictions"], expected, rtol=1e-4)


@pytest.mark.parametrize("limits, index", [((ALWAYS, NEVER), 0), ((NEVER, NEVER), 2)])
def test_extreme_thresholds_give_one_network_for_all_videos(loaded, shards, alone, limits, index, monkeypatch):
    stages = [stage.replace(threshold=limit) for stage, limit in zip(loaded.cascade.settings.stages, (*limits, None))]
    settings = loaded.cascade.settings.replace(stages=tuple(stages))
    monkeypatch.setattr(loaded, "cascade", dataclasses.replace(loaded.cascade, settings=settings))
    assert_rows(joined(loaded.predict(shards, WINDOW)), alone, np.full(NUM_VIDEOS, index))


def test_only_videos_that_go_on_are_parsed_for_later_networks(loaded, shards, alone, thresholds, monkeypatch):
    stage, parsed = expected_stage(alone, thresholds), []
    for network in loaded.networks[1:]:
        monkeypatch.setattr(network, "make_parser", counting(network.make_parser, parsed, network.run.folder.name))
    list(loaded.predict(shards, WINDOW))
    for index, name in ((1, "middle"), (2, "large")):
        assert sum(count for parser, count in parsed if parser == name) == np.count_nonzero(stage >= index)


def counting(make_parser, parsed, name):
    def make(*arguments):
        parser = make_parser(*arguments)

        def parse(records):
            if hasattr(records.serialized, "numpy"):  # not while a dataset is traced
                parsed.append((name, len(records.serialized)))
            return parser(records)

        return parse

    return make


def test_small_batches_of_later_networks_change_nothing(loaded, shards, alone, thresholds, monkeypatch):
    for network in loaded.networks[1:]:
        monkeypatch.setattr(network, "batch_size", 2)
    assert_rows(joined(loaded.predict(shards, NUM_VIDEOS)), alone, expected_stage(alone, thresholds))


@pytest.mark.slow
def test_metrics_and_top_k_are_those_of_the_rows(folder, trained, shards, thresholds, loaded):
    small = runs.LoadedCascade(loaded.cascade, make_strategy(), top_k=2, for_metrics=False)
    found, expected = joined(small.predict(shards, WINDOW)), joined(loaded.predict(shards, WINDOW))
    assert found["scores"].shape == (NUM_VIDEOS, 2) and "losses" not in found
    np.testing.assert_allclose(found["scores"], expected["scores"][:, :2], rtol=2e-6)
    metrics = loaded.evaluate(shards, WINDOW, Evaluator(commands.NUM_CLASSES))
    assert metrics["loss"] == pytest.approx(expected["losses"].mean(), rel=1e-6) and metrics["num_videos"] == NUM_VIDEOS


@pytest.mark.parametrize("stop_after", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_resumed_csv_is_identical_to_an_uninterrupted_one(loaded, shards, tmp_path, monkeypatch, stop_after):
    whole = predictions.predict_to_csv(tmp_path / "whole.csv", loaded, shards, WINDOW)
    append, batches = predictions._Rows.append, []

    def stop(rows, batch):
        append(rows, batch)
        batches.append(batch)
        if len(batches) == stop_after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(predictions._Rows, "append", stop)
        with pytest.raises(KeyboardInterrupt):
            predictions.predict_to_csv(tmp_path / "p.csv", loaded, shards, WINDOW)
    written = predictions.predict_to_csv(tmp_path / "p.csv", loaded, shards, WINDOW)
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert written.stages == whole.stages and sum(whole.stages) == written.notes.num_videos == NUM_VIDEOS


def test_partial_predictions_of_other_thresholds_are_refused(loaded):
    settings = loaded.row_settings()
    assert settings["network 1"]["threshold"] == loaded.cascade.settings.stages[0].threshold
    assert settings["network 3"]["weights"].startswith("step 5, ") and settings["top_k"] == 5


@pytest.mark.slow
def test_bad_records_and_excluded_ones_are_treated_as_by_a_network(loaded, tmp_path):
    videos = commands.frame_videos(6)
    videos[4] = records.frame_record({"rgb": [b"123"], "audio": [b"12"]}, b"bad", [1])
    path = records.write(tmp_path / "bad.tfrecord", videos)
    with pytest.raises(BadRecordError, match=f"file {path}, record 4: "):
        list(loaded.predict(find_files(path), 3))
    (shard,) = find_files(path)
    found = joined(loaded.predict([dataclasses.replace(shard, excluded=(4,))], 3))
    assert found["record"].tolist() == [0, 1, 2, 3, 5]


def test_a_prediction_of_a_later_network_that_is_not_finite_is_refused_with_its_place(loaded, shards, alone, thresholds):
    row, weight = int(np.argmax(expected_stage(alone, thresholds) == 2)), loaded.networks[2].network.weights[-1]
    before = weight.numpy()
    weight.assign(np.full_like(before, np.nan))
    try:
        with pytest.raises(ValueError, match=f"predictions of the network of step 5 in .*large for video b'v{row:03d}'"):
            list(loaded.predict(shards, WINDOW))
    finally:
        weight.assign(before)


@pytest.mark.slow
def test_two_devices_give_the_rows_of_one(loaded, shards, alone, thresholds):
    strategy = make_strategy(devices=["/cpu:0", "/cpu:1"])
    other = runs.LoadedCascade(loaded.cascade, strategy, keep_predictions=True)
    assert_rows(joined(other.predict(shards, 5)), alone, expected_stage(alone, thresholds))


@pytest.mark.slow
def test_two_devices_give_the_combined_answers_of_one(folder, trained, shards):
    cascade = cascades.save_cascade(folder / "two_devices", trained, [NEVER, NEVER], cascades.COMBINED_MAPS)
    one, two = (
        joined(runs.LoadedCascade(cascade, make_strategy(devices=devices), keep_predictions=True).predict(shards, 5))
        for devices in (["/cpu:0"], ["/cpu:0", "/cpu:1"])
    )
    assert set(one["stage"]) == {2}
    for name in ("scores", "predictions", "losses", "perr"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5)


def test_a_first_network_that_counts_others_is_refused(folder, trained):
    with pytest.raises(ValueError, match="c=0.5: must be 0 for the first network, which has none before it"):
        cascades.save_cascade(folder / "wrong", trained, [NEVER, NEVER], ((1.0, 0.0, 0.5), *cascades.COMBINED_MAPS[1:]))


@pytest.mark.slow
def test_a_gate_decides_by_the_encoding(folder, trained, shards, alone):
    pair = trained[0], trained[2]
    weights = np.float32([3.0, -2.0, 1.0, 0.5])
    encoding = joined(runs.LoadedNetwork(pair[0], make_strategy(), keep_encoding=True).predict(shards))["encoding"]
    gate = Gate(weights, float(-np.median(encoding @ weights)))
    cascade = cascades.save_cascade(folder / "gated", pair, [0.5], criterion="gate", gates=[gate])
    found = joined(runs.LoadedCascade(runs.open_cascade(cascade.folder), make_strategy()).predict(shards, WINDOW))
    helps = encoding @ weights > np.median(encoding @ weights)
    assert found["stage"].tolist() == helps.astype(int).tolist() and 0 < helps.sum() < NUM_VIDEOS


# ---- runs that moved or changed


def test_the_runs_are_found_after_all_was_moved_and_after_the_cascade_was(folder, trained, tmp_path):
    cascades.save_cascade(tmp_path / "a/cascade", cascades.save_runs(tmp_path / "a/runs"), [0.5])
    shutil.copytree(tmp_path / "a/cascade", tmp_path / "deep/er/still/cascade")
    found = runs.open_cascade(tmp_path / "deep/er/still/cascade").open_runs()
    assert [run.folder for run in found] == [tmp_path / "a/runs/small", tmp_path / "a/runs/large"]
    (tmp_path / "a").rename(tmp_path / "b")
    found = runs.open_cascade(tmp_path / "b/cascade").open_runs()
    assert [run.folder for run in found] == [tmp_path / "b/runs/small", tmp_path / "b/runs/large"]
    shutil.rmtree(tmp_path / "b/runs/large")
    with pytest.raises(FileNotFoundError, match="a/runs/large' is not a training directory: it does not exist"):
        runs.open_cascade(tmp_path / "b/cascade").open_runs()


def test_a_run_with_other_weights_is_refused_by_the_difference(tmp_path):
    trained = cascades.save_runs(tmp_path / "runs")
    cascade = cascades.save_cascade(tmp_path / "cascade", trained, [0.5])
    commands.save_checkpoint(trained[1], 9)
    words = r"was built with another network than .*runs/large holds now: weights \(step 4, .* there, step 9, .* here\)"
    with pytest.raises(ValueError, match=words):
        runs.LoadedCascade(cascade, make_strategy())
