import dataclasses

import numpy as np
import pytest

from tests import commands, networks, records
from youtube8m_distill import config, runs
from youtube8m_distill.data.bad_records import BadRecordError
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.runs.tagger import Done


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch):
    commands.use_quick_encoder(monkeypatch)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        commands.use_quick_encoder(monkeypatch)
        return commands.save_run(tmp_path_factory.mktemp("trained") / "run", networks.frame_level(), steps=(3, 7))


@pytest.fixture(scope="module")
def loaded(run):
    with pytest.MonkeyPatch.context() as monkeypatch:
        commands.use_quick_encoder(monkeypatch)
        return runs.LoadedNetwork(run, make_strategy())


@pytest.fixture
def shards(tmp_path):
    return find_files(commands.write_files(tmp_path / "data", "v", commands.frame_videos(9)))


@pytest.mark.parametrize("devices", [None, pytest.param(["/cpu:0", "/cpu:1"], marks=pytest.mark.slow)])
def test_every_video_comes_once_in_order_with_its_predictions(run, shards, devices):
    network = runs.LoadedNetwork(run, make_strategy(devices=devices), checkpoint="3", keep_predictions=True)
    batches = list(network.predict(shards, batch_size=4))
    expected, _ = run.load_network(checkpoint=3)
    by_hand = list(commands.batches_by_hand(shards, frames=7))
    assert [list(batch["video_id"]) for batch in batches] == [[i.encode() for i in ids] for ids, _, _ in by_hand]
    for found, (_, batch, labels) in zip(batches, by_hand, strict=True):
        np.testing.assert_allclose(found["predictions"], networks.outputs(expected, batch)["predictions"], 1e-5)
        np.testing.assert_array_equal(found["labels"], labels)
    assert (network.role, network.progress.step, network.videos_per_second > 0) == ("teacher", 3, True)


def test_metrics_do_not_depend_on_the_batch_size(loaded, shards):
    found = [loaded.evaluate(shards, size, Evaluator(commands.NUM_CLASSES)) for size in (2, 9)]
    assert found[0] == pytest.approx(found[1]) and found[0]["num_videos"] == 9
    assert loaded.videos_per_second is None  # a single batch gives no rate


@pytest.mark.parametrize("given, expected", [(None, "float32"), (False, "float32"), (True, "bfloat16")])
def test_the_precision_is_that_of_the_training_unless_given(run, given, expected):
    network = runs.LoadedNetwork(run, make_strategy(), mixed_precision=given).network
    assert (network.compute_dtype, network.classifier.compute_dtype) == (expected, "float32")


def test_a_bad_record_is_named(loaded, tmp_path):
    path = records.write(tmp_path / "bad", [records.frame_record(records.random_frames(2), labels=[9])])
    with pytest.raises(BadRecordError, match=f"file {path}, record 0: "):
        list(loaded.predict(find_files(path), 2))


def test_a_network_that_the_run_has_not_trained_is_refused(run):
    with pytest.raises(ValueError, match="network=student"):
        runs.LoadedNetwork(run, make_strategy(), "student")


# ---- facts about the records


def test_prediction_resumes_after_what_is_done_and_gives_the_place_of_each_video(run, tmp_path):
    lengths = [3, 301, 300, 2, 400, 7, 1, 305, 4]
    path = commands.write_files(
        tmp_path / "data",
        "v",
        [
            records.frame_record(records.random_frames(length), commands.video_id(number))
            for number, length in enumerate(lengths)
        ],
        files=3,
    )
    shards = find_files(path)
    shards = (shards[0], dataclasses.replace(shards[1], excluded=(2,)), shards[2])
    network = runs.LoadedNetwork(run, make_strategy(), for_metrics=False)
    whole = list(network.predict(shards, 2))
    assert network.notes.totals.tolist() == [3, 0, 0, 0, 0] and network.notes.num_videos == 8
    assert [batch["shard"].tolist() for batch in whole] == [[0, 0], [0, 1], [1, 2], [2, 2]]
    assert [batch["record"].tolist() for batch in whole] == [[0, 1], [2, 0], [1, 0], [1, 2]]
    assert np.concatenate([batch["stored_frames"] for batch in whole]).tolist() == lengths[:5] + lengths[6:]
    rest = list(network.predict(shards, 2, done=Done(4, 1, 1)))
    assert network.notes.totals[0] == 2
    for found, expected in zip(rest, whole[2:], strict=True):
        for name in ("video_id", "shard", "record", "classes", "scores"):
            np.testing.assert_array_equal(found[name], expected[name])


