"""The expected ranking is a sort of all entries in Python."""

import os

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from youtube8m_distill import files
from youtube8m_distill.runs import segment_ranking
from youtube8m_distill.runs.segment_ranking import SegmentRanking

NUM_CLASSES = 3
# With equal first 8 bytes, zero bytes at the end, an empty one, and one that is a prefix of another.
IDS = [b"", b"\0", b"a", b"a\0", b"ab", b"b", b"\xff", b"12345678", b"12345678\0", b"123456789", b"12345678\xff"]
VALUES = [-1.0, -0.0, 0.0, 0.5, 0.5 + 2**-24, 1.0]
STARTS = [0, 5, 65_535, 65_536, 2**32 - 1]
ENTRIES = st.lists(
    st.tuples(st.sampled_from(IDS), st.sampled_from(STARTS), st.integers(0, NUM_CLASSES - 1), st.sampled_from(VALUES)),
    max_size=80,
    unique_by=lambda entry: entry[:3],
)


def add(ranking, entries):
    """Adds a batch that names its videos in the order of their first entries."""
    video_ids = list(dict.fromkeys(video_id for video_id, *_ in entries))
    videos = [video_ids.index(video_id) for video_id, *_ in entries]
    ranking.add(video_ids, videos, *([entry[place] for entry in entries] for place in (1, 2, 3)))


def expected(entries, class_index, max_per_class):
    ranked = sorted((-value, video_id, start) for video_id, start, c, value in entries if c == class_index)
    return [(video_id, start, -value) for value, video_id, start in ranked[:max_per_class]]


def found(ranking, class_index):
    ranked = ranking.ranked(class_index)
    return list(zip(ranked.video_ids, ranked.starts.tolist(), ranked.values.tolist()))


def check(ranking, entries):
    for c in range(ranking.num_classes):
        assert found(ranking, c) == expected(entries, c, ranking.max_per_class)
    assert ranking.counts.tolist() == [len(found(ranking, c)) for c in range(ranking.num_classes)]
    assert len(ranking) == sum(ranking.counts)


