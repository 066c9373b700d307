"""Trials on segments are trained on their files, and scored on the rated segments of others."""

import json

import numpy as np
import pytest

from reproduce import segment_worker, settings
from reproduce.results import path_of, read_results
from reproduce.segment_settings import SEGMENTS, SegmentSettings
from reproduce.segment_trials import DBOF, FINETUNED, MIX, PRETRAINED, SCRATCH, SegmentTrial
from reproduce.segment_worker import SegmentWorker, dummy_map, read_losses, thinned
from tests import commands
from tests.reproduce.made_up_segments import write_segments
from tests.reproduce.test_segment_settings import TINY
from youtube8m_distill import config, runs
from youtube8m_distill.data.rated_segments import RatedSegments
from youtube8m_distill.engine.scalars import ScalarWriter
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.metrics.evaluate import Evaluator

MIXTURE = SegmentTrial(MIX, FINETUNED, 20.0)


@pytest.fixture
def worker(tmp_path):
    data = write_segments(tmp_path / "data")
    features = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3))
    values = SegmentSettings(
        train_data_pattern=f"{data}/train*.tfrecord",
        finetune_data_pattern=f"{data}/validate0.tfrecord",
        eval_data_pattern=f"{data}/validate1.tfrecord",
        features=features,
        num_classes=commands.NUM_CLASSES,
        network=TINY,
        training={"batch_size": 4, "num_epochs": 3, "base_learning_rate": 0.01},
        finetuning={"batch_size": 4, "num_epochs": 6, "base_learning_rate": 0.01},
    )
    shards = runs.find_shards("eval_data_pattern", values.eval_data_pattern, features)
    return SegmentWorker(tmp_path / "out", values, make_strategy(), shards, {"machine": "this one"})


@pytest.mark.slow
def test_a_mixture_is_pretrained_fine_tuned_and_scored_as_a_whole_and_one_network_alone(worker, monkeypatch):
    dbof = SegmentTrial(DBOF, SCRATCH)
    assert worker.work([MIXTURE, dbof]) == {}
    results = read_results(worker.folder)
    assert {result.trial for result in results} == {MIXTURE, MIXTURE.prerequisite, dbof}
    result = results.get(MIXTURE)
    folder = settings.run_folder(worker.folder, MIXTURE)
    for role, run in (("teacher", folder), ("extracted", folder.with_name(f"{folder.name}-extracted"))):
        loaded = runs.LoadedNetwork(runs.open_run(run), worker.strategy, reading=SEGMENTS, keep_predictions=True)
        with Evaluator(commands.NUM_CLASSES, segment_classes=tuple(range(commands.NUM_CLASSES))) as evaluator:
            measures = loaded.evaluate(worker.rated_shards, None, evaluator)
        assert measures.items() <= result.networks[role].items() and measures["num_rated"] == 16  # 8 videos of 2 segments
    assert result.networks["teacher"]["parameters"] > 3 * result.networks["extracted"]["parameters"]
    steps = [step for step, _ in result.losses["online_distillation_loss"]]
    assert {10, 20} < set(steps) and steps == sorted(steps) and steps[-1] == 24  # 6 epochs of 16 segments
    pretrained = results.get(MIXTURE.prerequisite)
    assert pretrained.networks["teacher"]["num_videos"] == 8 and pretrained.networks["teacher"]["num_rated"] == 16
    assert json.loads(path_of(worker.folder, MIXTURE).read_text())["config"]["init_from"].endswith(MIXTURE.prerequisite.name)
    before = path_of(worker.folder, MIXTURE).read_bytes()
    monkeypatch.setattr(runs, "train_run", lambda *_: pytest.fail("trained again"))
    assert worker.work([MIXTURE, dbof]) == {}
    assert path_of(worker.folder, MIXTURE).read_bytes() == before


