import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import commands
from youtube8m_distill import config
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.ids import SeenVideos, check_sets, hash_ids
from youtube8m_distill.errors import SettingError

FEATURES = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3))


def test_hashes_are_reproducible_and_different_for_different_ids():
    ids = [b"", b"\0", b"abcd", b"abce", "é".encode(), *(b"%d" % i for i in range(1000))]
    found = hash_ids(ids)
    assert found.dtype == np.uint64 and len(set(found.tolist())) == len(ids)
    assert hash_ids([b"abcd"]).tolist() == [2811424059823104496] and hash_ids([]).shape == (0,)


BATCHES = st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=12)


@given(BATCHES)
@settings(max_examples=60)
def test_the_first_duplicate_of_a_batch_is_reported_with_the_place_of_its_first_occurrence(batches):
    seen, known = SeenVideos(), {}
    for number, batch in enumerate(batches):
        ids = [b"%d" % i for i in batch]
        here, expected = {}, None
        for index, video_id in enumerate(ids):
            if video_id in known or video_id in here:
                expected = index, known.get(video_id, here.get(video_id))
                break
            here[video_id] = (number, 7 * index)
        assert seen.add(hash_ids(ids), number, 7 * np.arange(len(ids))) == expected
        if expected is None:
            known |= here


@given(BATCHES)
@settings(max_examples=60)
def test_all_duplicates_are_reported_and_all_other_ids_added(batches):
    seen, known = SeenVideos(), {}
    for number, batch in enumerate(batches):
        ids, expected = [b"%d" % i for i in batch], []
        for index, video_id in enumerate(ids):
            if video_id in known:
                expected.append((index, known[video_id]))
            else:
                known[video_id] = (number, index)
        assert seen.add_new(hash_ids(ids), number, np.arange(len(ids))) == expected


def test_seen_videos_take_20_bytes_each():
    seen, size = SeenVideos(), 1000
    for start in range(0, 100 * size, size):
        assert seen.add(hash_ids([b"%d" % i for i in range(start, start + size)]), 0, np.arange(size)) is None
    parts = [part for pair in seen._parts for part in pair]
    assert sum(part.nbytes for part in parts) == 20 * 100 * size and len(parts) < 20
    assert seen.add(hash_ids([b"new", b"54321"]), [3, 3], [0, 1]) == (1, (0, 321))
    assert seen.add(hash_ids([b"new"]), [3], [0]) is None, "nothing of a refused batch is added"


def test_places_may_be_large():
    seen, place = SeenVideos(), (2**31, 2**40)
    seen.add(hash_ids([b"a"]), *place)
    assert seen.add(hash_ids([b"a"]), 0, 0) == (0, place)


# ---- sets


def check(folder, **sets):
    shards = {
        f"{name}_data_pattern": find_files(commands.write_files(folder, name, videos)) for name, videos in sets.items()
    }
    check_sets(shards, FEATURES, commands.NUM_CLASSES)


def test_sets_without_a_common_video_pass(tmp_path):
    videos = commands.frame_videos(12)
    check(tmp_path, train=[*videos[:5], videos[0]], validation=videos[5:8], eval=videos[8:])


def test_a_video_in_two_sets_is_reported_with_both(tmp_path):
    videos = commands.frame_videos(12)
    name = commands.video_id(7).decode()
    words = (
        rf"eval_data_pattern=.*eval\d.tfrecord: holds the video '{name}', and so does a file of --validation_data_pattern"
    )
    with pytest.raises(SettingError, match=words):
        check(tmp_path, train=videos[:4], validation=videos[4:8], eval=[*videos[8:11], videos[7]])


def test_a_set_without_labels_is_refused(tmp_path):
    with pytest.raises(SettingError, match=r"eval_data_pattern: .*, hold no labels"):
        check(tmp_path, train=commands.frame_videos(8)[:4], eval=commands.frame_videos(8, labels=False)[4:])
