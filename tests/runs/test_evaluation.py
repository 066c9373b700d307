import numpy as np
import pytest

from tests import commands, networks, records
from youtube8m_distill import runs
from youtube8m_distill.data.bad_records import BadRecordError
from youtube8m_distill.data.sources import find_files
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.training.strategy import make_strategy


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch):
    commands.use_quick_encoder(monkeypatch)


@pytest.fixture
def run(tmp_path):
    return commands.save_run(tmp_path / "run", networks.frame_level(), steps=(3, 7))


@pytest.fixture
def shards(tmp_path):
    return find_files(commands.write_files(tmp_path / "data", "v", commands.frame_videos(9)))


@pytest.mark.parametrize("devices", [None, ["/cpu:0", "/cpu:1"]])
def test_every_video_comes_once_and_in_order_with_the_networks_own_predictions(run, shards, devices):
    network = runs.LoadedNetwork(run, make_strategy(devices=devices), checkpoint="3", keep_predictions=True)
    batches = list(network.predict(shards, batch_size=4))
    expected, _ = run.load_network(checkpoint=3)
    by_hand = list(commands.batches_by_hand(shards, frames=7))
    assert [list(batch.video_ids) for batch in batches] == [[i.encode() for i in ids] for ids, _, _ in by_hand]
    for found, (_, batch, labels) in zip(batches, by_hand, strict=True):
        np.testing.assert_allclose(found.predictions, networks.outputs(expected, batch)["predictions"], 1e-5)
        np.testing.assert_array_equal(found.labels, labels)
    assert (network.role, network.progress.step, network.videos_per_second > 0) == ("teacher", 3, True)


def test_one_batch_alone_gives_no_rate(run, shards):
    network = runs.LoadedNetwork(run, make_strategy())
    assert len(list(network.predict(shards, batch_size=9))) == 1 and network.videos_per_second is None


def test_metrics_do_not_depend_on_the_batch_size(run, shards):
    network = runs.LoadedNetwork(run, make_strategy())
    found = [network.evaluate(shards, size, Evaluator(commands.NUM_CLASSES)) for size in (2, 9)]
    assert found[0] == pytest.approx(found[1]) and found[0]["num_videos"] == 9


@pytest.mark.parametrize("given, expected", [(None, "float32"), (False, "float32"), (True, "bfloat16")])
def test_the_precision_is_the_trained_ones_unless_given(run, given, expected):
    network = runs.LoadedNetwork(run, make_strategy(), mixed_precision=given).network
    assert (network.compute_dtype, network.classifier.compute_dtype) == (expected, "float32")


def test_a_bad_record_is_named(run, tmp_path):
    path = records.write(tmp_path / "bad", [records.frame_record(records.random_frames(2), labels=[9])])
    with pytest.raises(BadRecordError, match=f"file {path}, record 0: "):
        list(runs.LoadedNetwork(run, make_strategy()).predict(find_files(path), 2))


def test_a_network_that_the_run_has_not_trained_is_refused(run):
    with pytest.raises(ValueError, match="network='student'"):
        runs.LoadedNetwork(run, make_strategy(), "student")
