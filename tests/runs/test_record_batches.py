"""The batches of several processes are those of one process, whatever the files hold."""

import numpy as np
import pytest

from tests import cascades, commands, networks, records
from youtube8m_distill import config, runs
from youtube8m_distill.data.contents import find_layout
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.tfrecord import Shard, count_records, count_whole, record_starts
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.export.kaggle import HEADER
from youtube8m_distill.runs.record_batches import RecordBatches, predict_batches

SIZE = 4
NETWORK = networks.frame_level(
    "FrameLevelLogisticModel", view=config.FrameView(frame_selection="uniform", frames_per_video=4)
)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    run = commands.save_run(tmp_path_factory.mktemp("run"), NETWORK)
    return runs.LoadedNetwork(run, make_strategy(), for_metrics=False)


def batches_of(shards, size=SIZE):
    return RecordBatches(shards, [count_records([shard]) for shard in shards], size)


def predicted(tagger, shards, wanted=None):
    """The lines and the faults of some batches, of all by default."""
    batches, layout = batches_of(shards), find_layout(shards, tagger.configs[0].features)
    found = list(predict_batches(tagger, batches, wanted or range(len(batches)), layout))
    return [line for part in found for line in part.lines], [fault for part in found for fault in part.faults]


def read_by_hand(shard):
    """The numbers of the records that a Shard of 10 records gives."""
    return [number for number in range(10) if number not in shard.excluded and number < (shard.readable or 10)]


