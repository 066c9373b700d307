import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings, strategies

from tests import oracles
from youtube8m_distill import config, schema
from youtube8m_distill.data import frame_selection

FIXED = sorted(set(config.FRAME_SELECTIONS) - {"random"})
LENGTHS = np.arange(1, schema.MAX_FRAMES + 1, dtype=np.int32)


def view(selection, count):
    """The FrameView of a selection with k or stride `count`, which `all` has no use for."""
    if selection == "all":
        return config.FrameView()
    key = "every_n" if selection == "strided" else "frames_per_video"
    return config.FrameView(frame_selection=selection, **{key: count})


def seeds(*pairs):
    return tf.constant(pairs, tf.int64)


def same_seed(count):
    return seeds(*[(5, 7)] * count)


def assert_taken(indices, selection, lengths, count):
    """Checks that each row holds the frames of the slow rule for its length, then -1."""
    frames = view(selection, count)
    assert indices.dtype == tf.int32 and indices.shape == (len(lengths), frames.max_frames)
    for row, num_frames in zip(indices.numpy().tolist(), lengths, strict=True):
        expected = oracles.selected_frames(selection, int(num_frames), count)
        assert row == expected + [-1] * (frames.max_frames - len(expected))


def test_every_selection_of_the_settings_is_implemented():
    assert sorted(frame_selection.SELECTIONS) == sorted(config.FRAME_SELECTIONS)


@pytest.mark.parametrize("selection", FIXED)
@settings(max_examples=15, deadline=None)
@given(
    lengths=strategies.lists(strategies.integers(1, schema.MAX_FRAMES), max_size=5),
    count=strategies.integers(1, schema.MAX_FRAMES),
)
def test_a_selection_agrees_with_the_slow_rule(selection, lengths, count):
    indices = frame_selection.select(view(selection, count), tf.constant(lengths, tf.int32), same_seed(len(lengths) or 1))
    assert_taken(indices, selection, lengths, count)


def test_random_selects_from_all_frames_that_are_read():
    longer = config.FrameView(frame_selection="random", frames_per_video=30, max_video_frames=3000)
    drawn = frame_selection.select(longer, tf.constant([4000]), same_seed(1)).numpy()[0]
    assert len(set(drawn)) == 30 and drawn.max() in range(2000, 3000)
    of_few = frame_selection.select(longer, tf.constant([200]), same_seed(1))
    assert np.array_equal(of_few, frame_selection.select(view("random", 30), tf.constant([200]), same_seed(1)))


@pytest.mark.parametrize("selection", FIXED)
@pytest.mark.parametrize("count", [1, 7, 30])
def test_a_selection_inside_a_dataset_agrees_with_the_slow_rule_at_every_length(selection, count):
    frames = view(selection, count)
    dataset = tf.data.Dataset.from_tensors(LENGTHS)
    indices = next(iter(dataset.map(lambda lengths: frame_selection.select(frames, lengths, same_seed(300)))))
    assert_taken(indices, selection, LENGTHS, count)


def test_the_selections_of_a_long_video_all_differ():
    taken = [
        frame_selection.select(view(selection, 6), tf.constant([300]), same_seed(1)).numpy().tolist()
        for selection in config.FRAME_SELECTIONS
    ]
    assert all(one != other for i, one in enumerate(taken) for other in taken[:i])


@settings(max_examples=20, deadline=None)
@given(k=strategies.integers(1, schema.MAX_FRAMES), seed=strategies.integers(-(2**63), 2**63 - 1))
def test_random_selects_distinct_frames_in_time_order_at_every_length(k, seed):
    found = frame_selection.random(tf.constant(LENGTHS), k, seeds(*[(seed, 1)] * len(LENGTHS))).numpy()
    for row, num_frames in zip(found.tolist(), LENGTHS.tolist(), strict=True):
        indices, padding = row[: min(k, num_frames)], row[min(k, num_frames) :]
        assert indices == sorted(set(indices)) and set(indices) <= set(range(num_frames)) and set(padding) <= {-1}


@settings(max_examples=20, deadline=None)
@given(k=strategies.integers(1, schema.MAX_FRAMES), seed=strategies.integers(-(2**63), 2**63 - 1))
def test_jitter_takes_one_frame_of_each_span_at_every_length(k, seed):
    pairs = seeds(*[(seed, 1)] * len(LENGTHS))
    found = frame_selection.select(view("uniform", k), tf.constant(LENGTHS), pairs, jitter=True).numpy()
    for row, num_frames in zip(found.tolist(), LENGTHS.tolist(), strict=True):
        count = min(k, num_frames)
        starts = oracles.selected_frames("uniform", num_frames, k) + [num_frames]
        assert all(starts[i] <= row[i] < starts[i + 1] for i in range(count)) and set(row[count:]) <= {-1}


def test_jitter_takes_every_frame_of_a_span_equally_often_and_independently_of_other_spans():
    found = frame_selection.jittered(tf.fill([9000], 6), 2, seeds(*[(i, 1) for i in range(9000)])).numpy()
    pairs, counts = np.unique(found, axis=0, return_counts=True)
    # Nine pairs, 1000 draws each with a standard deviation of 30.
    assert len(pairs) == 9 and np.abs(counts - 1000).max() < 150


@pytest.mark.parametrize("selection", sorted(set(config.FRAME_SELECTIONS) - {"uniform", "centered"}))
def test_jitter_does_not_change_selections_without_spans(selection):
    lengths, drawn = tf.constant(LENGTHS), same_seed(len(LENGTHS))
    fixed, jittered = (frame_selection.select(view(selection, 7), lengths, drawn, jitter=j) for j in (False, True))
    np.testing.assert_array_equal(fixed, jittered)


def test_random_selects_every_frame_equally_often():
    found = frame_selection.random(tf.fill([3000], 10), 3, seeds(*[(i, 1) for i in range(3000)])).numpy()
    counts = np.bincount(found.ravel(), minlength=10)
    # 3000 draws at 0.3: 900 with a standard deviation of 25.
    assert counts.sum() == 9000 and np.abs(counts - 900).max() < 125


def test_random_selects_every_set_of_frames_equally_often():
    found = frame_selection.random(tf.fill([6000], 4), 2, seeds(*[(1, i) for i in range(6000)])).numpy()
    sets, counts = np.unique(found, axis=0, return_counts=True)
    # Six sets, 1000 draws each with a standard deviation of 29.
    assert len(sets) == 6 and np.abs(counts - 1000).max() < 145


@pytest.mark.parametrize("place", [0, 1])
def test_random_depends_on_both_halves_of_the_seed(place):
    pairs = [(value, 7) if place == 0 else (5, value) for value in (1, 1, 2)]
    one, same, other = frame_selection.random(tf.fill([3], 300), 10, seeds(*pairs)).numpy().tolist()
    assert one == same != other


def test_random_does_not_depend_on_the_other_videos_of_a_batch():
    alone = frame_selection.random(tf.constant([200]), 10, seeds((3, 4))).numpy()
    among = frame_selection.random(tf.constant([50, 200]), 10, seeds((1, 2), (3, 4))).numpy()
    np.testing.assert_array_equal(among[1:], alone)


def test_a_shorter_random_selection_is_part_of_a_longer_one():
    short, long = (frame_selection.random(tf.constant([300]), k, same_seed(1)).numpy()[0] for k in (5, 30))
    assert set(short) < set(long)
