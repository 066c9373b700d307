import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings, strategies

from tests import oracles
from youtube8m_distill import config, schema
from youtube8m_distill.data import frame_selection

FIXED = sorted(set(config.FRAME_SELECTIONS) - {"random"})
SEED = tf.constant([5, 7], tf.int64)


def view(selection, count):
    """The FrameConfig of a selection with k or stride `count`, which `all` has no use for."""
    if selection == "all":
        return config.FrameConfig()
    key = "every_n" if selection == "strided" else "frames_per_video"
    return config.FrameConfig(selection, **{key: count})


def test_every_selection_that_can_be_asked_for_is_there():
    assert sorted(frame_selection.SELECTIONS) == sorted(config.FRAME_SELECTIONS)


@pytest.mark.parametrize("selection", FIXED)
@settings(max_examples=60, deadline=None)
@given(num_frames=strategies.integers(1, schema.MAX_FRAMES), count=strategies.integers(1, schema.MAX_FRAMES))
def test_a_selection_takes_the_frames_that_the_slow_rule_takes(selection, num_frames, count):
    frames = view(selection, count)
    indices = frame_selection.select(frames, tf.constant(num_frames), SEED)
    assert indices.dtype == tf.int32
    assert indices.numpy().tolist() == oracles.selected_frames(selection, num_frames, count)
    assert len(indices) <= frames.max_frames


@pytest.mark.parametrize("selection", FIXED)
@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 30])
def test_inside_a_dataset_a_selection_takes_the_same_frames_at_every_length(selection, count):
    frames = view(selection, count)
    lengths = tf.data.Dataset.range(1, schema.MAX_FRAMES + 1, output_type=tf.int32)
    for num_frames, indices in enumerate(lengths.map(lambda n: frame_selection.select(frames, n, SEED)), start=1):
        assert indices.numpy().tolist() == oracles.selected_frames(selection, num_frames, count)


def test_the_selections_of_a_long_video_all_differ():
    taken = [frame_selection.select(view(selection, 6), tf.constant(300), SEED).numpy().tolist()
             for selection in config.FRAME_SELECTIONS]
    assert all(one != other for i, one in enumerate(taken) for other in taken[:i])


@settings(max_examples=60, deadline=None)
@given(num_frames=strategies.integers(1, schema.MAX_FRAMES), k=strategies.integers(1, schema.MAX_FRAMES),
       seed=strategies.integers(-2 ** 63, 2 ** 63 - 1))
def test_random_takes_distinct_frames_in_time_order(num_frames, k, seed):
    indices = frame_selection.random(tf.constant(num_frames), k, tf.constant([seed, 1], tf.int64)).numpy().tolist()
    assert indices == sorted(set(indices)) and set(indices) <= set(range(num_frames))
    assert len(indices) == min(k, num_frames)


def test_random_takes_every_frame_about_as_often():
    seeds = tf.data.Dataset.range(3000).map(lambda i: frame_selection.random(tf.constant(10), 3, tf.stack([i, 1])))
    counts = np.bincount(np.concatenate([indices.numpy() for indices in seeds]), minlength=10)
    # 3000 draws at 0.3: 900 with a standard deviation of 25.
    assert counts.sum() == 9000 and np.abs(counts - 900).max() < 125


@pytest.mark.parametrize("place", [0, 1])
def test_random_is_a_function_of_both_halves_of_the_seed(place):
    def taken(value):
        return frame_selection.random(tf.constant(300), 10, tf.tensor_scatter_nd_update(SEED, [[place]], [value]))
    np.testing.assert_array_equal(taken(1), taken(1))
    assert taken(1).numpy().tolist() != taken(2).numpy().tolist()


def test_a_shorter_random_selection_is_part_of_a_longer_one():
    short, long = (frame_selection.random(tf.constant(300), k, SEED).numpy() for k in (5, 30))
    assert set(short) < set(long)