@pytest.mark.parametrize("excluded", [(), (0,), (3,), (0, 1, 2), (2, 9), tuple(range(10))])
@pytest.mark.parametrize("readable", [None, 7])
def test_batches_hold_every_record_once_and_cross_files(excluded, readable):
    shards = [
        Shard("a", "", 10, excluded, readable),
        Shard("b", "", 10, (5,)),
        Shard("c", "", 10, tuple(range(10))),
        Shard("d", "", 10),
    ]
    every = [(shard.path, number) for shard in shards for number in read_by_hand(shard)]
    counts = [len(read_by_hand(shard)) for shard in shards]
    for size in (1, 3, 4, 100):
        batches = RecordBatches(shards, counts, size)
        assert len(batches) == -(-len(every) // size)
        for first, last in [(0, 1), (1, 2), (0, len(batches)), (1, len(batches)), (len(batches) - 1, len(batches))]:
            found = [(part.path, n) for part in batches.records_of(range(first, last)) for n in read_by_hand(part)]
            assert found == every[first * size : last * size]
        assert sum(map(batches.num_records, range(len(batches)))) == len(every)


@pytest.mark.slow
def test_parts_give_the_rows_of_a_single_process(tagger, tmp_path):
    shards = find_files(commands.write_files(tmp_path, "v", commands.frame_videos(23), files=3))
    runs.predict_to_csv(tmp_path / "all.csv", tagger, shards, SIZE)
    parts = [predicted(tagger, shards, wanted) for wanted in (range(0, 1), range(1, 4), range(4, 6))]
    assert [len(lines) for lines, _ in parts] == [4, 12, 7] and not any(faults for _, faults in parts)
    assert HEADER + b"".join(line for lines, _ in parts for line in lines) == (tmp_path / "all.csv").read_bytes()


@pytest.mark.slow
def test_bad_records_are_left_out_and_reported(tagger, tmp_path):
    videos = commands.frame_videos(23)
    no_frames = records.frame_record({"rgb": [], "audio": []}, b"none")
    bad = [b"garbage" if number == 5 else no_frames if number in (9, 10) else video for number, video in enumerate(videos)]
    shards = find_files(commands.write_files(tmp_path, "bad", bad, files=3))
    lines, faults = predicted(tagger, shards)
    ids = [line.partition(b",")[0] for line in lines]
    assert ids == [commands.video_id(number) for number in range(23) if number not in (5, 9, 10)]
    assert [(fault.path, fault.record) for fault in faults] == [
        (shards[0].path, 5),
        (shards[1].path, 1),
        (shards[1].path, 2),
    ]
    assert "neither a SequenceExample nor an Example" in faults[0].reason and "no frames under 'rgb'" in faults[1].reason


@pytest.mark.slow
def test_the_rows_of_other_batches_do_not_change_with_a_bad_record(tagger, tmp_path):
    videos = commands.frame_videos(12)
    expected, _ = predicted(tagger, find_files(commands.write_files(tmp_path, "good", videos, files=1)))
    bad = [*videos[:4], *[b"garbage"] * 4, *videos[8:]]
    lines, faults = predicted(tagger, find_files(commands.write_files(tmp_path, "bad", bad, files=1)))
    assert lines == [*expected[:4], *expected[8:]] and [fault.record for fault in faults] == [4, 5, 6, 7]


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_a_file_that_is_cut_short_is_read_to_its_last_whole_record(tagger, compression, tmp_path):
    shards = find_files(commands.write_files(tmp_path, "v", commands.frame_videos(20), 2, compression))
    content = open(shards[0].path, "rb").read()
    with open(shards[0].path, "wb") as file:
        file.write(content[: -len(content) // 3])
    shards = find_files(f"{tmp_path}/v*.tfrecord")
    number, is_damaged = count_whole(shards[0])
    assert 4 < number < 9 and is_damaged and count_whole(shards[1]) == (10, False)
    batches = RecordBatches(shards, [number, 10], SIZE)
    layout = find_layout(shards, NETWORK.features)
    lines = [line for part in predict_batches(tagger, batches, range(len(batches)), layout) for line in part.lines]
    ids = [line.partition(b",")[0] for line in lines]
    assert ids == [commands.video_id(place) for place in (*range(number), *range(10, 20))]


@pytest.mark.slow
def test_what_follows_a_damaged_record_is_reported_once(tagger, tmp_path):
    shards = find_files(commands.write_files(tmp_path, "v", commands.frame_videos(20), 2))
    content = bytearray(open(shards[0].path, "rb").read())
    content[list(record_starts(shards[0]))[5] + 20] ^= 1  # in the record, so that its checksum is wrong
    with open(shards[0].path, "wb") as file:
        file.write(content)
    lines, faults = predicted(tagger, shards)
    ids = [line.partition(b",")[0] for line in lines]
    assert ids == [commands.video_id(place) for place in (*range(5), *range(10, 20))]
    assert [(fault.path, fault.record) for fault in faults] == [(shards[0].path, 5)]
    assert faults[0].reason.startswith("from here on damaged")
    # Of another part, in which no record of this file can be read.
    assert predicted(tagger, shards, range(2, 3)) == (lines[5:7], [])


def test_predictions_that_are_not_finite_are_reported(tagger, tmp_path, monkeypatch):
    shards = find_files(commands.write_files(tmp_path, "v", commands.frame_videos(8), 2))
    run_batches = tagger.run_batches

    def not_finite(*arguments):
        for batch in run_batches(*arguments):
            yield batch | {"finite": np.array([True, False, True, True])}

    monkeypatch.setattr(tagger, "run_batches", not_finite)
    lines, faults = predicted(tagger, shards)
    assert len(lines) == 6 and [(fault.path, fault.record) for fault in faults] == [(shards[0].path, 1), (shards[1].path, 1)]
    assert faults[0].reason.startswith("the predictions of the network of step 3 in ")
    assert faults[0].reason.endswith(" for it are not finite")


def test_a_file_that_lost_records_after_they_were_counted_is_an_error(tagger, tmp_path):
    shards = find_files(commands.write_files(tmp_path, "v", commands.frame_videos(10), 1))
    batches = RecordBatches(shards, [14], SIZE)
    with pytest.raises(ValueError, match="v0.tfrecord: has changed while it was read"):
        list(predict_batches(tagger, batches, range(4), find_layout(shards, NETWORK.features)))


@pytest.mark.slow
def test_a_cascade_is_predicted_in_parts(tmp_path, quick_hrnn):
    trained = cascades.save_runs(tmp_path / "runs")
    cascade = cascades.save_cascade(tmp_path / "cascade", trained, [0.5], cascades.COMBINED_MAPS)
    loaded = runs.LoadedCascade(cascade, make_strategy(), for_metrics=False)
    shards = find_files(commands.write_files(tmp_path, "v", [*commands.frame_videos(10), b"garbage"], 2))
    lines, faults = predicted(loaded, shards)
    assert len(lines) == 10 and [fault.record for fault in faults] == [4]
