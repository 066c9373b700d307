import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from youtube8m_distill.data.screening import hash_ids
from youtube8m_distill.runs.seen_videos import SeenVideos


def test_a_hash_is_the_same_everywhere_and_another_for_every_id():
    ids = [b"", b"\0", b"abcd", b"abce", "é".encode(), *(b"%d" % i for i in range(1000))]
    found = hash_ids(ids)
    assert found.dtype == np.uint64 and len(set(found.tolist())) == len(ids)
    assert hash_ids([]).shape == (0,)


@given(st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=12))
@settings(max_examples=100)
def test_the_first_repeat_of_a_batch_is_told_with_the_place_of_what_it_repeats(batches):
    seen, known = SeenVideos(), {}
    for number, batch in enumerate(batches):
        ids = [b"%d" % i for i in batch]
        here, expected = {}, None
        for index, video_id in enumerate(ids):
            if video_id in known or video_id in here:
                expected = index, known.get(video_id, here.get(video_id))
                break
            here[video_id] = (number, 7 * index)
        places = np.full(len(ids), number), 7 * np.arange(len(ids))
        assert seen.add(hash_ids(ids), *places) == expected
        if expected is None:
            known |= here


def test_what_is_kept_is_small():
    seen, size = SeenVideos(), 1000
    for start in range(0, 100 * size, size):
        assert seen.add(hash_ids([b"%d" % i for i in range(start, start + size)]), np.zeros(size), np.arange(size)) is None
    parts = [part for pair in seen._parts for part in pair]
    assert sum(part.nbytes for part in parts) == 20 * 100 * size and len(parts) < 20
    assert seen.add(hash_ids([b"new", b"54321"]), [3, 3], [0, 1]) == (1, (0, 321))
    assert seen.add(hash_ids([b"new"]), [3], [0]) is None, "a refused batch leaves no trace"


@pytest.mark.parametrize("shard, record", [(2**31, 2**40)])
def test_places_may_be_large(shard, record):
    seen = SeenVideos()
    seen.add(hash_ids([b"a"]), [shard], [record])
    assert seen.add(hash_ids([b"a"]), [0], [0]) == (0, (shard, record))