def test_a_duplicate_id_is_refused_with_both_places(loaded, shards, tmp_path):
    records.write(
        tmp_path / "data" / "v5.tfrecord",
        [records.frame_record(records.random_frames(3), video_id) for video_id in (b"new", b"v007")],
    )
    shards = find_files(f"{tmp_path}/data/*")
    with pytest.raises(
        ValueError,
        match=rf"file {shards[2].path}, record 1: video id b'v007' is a duplicate of file "
        f"{shards[1].path}, record 2. Every video counts once: exclude one of the two",
    ):
        loaded.evaluate(shards, 4, Evaluator(commands.NUM_CLASSES))


@pytest.mark.parametrize("for_metrics", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_prediction_that_is_not_finite_is_refused_with_its_place(run, shards, for_metrics):
    network = runs.LoadedNetwork(run, make_strategy(), for_metrics=for_metrics)
    network.network.weights[-1].assign(np.full(network.network.weights[-1].shape, np.nan, np.float32))
    with pytest.raises(
        ValueError,
        match=f"file {shards[0].path}, record 0: the predictions of the network of step 7 in {run.folder} "
        "for video b'v000' are not finite. Choose another --checkpoint",
    ):
        list(network.predict(shards, 4))


def test_only_equal_weights_have_the_same_fingerprint(run):
    network, again = (runs.LoadedNetwork(run, make_strategy(), for_metrics=False) for _ in range(2))
    first = network.fingerprint()
    assert again.fingerprint() == first and first.startswith("step 7, sha256 ")
    again.restore(3)
    assert again.fingerprint().startswith("step 3, sha256 ")
    again.restore(7)
    last = again.network.weights[-1]
    last.assign(last + 1e-6)
    assert again.fingerprint() != first


@pytest.mark.parametrize("max_videos", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_encodings_are_those_of_the_first_videos_without_dropout(tmp_path, max_videos):
    view = config.FrameView(frame_selection="first", frames_per_video=4)
    network = networks.frame_level(view=view, dropout=0.5)
    run = commands.save_run(tmp_path / "run", network)
    shards = runs.find_shards(
        "eval", commands.write_files(tmp_path / "data", "eval", commands.frame_videos(7)), network.features
    )
    loaded = runs.LoadedNetwork(run, make_strategy())
    found = runs.read_encodings(loaded, shards, max_videos)
    ((ids, batch, labels),) = commands.batches_by_hand(shards, 4, batch_size=7)
    size = min(max_videos, 7)
    assert [video_id.decode() for video_id in found.video_ids] == ids[:size]
    np.testing.assert_array_equal(found.labels, labels[:size])
    np.testing.assert_allclose(found.encodings, networks.outputs(loaded.network, batch)["encoding"][:size], rtol=1e-6)


@pytest.mark.slow
def test_prediction_resumes_at_the_end_of_a_file(run, tmp_path):
    paths = commands.write_files(tmp_path, "test", commands.frame_videos(4), files=2)
    shards, network = find_files(paths), runs.LoadedNetwork(run, make_strategy(), for_metrics=False)
    whole = list(network.predict(shards, 2))
    rest = list(network.predict(shards, 2, done=Done(2, 0, 2)))  # every record of the first file is done
    assert [batch["video_id"].tolist() for batch in rest] == [whole[1]["video_id"].tolist()]
