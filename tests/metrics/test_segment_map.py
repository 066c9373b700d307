import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracles
from youtube8m_distill.metrics.segment_map import map_of_scores, map_of_submission

CLASSES = (7, 3, 9, 5)
SEGMENTS = [(video_id, start) for video_id in (b"abcd", b"efgh", b"ijkl") for start in (0, 5, 10)]
A, B, C, D = SEGMENTS[:4]


@st.composite
def submissions(draw):
    """({class: ranked segments} of some of CLASSES, {class: {segment: positive}}, K)."""
    rankings = {
        c: draw(st.permutations(SEGMENTS))[: draw(st.integers(0, 9))] for c in draw(st.sets(st.sampled_from(CLASSES)))
    }
    ratings = st.dictionaries(st.sampled_from(SEGMENTS), st.booleans(), max_size=9)
    rated = draw(st.dictionaries(st.sampled_from((*CLASSES, 4)), ratings))
    return rankings, rated, draw(st.integers(1, 10))


@given(drawn=submissions())
@settings(max_examples=60, deadline=None)
def test_both_means_of_a_submission_equal_the_oracles(drawn):
    rankings, rated, k = drawn
    found = map_of_submission(rankings.items(), rated, CLASSES, k)
    by_class = oracles.average_precisions_at_k(rankings, rated, CLASSES, k)
    for c, value, positives in zip(found.classes, found.average_precision, found.num_positives):
        assert positives == sum(rated.get(c, {}).values())
        assert np.isnan(value) if c not in by_class else value == pytest.approx(by_class[c], abs=1e-12)
    assert found.map_at_k == pytest.approx(sum(by_class.values()) / max(len(by_class), 1), abs=1e-12)
    assert found.map_at_k_all_classes == pytest.approx(sum(by_class.values()) / len(CLASSES), abs=1e-12)


@given(drawn=submissions())
@settings(max_examples=30, deadline=None)
def test_unrated_segments_change_nothing_and_hits_at_the_top_never_hurt(drawn):
    rankings, rated, _ = drawn
    whole = map_of_submission(rankings.items(), rated, CLASSES)
    only_rated = {c: [s for s in segments if s in rated.get(c, {})] for c, segments in rankings.items()}
    assert map_of_submission(only_rated.items(), rated, CLASSES).map_at_k == whole.map_at_k
    hits_first = {c: sorted(ids, key=lambda s: not rated.get(c, {}).get(s)) for c, ids in rankings.items()}
    assert map_of_submission(hits_first.items(), rated, CLASSES).map_at_k >= whole.map_at_k


def test_average_precision_of_a_submission_equals_a_hand_computed_value():
    rated = {7: {A: True, B: False, C: True, SEGMENTS[5]: True}, 3: {A: True}}
    # Class 7 without the unrated D: positive, negative, positive of three positives. Class 3 is not submitted.
    found = map_of_submission([(7, [A, D, B, C])], rated, CLASSES)
    assert found.average_precision[0] == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert found.map_at_k == pytest.approx((1 / 1 + 2 / 3) / 3 / 2)
    assert found.map_at_k_all_classes == pytest.approx((1 / 1 + 2 / 3) / 3 / 4)
    assert found.num_rated.tolist() == [4, 1, 0, 0] and found.num_ranked.tolist() == [3, 0, 0, 0]


def test_the_ranking_is_cut_before_unrated_segments_are_removed():
    rated = {7: {A: True, B: True}}
    assert map_of_submission([(7, [D, A, B])], rated, [7], top_n=2).map_at_k == 1 / 2
    assert map_of_submission([(7, [D, A, B])], rated, [7], top_n=3).map_at_k == 1.0


def test_the_last_segment_of_a_row_counts():
    assert map_of_submission([(7, [A, B])], {7: {A: False, B: True}}, [7]).map_at_k == 1 / 2


def test_a_class_without_positives_is_left_out_of_one_mean_and_zero_in_the_other():
    found = map_of_submission([(7, [A]), (3, [A])], {7: {A: True}, 3: {A: False}}, [7, 3])
    assert (found.map_at_k, found.map_at_k_all_classes) == (1.0, 0.5)
    assert np.isnan(found.average_precision[1])


def test_a_missing_class_with_positives_counts_as_zero():
    assert map_of_submission([(7, [A])], {7: {A: True}, 3: {A: True}}, [7, 3]).map_at_k == 0.5


def test_a_submission_of_unrated_segments_scores_zero():
    found = map_of_submission([(7, [C, D])], {7: {A: True}}, [7])
    assert found.map_at_k == found.map_at_k_all_classes == 0.0 and found.num_ranked.tolist() == [0]


