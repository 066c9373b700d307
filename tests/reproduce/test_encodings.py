"""The choices and numbers of Figure 3, compared with slow loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reproduce import encodings

LABELS = arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 7)), elements=st.integers(0, 1))
SOME = arrays.arrays(
    np.float64, st.shared(st.tuples(st.integers(1, 6), st.integers(1, 3)), key="shape"), elements=st.integers(-5, 5)
)


@pytest.fixture
def random():
    return np.random.default_rng(0)


def slow_classes(labels, count, most_overlap):
    """By sets of videos: a class is added if no class then shares too many of its videos."""
    videos = {index: {row for row, has in enumerate(labels[:, index]) if has} for index in range(labels.shape[1])}
    chosen = []
    for index in sorted(videos, key=lambda index: (-len(videos[index]), index)):
        wanted = [*chosen, index]
        shared = [
            sum(any(video in videos[other] for other in wanted if other != one) for video in videos[one]) for one in wanted
        ]
        if (
            len(chosen) < count
            and videos[index]
            and all(number <= most_overlap * len(videos[one]) for number, one in zip(shared, wanted))
        ):
            chosen = wanted
    return chosen


@given(LABELS, st.integers(1, 5), st.sampled_from([0, 0.25, 0.5, 1]))  # exact in binary
@settings(max_examples=40)
def test_classes_agree_with_a_slow_loop(labels, count, most_overlap):
    assert encodings.choose_classes(labels, count, (most_overlap,)) == slow_classes(labels, count, most_overlap)


@given(LABELS, st.integers(1, 5))
@settings(max_examples=40)
def test_the_smallest_overlap_that_allows_enough_classes_is_used(labels, count):
    tried = [slow_classes(labels, count, most_overlap) for most_overlap in (0.25, 0.5, 1)]
    expected = next((chosen for chosen in tried if len(chosen) == count), tried[-1])
    assert encodings.choose_classes(labels, count, (0.25, 0.5, 1)) == expected


def test_the_most_frequent_class_is_first_and_its_subclass_is_skipped():
    labels = np.zeros((100, 4), np.uint8)
    labels[:60, 2] = 1  # the most frequent
    labels[:30, 0] = 1  # always with class 2
    labels[60:80, 3] = 1  # alone
    labels[80:, 1] = 1  # alone, as frequent as class 3, and before it
    assert encodings.choose_classes(labels) == [2, 1, 3]


@pytest.mark.parametrize("together, chosen", [(1, [0, 1]), (2, [0])])
def test_a_class_may_share_at_most_a_tenth_of_its_videos(together, chosen):
    labels = np.zeros((40, 2), np.uint8)
    labels[:20, 0] = 1
    labels[20 - together : 30 - together, 1] = 1  # of ten videos
    assert encodings.choose_classes(labels, overlaps=(0.1,)) == chosen


def test_without_labels_there_are_no_classes_and_no_videos():
    labels = np.zeros((3, 4), np.uint8)
    assert encodings.choose_classes(labels) == []
    assert encodings.choose_videos(labels, []).tolist() == []


@given(LABELS, st.integers(1, 4), st.data())
@settings(max_examples=40)
def test_videos_agree_with_a_slow_loop(labels, per_class, data):
    classes = data.draw(st.lists(st.integers(0, labels.shape[1] - 1), unique=True))
    counts, expected = dict.fromkeys(classes, 0), []
    for row, video in enumerate(labels):
        of_video = [index for index in classes if video[index]]
        if len(of_video) == 1 and counts[of_video[0]] < per_class:
            counts[of_video[0]] += 1
            expected.append(row)
    assert encodings.choose_videos(labels, classes, per_class).tolist() == expected


def test_counts_above_255_do_not_overflow():
    labels = np.ones((700, 1), np.uint8)
    assert len(encodings.choose_videos(labels, encodings.choose_classes(labels), per_class=400)) == 400


@given(SOME, SOME)
@settings(max_examples=50)
def test_closeness_agrees_with_slow_loops(teacher, student):
    def squared(one, other):
        return sum((a - b) ** 2 for a, b in zip(one, other))

    mean = [sum(column) / len(teacher) for column in teacher.T]
    spread = sum(squared(row, mean) for row in teacher)
    own = [
        all(squared(student[i], teacher[i]) < squared(student[i], teacher[j]) for j in range(len(teacher)) if j != i)
        for i in range(len(teacher))
    ]
    found = encodings.closeness(teacher, student)
    assert found["nearest_is_own"] == pytest.approx(sum(own) / len(own))
    if spread > 1e-9:
        assert found["relative_distance"] == pytest.approx(sum(map(squared, teacher, student)) / spread)
    else:
        assert math.isnan(found["relative_distance"]) or found["relative_distance"] > 1e9  # 0 apart from rounding


def test_closeness_is_0_for_equal_encodings_and_1_for_the_mean(random):
    teacher = random.normal(size=(50, 8)).astype(np.float32)
    assert encodings.closeness(teacher, teacher) == {"relative_distance": 0, "nearest_is_own": 1}
    mean = np.tile(teacher.mean(axis=0), (50, 1))
    found = encodings.closeness(teacher, mean)
    assert found["relative_distance"] == pytest.approx(1, abs=1e-6)
    assert found["nearest_is_own"] == 1 / 50  # the mean is nearest to one of them


def test_closeness_is_nan_for_a_constant_teacher():
    same = np.ones((4, 2), np.float32)
    found = encodings.closeness(same, same)
    assert math.isnan(found["relative_distance"]) and found["nearest_is_own"] == 0


@pytest.mark.parametrize("num_videos, size", [(1, 4), (2, 1), (5, 3)])
def test_the_projection_is_deterministic_for_any_number_of_videos(num_videos, size, random):
    teacher = random.normal(size=(num_videos, size))
    student = teacher + 0.01 * random.normal(size=teacher.shape)
    one, other = encodings.project(teacher, student), encodings.project(teacher, student)
    for first, second in zip(one, other):
        assert first.shape == (num_videos, 2) and np.isfinite(first).all()
        np.testing.assert_array_equal(first, second)


def test_the_projection_keeps_videos_together_and_classes_apart(random):
    teacher = np.concatenate([random.normal(size=(15, 16)), 20 + random.normal(size=(15, 16))])
    teachers, students = encodings.project(teacher, teacher + 0.05 * random.normal(size=teacher.shape))
    apart = np.linalg.norm(teachers[:15].mean(axis=0) - teachers[15:].mean(axis=0))
    # t-SNE only finds a local minimum, which may misplace one of them.
    assert np.quantile(np.linalg.norm(teachers - students, axis=1), 0.9) < 0.01 * apart


@pytest.mark.parametrize("num_videos, expected", [(500, 30), (45, 89 / 3), (2, 1), (1, 1 / 3)])  # by hand
def test_perplexity_is_at_most_a_third_of_the_neighbors(num_videos, expected):
    assert encodings.perplexity(num_videos) == pytest.approx(expected)


def test_projecting_no_videos_is_refused():
    with pytest.raises(ValueError, match="no held-out video has exactly one"):
        encodings.project(np.zeros((0, 4)), np.zeros((0, 4)))
