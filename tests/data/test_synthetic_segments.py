"""Synthetic sets with rated segments. Their layout: REFERENCE, sections 1.2 and 1.6."""

import itertools
import json

import numpy as np
import pytest

from tests import oracles
from tests.data.test_synthetic import parse_folder, small
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.segment_classes import read_segment_classes
from youtube8m_distill.data.segments import hold_segments
from youtube8m_distill.data.synthetic import prototypes, segments, statistics
from youtube8m_distill.data.synthetic.dataset import write_dataset

KEYS = ("segment_labels", "segment_start_times", "segment_end_times", "segment_scores")


def rated(**changes):
    values = dict(segments=True, num_train_videos=4, num_validate_videos=40, videos_per_shard=20, max_frames=120, seed=1)
    return small(**{**values, **changes})


def ratings_of(context):
    """(label, start, end, score) of each rating."""
    return list(zip(*(context.get(key, []) for key in KEYS), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rated")
    write_dataset(rated(), folder)
    return folder


@pytest.fixture(scope="module")
def rated_videos(folder):
    return [(context, frames) for context, frames in parse_folder(folder, "validate") if set(KEYS) <= set(context)]


def test_only_validate_files_have_ratings(folder, rated_videos):
    assert 35 <= len(rated_videos) <= 40
    for split in ("train", "test"):
        assert not any(set(KEYS) & set(context) for context, _ in parse_folder(folder, split))


def test_rated_segments_are_five_aligned_frames_inside_the_video(rated_videos):
    counts = []
    for context, frames in rated_videos:
        ratings = ratings_of(context)
        assert all(start % 5 == 0 and 0 <= start < end == start + 5 <= len(frames["rgb"]) for _, start, end, _ in ratings)
        assert all(0 <= label < 20 and score in (0, 1) for label, _, _, score in ratings)
        assert len({(label, start) for label, start, _, _ in ratings}) == len(ratings)
        counts.append(len({start for _, start, _, _ in ratings}))
    assert max(counts) == 5 and np.mean(counts) > 4.5


def test_a_segment_is_rated_for_labels_of_its_video_and_sometimes_for_another_class(rated_videos):
    others = []
    for context, _ in rated_videos:
        labels = set(context["labels"])
        starts = {start for label, start, _, _ in ratings_of(context) if label in labels}
        assert starts == set(context["segment_start_times"])
        others += [score for label, _, _, score in ratings_of(context) if label not in labels]
    assert 0 < len(others) < 40 and not any(others)


def test_a_label_is_rated_both_positive_and_negative_in_many_videos(rated_videos):
    scores = [score for context, _ in rated_videos for score in context["segment_scores"]]
    assert 0.25 < np.mean(scores) < 0.6
    both = [
        len({score for rated_label, _, _, score in ratings_of(context) if rated_label == label}) == 2
        for context, _ in rated_videos
        for label in context["labels"]
    ]
    assert np.mean(both) > 0.3


def test_positive_segments_look_more_like_the_class_than_negative_ones_of_the_video(rated_videos):
    vectors = prototypes.Prototypes(seed=1, num_classes=20, in_spans=True).vectors
    differences = []
    for context, frames in rated_videos:
        seen = oracles.dequantized(np.concatenate([frames["rgb"], frames["audio"]], axis=1))
        similarities = {0: {}, 1: {}}
        for label, start, end, score in ratings_of(context):
            similarities[int(score)].setdefault(label, []).append(seen[start:end].mean(axis=0) @ vectors[label])
        differences += [
            np.mean(similarities[1][label]) - np.mean(similarities[0][label])
            for label in similarities[1].keys() & similarities[0].keys()
        ]
    assert len(differences) > 20 and np.mean(np.array(differences) > 0) > 0.9


class OtherClasses:
    """Stands in for Classes: draws the given ones, one after the other."""

    num_classes = 10

    def __init__(self, *drawn):
        self._drawn = itertools.cycle(drawn)

    def draw_one(self, rng):
        return next(self._drawn)


def all_ratings(shown, written, visible, other=9, rateable=range(10)):
    """Every (start, label, score) that can be drawn for a video."""
    classes, rng, is_rateable = OtherClasses(other), np.random.default_rng(0), np.isin(np.arange(10), list(rateable))
    draws = [segments.draw_ratings(rng, classes, shown, written, visible, is_rateable) for _ in range(200)]
    assert all(drawn == sorted(drawn) for drawn in draws)
    return {tuple(rating) for drawn in draws for rating in drawn}


def test_ratings_follow_from_the_frames_in_which_a_class_is_visible():
    visible = np.zeros((23, 2), bool)  # four whole segments, and three frames
    visible[3:13, 0] = True  # 2, 5, 3 and 0 frames of the segments
    visible[[0, 20, 21, 22], 1] = True  # 1, 0, 0, 0
    expected = {(5, 4, 1.0), (10, 4, 1.0), (15, 4, 0.0)} | {(start, 2, 0.0) for start in (5, 10, 15)}
    # Class 7 is a label that the video does not show. Class 9 is not a label.
    expected |= {(start, label, 0.0) for start in (0, 5, 10, 15) for label in (7, 9)}
    assert all_ratings([4, 2], [2, 4, 7], visible) == expected


def test_a_class_that_the_video_shows_without_the_label_is_not_rated():
    found = all_ratings([4, 2], [4, 7], np.ones((10, 2), bool), other=2)
    assert {label for _, label, _ in found} == {4, 7}


def test_only_rateable_classes_are_rated():
    visible = np.ones((10, 2), bool)
    assert {label for _, label, _ in all_ratings([4, 2], [2, 4], visible, rateable=[2, 9])} == {2, 9}
    assert {label for _, label, _ in all_ratings([4, 2], [2, 4], visible, rateable=[2])} == {2}
    assert all_ratings([4, 2], [2, 4], visible, rateable=[9]) == set()


def test_with_3862_classes_those_of_the_challenge_are_rated(tmp_path):
    sizes = dict(num_train_videos=0, num_validate_videos=30, num_test_videos=0)
    write_dataset(rated(num_classes=3862, **sizes), tmp_path / "official")
    write_dataset(rated(num_classes=3861, **sizes), tmp_path / "other")
    found = {
        name: {label for context, _ in parse_folder(tmp_path / name, "validate") for label in context.get(KEYS[0], [])}
        for name in ("official", "other")
    }
    challenge = set(read_segment_classes())
    assert len(found["official"]) > 10 and found["official"] <= challenge and not found["other"] <= challenge
    shards = find_files(f"{tmp_path}/official/*.tfrecord")
    assert hold_segments(shards, challenge, ("rgb", "audio"))
    settings = {name: json.loads((tmp_path / name / "synthetic.json").read_text())["synthetic"] for name in found}
    assert settings["official"]["rated_classes"] == "official" and "rated_classes" not in settings["other"]


def test_ratings_of_other_numbers_of_classes_are_those_of_earlier_versions(folder):
    """Ratings of the second validate video, from the version in which every class could be rated."""
    expected = [(9, 15, 0), (0, 40, 0), (18, 40, 0), (9, 65, 0), (12, 65, 1), (18, 65, 0), (12, 105, 0), (9, 115, 0)]
    context, _ = parse_folder(folder, "validate")[1]
    assert [(label, start, score) for label, start, _, score in ratings_of(context)] == [*expected, (18, 115, 0)]


def test_a_segment_without_a_label_that_can_be_rated_has_no_ratings():
    visible = np.arange(10)[:, None] >= 3  # 2 and 5 frames of the segments
    assert {start for start, _, _ in all_ratings([4], [4], visible)} == {5}
    assert all_ratings([4], [4], visible[:5]) == all_ratings([4], [4], visible[5:9]) == set()


@pytest.mark.parametrize("num_shots", [1, 2, 3, 46])
def test_a_label_is_visible_in_one_to_three_spans(num_shots):
    visible = segments.draw_spans(np.random.default_rng(0), num_shots, 500)
    assert visible.shape == (num_shots, 500) and set(np.unique(visible)) <= {0, 1}
    spans = (np.diff(visible, axis=0, prepend=0) > 0).sum(axis=0)
    assert set(spans) == {1: {1}, 2: {1}, 3: {1, 2}, 46: {1, 2, 3}}[num_shots]


def test_videos_in_spans_keep_the_measured_means_and_variances():
    world = prototypes.Prototypes(seed=0, num_classes=100, in_spans=True)
    drawn = []
    for index in range(60):
        rng = statistics.generator(0, 0, index)
        drawn.append(oracles.dequantized(prototypes.labeled_video(rng, world, world.classes.draw(rng)[0])[0]))
    for part, norm, within in ((slice(0, 1024), 13.7, 0.94), (slice(1024, 1152), 7.5, 0.85)):
        assert np.mean([np.linalg.norm(frames[:, part].mean(axis=0)) for frames in drawn]) == pytest.approx(norm, rel=0.1)
        assert np.mean([frames[:, part].var(axis=0).mean() for frames in drawn]) == pytest.approx(within, rel=0.04)


def test_equal_seeds_give_equal_ratings_also_after_an_interruption(folder, tmp_path):
    write_dataset(rated(), tmp_path)
    lost = tmp_path / "validate0001.tfrecord"
    lost.unlink()
    assert write_dataset(rated(), tmp_path) == [lost]
    for path in folder.glob("*.tfrecord"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_frames_without_segments_are_those_of_earlier_versions(tmp_path):
    write_dataset(small(), tmp_path)
    # Bytes of the last frame of the second video, from the version before --segments. Rounding may differ by one step.
    for split, expected in (("train", [132, 70, 0, 102, 102, 255]), ("validate", [123, 187, 90, 165, 156, 205])):
        context, frames = parse_folder(tmp_path, split)[1]
        assert set(context) == {"id", "labels"}
        np.testing.assert_allclose(frames["rgb"][-1, :6].astype(int), expected, atol=1)


def test_segments_are_part_of_the_manifest_only_if_they_were_requested(tmp_path):
    for name, segments_given in (("with", True), ("without", False)):
        write_dataset(small(segments=segments_given), tmp_path / name)
        stored = json.loads((tmp_path / name / "synthetic.json").read_text())["synthetic"]
        assert stored.get("segments", "absent") == (True if segments_given else "absent")
    with pytest.raises(ValueError, match=r"with other settings: segments \(true there, not set here\)"):
        write_dataset(small(), tmp_path / "with")
    with pytest.raises(ValueError, match=r"with other settings: segments \(not set there, true here\)"):
        write_dataset(small(segments=True), tmp_path / "without")
