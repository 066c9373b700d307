import hashlib

import hypothesis
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests import oracles
from youtube8m_distill import config
from youtube8m_distill.data import seeds as draws
from youtube8m_distill.data.order import BEGINNING, TrainingOrder, in_order

SIZES = (5, 0, 3, 7, 1, 4, 2)  # records in each file


def numbered(sizes):
    """A function that reads (epoch, shard, number) from files of these sizes."""
    sizes = tf.constant(sizes, tf.int64)
    return lambda epoch, shard: tf.data.Dataset.range(sizes[shard]).map(lambda number: tf.stack([epoch, shard, number]))


def drawn(sizes=SIZES, start=None, num_readers=3, shuffle_buffer=6, num_epochs=2, seed=3):
    """All records of a training, (epoch, shard, number), and the position after each."""
    order = TrainingOrder(seed, num_epochs, num_readers, shuffle_buffer, start=start)
    records = in_order(numbered(sizes), len(sizes), order)
    found = [(tuple(record), (*place, used)) for record, (place, used) in records.as_numpy_iterator()]
    return [record for record, _ in found], [position for _, position in found]


def groups_of(sizes, num_readers, seed, epoch):
    """The records of each group of files, one file after the other in turn, in the shuffled order of the files."""
    seeds = tf.stack([draws.epoch_seed(seed, epoch), 0])
    order = tf.random.experimental.stateless_shuffle(tf.range(len(sizes), dtype=tf.int64), seeds).numpy().tolist()
    files = [[(epoch, shard, number) for number in range(sizes[shard])] for shard in order]
    return [oracles.in_turn(files[first : first + num_readers]) for first in range(0, len(files), num_readers)]


@pytest.mark.parametrize("num_readers", [1, 3, 20])
def test_without_a_shuffle_buffer_the_files_of_a_group_take_turns(num_readers):
    found, positions = drawn(num_readers=num_readers, shuffle_buffer=1)
    groups = [
        (epoch, number, group) for epoch in range(2) for number, group in enumerate(groups_of(SIZES, num_readers, 3, epoch))
    ]
    assert found == [record for _, _, group in groups for record in group]
    assert positions == [(epoch, number, used + 1) for epoch, number, group in groups for used in range(len(group))]


def test_every_group_is_shuffled_differently():
    found, _ = drawn(sizes=(10,) * 3, num_readers=1, shuffle_buffer=100)
    groups = [found[first : first + 10] for first in range(0, 60, 10)]
    unshuffled = [group for epoch in range(2) for group in groups_of((10,) * 3, 1, 3, epoch)]
    assert [sorted(group) for group in groups] == unshuffled
    assert len({tuple(number for _, _, number in group) for group in groups}) == 6


@hypothesis.settings(max_examples=5, deadline=None)
@hypothesis.given(
    sizes=st.lists(st.integers(0, 6), min_size=1, max_size=6).filter(any),
    num_readers=st.integers(1, 5),
    shuffle_buffer=st.integers(1, 8),
    seed=st.integers(0, 2**40),
    data=st.data(),
)
def test_what_comes_after_a_position_is_the_tail_of_the_whole(sizes, num_readers, shuffle_buffer, seed, data):
    found, positions = drawn(sizes, None, num_readers, shuffle_buffer, 2, seed)
    assert sorted(found) == [
        (epoch, shard, number) for epoch in range(2) for shard, size in enumerate(sizes) for number in range(size)
    ]
    place = data.draw(st.integers(0, len(found) - 1))
    tail = drawn(sizes, positions[place], num_readers, shuffle_buffer, 2, seed)
    assert tail == (found[place + 1 :], positions[place + 1 :])


def test_the_beginning_is_a_position():
    assert drawn(start=BEGINNING) == drawn()


def test_nothing_follows_the_last_epoch_unless_num_epochs_grows():
    found, positions = drawn(num_epochs=2)
    assert drawn(start=positions[-1], num_epochs=2) == ([], [])
    assert drawn(start=positions[-1], num_epochs=1) == ([], [])
    assert drawn(start=positions[-1], num_epochs=3)[0] == drawn(num_epochs=3)[0][len(found) :]


def test_no_stage_has_the_data_order_of_a_stage_of_another_seed():
    found = [draws.stage_seed(seed, stage) for seed in range(1000) for stage in range(3)]
    assert found[::3] == list(range(1000)) and len(set(found)) == len(found)
    assert min(found[1::3] + found[2::3]) > config.MAX_SEED
    assert draws.stage_seed(7, 1) == 2**31 + int.from_bytes(hashlib.blake2b(b"7 1", digest_size=5).digest(), "big")
    last = draws.epoch_seed(max(found), 2**draws.EPOCH_BITS - 1)
    assert int(last) == max(found) * 2**draws.EPOCH_BITS + 2**draws.EPOCH_BITS - 1  # no overflow
