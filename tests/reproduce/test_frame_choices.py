"""The frames that networks read are described as a slow loop would, and read from batches without padding."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce import frame_choices
from tests import commands
from youtube8m_distill import config, runs
from youtube8m_distill.data import frame_selection
from youtube8m_distill.engine.strategy import make_strategy


def slow_distance(indices, num_frames):
    """The mean of |i_j - F_j| in units of the spacing, for one video."""
    k = min(len(indices), num_frames)
    read = [(j, index) for j, index in enumerate(indices) if index >= 0]
    return sum(abs(index - j * num_frames // k) * k / num_frames for j, index in read) / max(len(read), 1)


@st.composite
def videos(draw):
    """Increasing indices of at most 4 frames of each video, and the lengths of the videos."""
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=5))
    read = [sorted(draw(st.sets(st.integers(0, length - 1), max_size=min(length, 4)))) for length in lengths]
    return np.array([each + [-1] * (4 - len(each)) for each in read]), np.array(lengths)


@given(videos())
@settings(max_examples=50)
def test_distances_agree_with_a_slow_loop(found):
    expected = [slow_distance(*video) for video in zip(*found)]
    np.testing.assert_allclose(frame_choices.distances_from_uniform(*found), expected)


@pytest.mark.parametrize("k", [1, 4, 10])
def test_evenly_spaced_frames_have_the_distance_0(k):
    lengths = np.array([1, 3, 10, 17, 300], np.int32)
    indices = np.asarray(frame_selection.uniform(tf.constant(lengths), k))
    counts = np.minimum(lengths, k)[:, None]
    indices = np.where(np.arange(k) < counts, indices, -1)
    assert not frame_choices.distances_from_uniform(indices, lengths).any()


def test_a_video_is_described_by_its_reads():
    indices = np.array([[0, 10, 30], [0, 20, -1]])
    found = frame_choices.describe(indices, np.array([60, 30]))
    assert found == {
        "num_videos": 2,
        "video_frames": 45.0,
        "frames_read": 2.5,
        "reads": [
            {"mean": 0.0, "deviation": 0.0, "num_videos": 2},
            {"mean": 15.0, "deviation": 5.0, "num_videos": 2},
            {"mean": 30.0, "deviation": 0.0, "num_videos": 1},
        ],
        # evenly spaced: 0, 20, 40 and 0, 10; so (0 + 10 + 10) / 3 / 20 = 1/3 and (0 + 10) / 2 / 10 = 1/2
        "distance": pytest.approx(5 / 12),
    }


def test_a_video_without_frames_has_the_distance_0():
    indices, lengths = np.array([[-1, -1], [0, 2]]), np.array([0, 4])
    assert frame_choices.distances_from_uniform(indices, lengths).tolist() == [0, 0]
    assert frame_choices.describe(indices, lengths)["frames_read"] == 1.0


def test_reads_that_no_video_has_are_left_out():
    assert len(frame_choices.describe(np.array([[0, 3, -1, -1]]), np.array([9]))["reads"]) == 2


def test_rows_that_pad_a_batch_are_not_read():
    seen = {"frame_indices": tf.constant([[0, 4, 0], [1, 2, 3]]), "num_frames": tf.constant([2, 3])}
    assert frame_choices.selected(seen).tolist() == [[0, 4, -1], [1, 2, 3]]


@pytest.mark.parametrize("model", ["SkipFrameModel", "HierarchicalLstmModel"])
def test_the_frames_of_each_video_are_those_that_its_network_reads(tmp_path, model):
    """On videos of 1 to 9 frames, in two batches. SkipFrame's frames are compared with those of one video at a time."""
    features = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3))
    options = {"skip_actions": "1-4", "skip_budget": 3} if model == "SkipFrameModel" else {"lstm_layers": 1}
    view = config.FrameView() if model == "SkipFrameModel" else config.FrameView(frame_selection="first", frames_per_video=3)
    network = config.network_config(model, commands.NUM_CLASSES, features, view, lstm_cells=4, **options)
    pattern = commands.write_files(tmp_path / "data", "eval", commands.frame_videos(12))
    shards = runs.find_shards("eval_data_pattern", pattern, features)
    loaded = runs.LoadedNetwork(commands.save_run(tmp_path / "run", network), make_strategy(), checkpoint="last")
    loaded.batch_size = 8
    indices, lengths = frame_choices.read_choices(loaded, shards, 3)
    assert indices.shape == (12, 3) and set(lengths) <= set(range(1, 10)) and len(set(lengths)) > 1
    if model == "SkipFrameModel":
        one_by_one = loaded.make_dataset(shards, 1, with_labels=False)
        expected = [
            loaded.network(batch["teacher"])["decisions"]["frame_indices"][0].numpy().tolist() for batch in one_by_one
        ]
    else:
        expected = [[j if j < length else -1 for j in range(3)] for length in lengths]
    assert indices.tolist() == expected