def test_a_mixture_whose_pretraining_failed_is_not_fine_tuned(worker, monkeypatch):
    def diverge(*_):
        raise FloatingPointError("step 3: the loss is nan")

    monkeypatch.setattr(worker, "_train_and_evaluate", diverge)
    assert worker.work([MIXTURE])[MIXTURE] == "MixNeXtVLAD-pretrained-seed0, which it needs, could not be trained"


def test_a_network_that_was_extracted_before_a_kill_is_used(worker, monkeypatch, tmp_path):
    network = config.network_config(
        "NeXtVLADModel", 5, config.FeatureConfig(sizes=(6, 3)), nextvlad_cluster_size=4, groups=2
    )
    run = commands.save_run(tmp_path / "a-run-extracted", network)
    monkeypatch.setattr(runs, "extract", lambda *_: pytest.fail("extracted again"))
    found = worker._extracted(MIXTURE, runs.Run(tmp_path / "a-run", run.config))
    assert found.folder == run.folder


def slow_dummy_map(of_video, rated, num_classes):
    """The mean over classes of the mean precision at the positives, from the definition."""
    scores = []
    for c in range(num_classes):
        pairs = [(v, s, p) for v, s, k, p in zip(*rated) if k == c]
        pairs.sort(key=lambda pair: (-of_video[pair[0]][c], pair[0], pair[1]))
        hits = [bool(positive) for _, _, positive in pairs]
        if any(hits):
            precisions = [sum(hits[: k + 1]) / (k + 1) for k, hit in enumerate(hits) if hit]
            scores.append(sum(precisions) / sum(hits))
    return sum(scores) / len(scores)


def test_the_dummy_prediction_agrees_with_a_slow_loop():
    random = np.random.default_rng(0)
    videos = [b"%04d" % number for number in range(20)]
    of_video = {video: random.integers(4, size=3) / 4 for video in videos}  # many equal predictions
    pairs = [(video, 5 * s, c, bool(random.integers(2))) for video in videos for s in range(3) for c in range(3)]
    ids, starts, classes, positive = zip(*pairs)
    rated = RatedSegments(np.array(ids, object), np.array(starts), np.array(classes), np.array(positive))
    found = dummy_map(of_video, rated, (0, 1, 2))
    assert found.map_at_k == pytest.approx(slow_dummy_map(of_video, rated, 3))
    assert found.num_rated.tolist() == [60, 60, 60]
    assert dummy_map(of_video, rated, (1,)).num_rated.tolist() == [60]


def test_losses_are_read_from_tensorboard_and_the_last_value_of_a_step_counts(tmp_path):
    for values in (((10, 4.0), (20, 3.0)), ((20, 2.0), (30, 1.0))):  # the second run was resumed after step 10
        writer = ScalarWriter(tmp_path)
        for step, value in values:
            writer.write("loss/label_loss", value, step)
            writer.write("train/gap_at_20", 0.5, step)
        writer.close()
    assert read_losses(tmp_path) == {"label_loss": [(10, 4.0), (20, 2.0), (30, 1.0)]}


@pytest.mark.parametrize("most, expected", [(2, [(20, 2.0), (30, 5.0)]), (3, [(10, 1.0), (20, 3.0), (30, 5.0)])])
def test_a_long_curve_is_thinned_to_means_of_groups(most, expected):
    assert thinned([(10, 1.0), (20, 3.0), (30, 5.0)], most) == expected
    assert thinned([], most) == []


def test_a_result_keeps_at_most_500_points_of_a_curve(tmp_path, monkeypatch):
    assert segment_worker.MAX_POINTS == 500
    assert len(thinned([(step, 1.0) for step in range(50_001)], segment_worker.MAX_POINTS)) <= 500


def test_pretraining_is_scored_by_the_dummy_prediction(worker, monkeypatch):
    monkeypatch.setattr(worker, "_score_dummy", lambda run: "dummy")
    monkeypatch.setattr(worker, "_score_segments", lambda run: "segments")
    assert worker._evaluate(SegmentTrial(MIX, PRETRAINED), None, "teacher") == "dummy"
    assert worker._evaluate(MIXTURE, None, "teacher") == "segments"