def test_without_any_positive_both_means_are_zero():
    found = map_of_submission([(7, [A])], {7: {A: False}}, [7])
    assert found.map_at_k == found.map_at_k_all_classes == 0.0


@pytest.mark.parametrize(
    "rankings, words",
    [
        ([(7, [A, B, C, B])], "class 7 names the segment abcd:5 twice"),
        ([(7, [A]), (7, [B])], "class 7 has more than one ranking"),
        ([(8, [A])], "class 8 is not one of the 4 classes of the list"),
    ],
)
def test_an_invalid_submission_is_refused(rankings, words):
    with pytest.raises(ValueError, match=words):
        map_of_submission(rankings, {}, CLASSES, top_n=1)


@pytest.mark.parametrize(
    "classes, top_n, words",
    [([], 1, "Received 0, 0 distinct"), ([1, 2, 1], 1, "Received 3, 2 distinct"), ([1], 0, "top_n=0")],
)
def test_an_invalid_list_or_k_is_refused(classes, top_n, words):
    with pytest.raises(ValueError, match=words):
        map_of_submission([], {}, classes, top_n)
    with pytest.raises(ValueError, match=words):
        map_of_scores([], [], [], classes, top_n)


# ---- scores of rated pairs

TIED = st.sampled_from([0.0, 0.25, 0.5, 1.0])
PAIRS = st.lists(st.tuples(st.sampled_from((*CLASSES, 4)), TIED, st.booleans()), max_size=30)


def of_pairs(pairs, classes=CLASSES, k=100):
    return map_of_scores([c for c, _, _ in pairs], [s for _, s, _ in pairs], [p for _, _, p in pairs], classes, k)


@given(pairs=PAIRS, k=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_both_means_of_scores_equal_the_oracles_with_equal_scores(pairs, k):
    by_class = {}
    for c in CLASSES:
        own = [(score, positive) for other, score, positive in pairs if other == c]
        lowest = sorted((score for score, _ in own), reverse=True)[min(k, len(own)) - 1] if own else 0
        if any(positive for _, positive in own):
            counted = [pair for pair in own if pair[0] >= lowest]
            by_class[c] = oracles.grouped_average_precision(counted, sum(positive for _, positive in own))
    found = of_pairs(pairs, k=k)
    assert found.map_at_k == pytest.approx(sum(by_class.values()) / max(len(by_class), 1), abs=1e-12)
    assert found.map_at_k_all_classes == pytest.approx(sum(by_class.values()) / len(CLASSES), abs=1e-12)


@given(order=st.permutations(range(24)), positive=st.lists(st.booleans(), min_size=24, max_size=24), k=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_without_equal_scores_a_submission_and_scores_have_the_same_value(order, positive, k):
    pairs = [(CLASSES[i % 3], score / 24, positive[i]) for i, score in enumerate(order)]
    segments = [(b"v%d" % i, 0) for i in range(24)]
    rated = {c: {s: p for s, (other, _, p) in zip(segments, pairs) if other == c} for c in CLASSES}
    rankings = {
        c: [s for _, s in sorted(((-score, s) for s, (other, score, _) in zip(segments, pairs) if other == c))]
        for c in CLASSES
    }
    ours, theirs = of_pairs(pairs, k=k), map_of_submission(rankings.items(), rated, CLASSES, k)
    for name in ("average_precision", "num_positives", "num_rated", "num_ranked"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    assert (ours.map_at_k, ours.map_at_k_all_classes) == (theirs.map_at_k, theirs.map_at_k_all_classes)


@given(pairs=PAIRS, seed=st.integers(0, 99), k=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_the_order_of_scored_pairs_does_not_change_the_result(pairs, seed, k):
    shuffled = [pairs[i] for i in np.random.default_rng(seed).permutation(len(pairs))]
    assert of_pairs(shuffled, k=k).map_at_k == of_pairs(pairs, k=k).map_at_k


def test_a_group_of_equal_scores_that_k_cuts_counts_as_a_whole():
    pairs = [(7, 0.9, False), (7, 0.5, True), (7, 0.5, False), (7, 0.1, True)]
    found = of_pairs(pairs, [7], k=2)
    assert found.map_at_k == pytest.approx(1 / 3 / 2) and found.num_ranked.tolist() == [3]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (([7, 7], [0.5, np.nan], [True, False]), "scores must be finite. Received 1 .* the first in row 1"),
        (([7, 7], [0.5], [True, False]), "must be flat and of the same length"),
        (([[7]], [[0.5]], [[True]]), r"must be flat .* Received \(1, 1\)"),
    ],
)
def test_invalid_scores_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        map_of_scores(*arguments, [7], 1)