def made_up(count, num_values, seed=0):
    """So many entries of 200 videos, in random order, whose values are often equal."""
    random = np.random.default_rng(seed)
    places = random.choice(200 * 60 * NUM_CLASSES, count, replace=False)
    values = random.integers(0, num_values, count).astype(np.float32) / num_values
    ids = [b"video-%d" % (number // 2) + b"x" * (number % 2) for number in range(200)]
    columns = np.unravel_index(places, (200, 60, NUM_CLASSES))
    return [(ids[v], 5 * s, c, value) for v, s, c, value in zip(*(c.tolist() for c in columns), values.tolist())]


def batches_of(entries, size):
    return [entries[begin : begin + size] for begin in range(0, len(entries), size)]


@given(entries=ENTRIES, max_per_class=st.integers(1, 12), slack=st.integers(1, 5), size=st.integers(1, 80))
@example(entries=[(b"a\0", 0, 0, 0.5), (b"a", 7, 0, 0.5), (b"", 7, 0, 0.5)], max_per_class=1, slack=1, size=1)
@settings(max_examples=300)
def test_the_ranking_equals_a_sort_of_all_entries(entries, max_per_class, slack, size):
    ranking = SegmentRanking(NUM_CLASSES, max_per_class, slack)
    for batch in batches_of(entries, size):
        add(ranking, batch)
    check(ranking, entries)


@given(entries=ENTRIES, max_per_class=st.integers(1, 12), size=st.integers(1, 20), after=st.integers(0, 80))
@settings(max_examples=60)
def test_a_loaded_snapshot_continues_as_without_an_interruption(tmp_path_factory, entries, max_per_class, size, after):
    folder = tmp_path_factory.mktemp("segments") / "snapshot"
    ranking = SegmentRanking(NUM_CLASSES, max_per_class, slack=2)
    for batch in batches_of(entries[:after], size):
        add(ranking, batch)
    ranking.save(folder)
    loaded = SegmentRanking.load(folder)
    check(loaded, entries[:after])
    for batch in batches_of(entries[after:], size):
        add(loaded, batch)
        add(ranking, batch)
    check(loaded, entries)
    check(ranking, entries)


@pytest.mark.parametrize("num_values", [1, 3, 1000])
def test_many_equal_values_at_the_cut_are_ordered_exactly(num_values):
    entries = made_up(20_000, num_values)
    ranking = SegmentRanking(NUM_CLASSES, 500, slack=100)
    for batch in batches_of(entries, 3000):
        add(ranking, batch)
    check(ranking, entries)


@pytest.mark.parametrize("video_ids", [[b"a"], [b"12345678z", b"12345678a", b"12345678"]])
def test_equal_values_that_arrive_in_reverse_order_are_all_compared(video_ids):
    entries = [(video_id, start, 0, 0.5) for video_id in video_ids for start in range(99, -1, -1)]
    ranking = SegmentRanking(NUM_CLASSES, 5, slack=2)
    for batch in batches_of(entries, 3):
        add(ranking, batch)
    check(ranking, entries)


def test_rising_and_falling_values_give_the_same_ranking():
    entries = sorted(made_up(10_000, 10_000), key=lambda entry: entry[3])
    rising, falling = (SegmentRanking(NUM_CLASSES, 300, slack=50) for _ in range(2))
    add(rising, entries)
    add(falling, entries[::-1])
    check(rising, entries)
    check(falling, entries)


def test_a_batch_larger_than_a_chunk_is_added_completely(monkeypatch):
    monkeypatch.setattr(segment_ranking, "CHUNK", 100)
    entries = made_up(2_000, 50)
    ranking = SegmentRanking(NUM_CLASSES, 5_000)
    add(ranking, entries)
    check(ranking, entries)
    assert len(ranking) == 2_000


def test_ids_of_videos_without_entries_are_forgotten(monkeypatch):
    monkeypatch.setattr(segment_ranking, "UNUSED_IDS", 20)
    entries = sorted(made_up(2_000, 10_000), key=lambda entry: entry[3])
    ranking = SegmentRanking(NUM_CLASSES, 4, slack=1)
    for batch in batches_of(entries, 10):
        add(ranking, batch)
        assert len(ranking._ids) <= 20 + 2 * NUM_CLASSES * 5 + 10
    check(ranking, entries)


def test_an_entry_takes_10_bytes_or_12_if_starts_are_large():
    ranking = SegmentRanking(NUM_CLASSES, 4)
    add(ranking, [(b"a", 65_535, 0, 0.5)])
    columns = ranking._values, ranking._videos, ranking._starts
    assert sum(column.itemsize for column in columns) == 10
    add(ranking, [(b"a", 65_536, 0, 0.25)])
    assert ranking._starts.itemsize == 4
    assert found(ranking, 0) == [(b"a", 65_535, 0.5), (b"a", 65_536, 0.25)]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"values": [0.5, np.nan]}, "values must be finite. Received 1 that are NaN or infinite, the first in row 1."),
        ({"values": [np.inf, 0.5]}, "values must be finite."),
        ({"values": [[0.5, 0.5]]}, "values must be \\[entries\\]. Received shape \\(1, 2\\)."),
        ({"classes": [0, NUM_CLASSES]}, "classes=0 to 3: must be at least 0 and below 3."),
        ({"classes": [-1, 0]}, "classes=-1 to 0: must be"),
        ({"classes": [0.0, 1.0]}, "classes must be integers. Received float64."),
        ({"videos": [0, 1]}, "videos=0 to 1: must be at least 0 and below 1."),
        ({"videos": [0]}, "videos must have the shape of values, \\(2,\\). Received \\(1,\\)."),
        ({"starts": [0, 2**32]}, "starts=0 to 4294967296: must be at least 0 and below 4294967296."),
        ({"starts": [-5, 0]}, "starts=-5 to 0: must be"),
    ],
)
def test_an_invalid_batch_is_refused_and_nothing_of_it_is_added(changes, message):
    batch = {"video_ids": [b"a"], "videos": [0, 0], "starts": [0, 5], "classes": [0, 0], "values": [0.5, 0.5], **changes}
    ranking = SegmentRanking(NUM_CLASSES, 4)
    with pytest.raises(ValueError, match=f"^{message}"):
        ranking.add(**batch)
    assert len(ranking) == 0


@pytest.mark.parametrize("sizes", [(0, 4), (3, 0), (3, 4, 0)])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(ValueError, match="=0: choose at least 1."):
        SegmentRanking(*sizes)


def test_more_entries_than_can_be_numbered_are_refused():
    with pytest.raises(ValueError, match="at most 1,073,741,824 are supported"):
        SegmentRanking(2**16, 2**16)


def test_a_class_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="class_index=3: choose a value from 0 to 2."):
        SegmentRanking(NUM_CLASSES, 4).ranked(3)


@pytest.fixture
def snapshot(tmp_path):
    ranking = SegmentRanking(NUM_CLASSES, 40, slack=10)
    add(ranking, made_up(500, 20))
    ranking.save(tmp_path / "snapshot")
    return tmp_path / "snapshot"


NAMES = ["about.json", "counts.npy", "id_bytes.npy", "id_ends.npy", "starts.npy", "values.npy", "videos.npy"]


def test_a_snapshot_holds_these_files(snapshot):
    assert sorted(path.name for path in snapshot.iterdir()) == NAMES
    assert np.load(snapshot / "values.npy", allow_pickle=False).shape == (3 * 40,)
    assert np.load(snapshot / "starts.npy", allow_pickle=False).dtype == np.uint16


@pytest.mark.parametrize("name", NAMES)
def test_every_damage_to_a_snapshot_is_reported_with_the_file(snapshot, name):
    path, content = snapshot / name, (snapshot / name).read_bytes()
    damaged = [b"", content[:-1], content + b"\0", content[: len(content) // 2]]
    for place in range(0, len(content), 7):
        damaged.append(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    for bad in damaged:
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            SegmentRanking.load(snapshot)
    path.unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        SegmentRanking.load(snapshot)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("about.json", "counts.npy", "id_ends.npy")])
def test_a_file_of_another_snapshot_is_refused(snapshot, name):
    other = SegmentRanking(NUM_CLASSES, 40)
    add(other, [(video_id[::-1], start + 1, c, value + 1) for video_id, start, c, value in made_up(600, 20, seed=1)])
    other.save(snapshot.with_name("other"))
    os.replace(snapshot.with_name("other") / name, snapshot / name)
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        SegmentRanking.load(snapshot)


def test_a_snapshot_of_another_version_is_refused(snapshot, monkeypatch):
    monkeypatch.setattr(segment_ranking, "FORMAT", segment_ranking.FORMAT + 1)
    with pytest.raises(ValueError, match="about.json was written by another version."):
        SegmentRanking.load(snapshot)


def test_loading_without_a_snapshot_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        SegmentRanking.load(tmp_path / "nothing")


def test_a_failed_save_keeps_the_old_snapshot(snapshot, monkeypatch):
    before = found(SegmentRanking.load(snapshot), 0)
    ranking = SegmentRanking.load(snapshot)
    add(ranking, [(b"new", 0, 0, 9.0)])

    def fail(path, parts):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segment_ranking, "write_array", fail)
    with pytest.raises(OSError, match="No space left"):
        ranking.save(snapshot)
    assert found(SegmentRanking.load(snapshot), 0) == before
    assert [path.name for path in snapshot.parent.iterdir()] == ["snapshot"]


def test_a_snapshot_whose_replacement_was_killed_is_loaded(snapshot):
    # As `files.atomic_path` leaves it when it is killed after it moved the old folder away.
    holder = snapshot.with_name(f".snapshot.abc{files.SUFFIX}")
    holder.mkdir()
    os.replace(snapshot, holder / "snapshot")
    (holder / files.REPLACED).mkdir()
    assert len(SegmentRanking.load(snapshot)) == 3 * 40
