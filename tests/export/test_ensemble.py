import fractions
import gzip
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from youtube8m_distill.export import ensemble, kaggle, write_predictions


def write(path, *lines, header=True):
    path.write_bytes((kaggle.HEADER if header else b"") + "".join(f"{line}\n" for line in lines).encode())
    return path


def average(paths, weights=None, top_k=20):
    """[(id, classes, scores)] of the average of some files."""
    rows = ensemble.average_rows(paths, weights or [1.0] * len(paths), top_k)
    return [(row.video_id, row.classes, row.scores) for row in rows]


def copied(source, path, weights, top_k=20):
    """The bytes of the average of a file with itself."""
    rows = ensemble.average_rows([source] * len(weights), weights, top_k)
    write_predictions(path, (([row.video_id], [row.classes], [row.scores]) for row in rows))
    return path.read_bytes()


def oracle(rows, weights, top_k):
    """Classes and averages, as fractions: from [(class, confidence as text)] of each file, listed without ties of places."""
    total = sum(map(fractions.Fraction, weights))
    sums = {
        c: sum(fractions.Fraction(w) * fractions.Fraction(dict(row).get(c, "0")) for row, w in zip(rows, weights)) / total
        for row in rows
        for c, _ in row
    }
    return sums, sorted(sums.values(), reverse=True)[:top_k]


def test_an_average_is_weighted_and_a_missing_class_counts_as_0(tmp_path):
    a = write(tmp_path / "a.csv", "v1,3 0.9 1 0.5", "v2,1 0.25")
    b = write(tmp_path / "b.csv", "v1,2 1 3 0.4", "v2,1 0.75")
    assert average([a, b]) == [(b"v1", [3, 2, 1], [0.65, 0.5, 0.25]), (b"v2", [1], [0.5])]
    assert average([a, b], [3, 1]) == [(b"v1", [3, 1, 2], [0.775, 0.375, 0.25]), (b"v2", [1], [0.375])]
    assert average([a, b], [0.3, 0.1]) == average([a, b], [3, 1])
    assert average([a, b], top_k=1) == [(b"v1", [3], [0.65]), (b"v2", [1], [0.5])]


TEXTS = st.one_of(st.floats(0, 1, width=32).map(lambda value: f"{value:g}"), st.sampled_from(["0", "1", "0.1", "1e-07"]))
ROWS = st.lists(st.tuples(st.integers(0, 6), TEXTS), min_size=1, max_size=7, unique_by=lambda pair: pair[0])


@given(rows=st.lists(ROWS, min_size=2, max_size=3), data=st.data(), top_k=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_averages_equal_exact_fractions(tmp_path_factory, rows, data, top_k):
    weights = [data.draw(st.sampled_from(["0.1", "0.3", "0.7", "1", "2e-3"])) for _ in rows]
    folder = tmp_path_factory.getbasetemp()
    paths = [
        write(folder / f"{number}.csv", "v," + " ".join(f"{c} {text}" for c, text in row)) for number, row in enumerate(rows)
    ]
    ((_, classes, scores),) = average(paths, [float(weight) for weight in weights], top_k)
    by_class, best = oracle(rows, weights, top_k)
    assert [by_class[c] for c in classes] == best and len(set(classes)) == len(classes)
    assert scores == [float(value) for value in best]


def test_equal_averages_are_ordered_by_place_and_then_by_class(tmp_path):
    a, b = write(tmp_path / "a.csv", "v,9 0.7 2 0.3 5 0.1"), write(tmp_path / "b.csv", "v,2 0.7 9 0.3 5 0.1")
    assert average([a, b])[0][1:] == ([2, 9, 5], [0.5, 0.5, 0.1])
    c = write(tmp_path / "c.csv", "v,9 0.5 2 0.5 5 0.5")
    assert average([c, c])[0][1] == [9, 2, 5]
    assert average([c, write(tmp_path / "d.csv", "v,5 0.5 2 0.5 9 0.5")])[0][1] == [2, 5, 9]


def test_equality_is_not_lost_to_rounding(tmp_path):
    assert 0.7 * 0.1 + 0.3 * 0.8 > 0.7 * 0.4 + 0.3 * 0.1  # as floats; both are 0.31
    a, b = write(tmp_path / "a.csv", "v,8 0.4 4 0.1"), write(tmp_path / "b.csv", "v,4 0.8 8 0.1")
    assert average([a, b], [0.7, 0.3])[0][1:] == ([8, 4], [0.31, 0.31])


IDS = st.text("ab ,\"\n'é;=-@", max_size=5).map(str.encode)
WEIGHTS = st.lists(st.floats(1e-300, 1e300), min_size=2, max_size=4)


@given(ids=st.lists(IDS, min_size=1, max_size=4), seed=st.integers(0, 99), weights=WEIGHTS, k=st.integers(1, 20))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", ["self.csv", "self.csv.gz"])
def test_a_file_averaged_with_itself_stays_the_same_byte_for_byte(tmp_path_factory, name, ids, seed, weights, k):
    source, random = tmp_path_factory.getbasetemp() / name, np.random.default_rng(seed)
    # In six digits, many of the scores are equal, and classes with equal ones are in no order.
    scores = -np.sort(-np.concatenate([random.choice([0, 1e-45, 0.5, 0.50000006, 0.99999994, 1], (len(ids), 10)),
                                       random.uniform(0, 1, (len(ids), 10))], axis=1).astype(np.float32))  # fmt: skip
    classes = np.array([random.permutation(3862)[:20] for _ in ids])
    write_predictions(source, [(ids, classes, scores)], k)
    assert copied(source, source.with_name(f"of_{name}"), weights) == source.read_bytes()


def test_a_header_may_be_missing_and_files_may_be_compressed(tmp_path):
    a = write(tmp_path / "a.csv", "v1,3 0.9", "v2,1 0.25")
    bare = write(tmp_path / "bare.csv", "v1,3 0.9", "v2,1 0.25", header=False)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(a.read_bytes()))
    (tmp_path / "windows.csv").write_bytes(a.read_bytes().replace(b"\n", b"\r\n"))
    (tmp_path / "excel.csv").write_bytes(b"\xef\xbb\xbf" + a.read_bytes().replace(b"\n", b"\r\n"))
    for other in (bare, tmp_path / "a.csv.gz", tmp_path / "windows.csv", tmp_path / "excel.csv"):
        assert average([a, other]) == average([other, a]) == average([a, a])


def test_files_are_read_row_by_row(tmp_path):
    count = 20_000
    path = write(tmp_path / "a.csv", *(f"v{i},1 0.5" for i in range(count)), "broken")
    rows = ensemble.average_rows([path, path], [1, 1], 20)
    assert len(list(itertools.islice(rows, count))) == count  # the error comes only when its row is read
    with pytest.raises(ValueError, match=f"a.csv, line {count + 2}: has 1 field"):
        next(rows)


@pytest.mark.parametrize(
    "line, words",
    [
        ("v2", "has 1 field(s) instead of a video id and its pairs"),
        ("v2,1 0.5,2", "has 3 field(s)"),
        ("", "has 0 field(s)"),
        ("v2,", "holds 0 number(s) instead of pairs"),
        ("v2,1 0.5 2", "holds 3 number(s) instead of pairs"),
        ("v2,-1 0.5", "class '-1' is not a whole number from 0 to 2147483647"),
        ("v2,1.0 0.5", "class '1.0' is not a whole number"),
        ("v2,2147483648 0.5", "class '2147483648' is not a whole number"),
        ("v2,1 0.5 2 0.4 1 0.3", "lists class 1 more than once"),
        ("v2,1 1.5", "confidence '1.5' is not a number from 0 to 1"),
        ("v2,1 -0.1", "confidence '-0.1' is not"),
        ("v2,1 nan", "confidence 'nan' is not"),
        ("v2,1 inf", "confidence 'inf' is not"),
        ("v2,1 0_1", "confidence '0_1' is not"),
        ("v2,1 1.2.3", "confidence '1.2.3' is not"),
        ("v2,1 much", "confidence 'much' is not"),
        ('"v2,1 0.5', "unexpected end of data"),
    ],
)
def test_an_invalid_row_is_named_by_file_and_line(tmp_path, line, words):
    good = write(tmp_path / "good.csv", "v1,1 0.5", "v2,1 0.5")
    bad = write(tmp_path / "bad.csv", "v1,1 0.5", line)
    with pytest.raises(ValueError) as refused:
        average([good, bad])
    assert str(refused.value).startswith(f"{bad}, line 3: {words}")


def test_lines_are_counted_as_in_an_editor(tmp_path):
    path = write(tmp_path / "a.csv", '"two\nlines",1 0.5', "v2,1 2")
    with pytest.raises(ValueError, match=r"a.csv, line 4: confidence '2'"):
        average([path, path])


def test_the_first_video_that_differs_is_named(tmp_path):
    a, b = write(tmp_path / "a.csv", "v1,1 0.5", "v2,1 0.5"), write(tmp_path / "b.csv", "v1,1 0.5", "v3,1 0.5")
    short = write(tmp_path / "short.csv", "v1,1 0.5", header=False)
    advice = ". The files must hold the same videos in the same order: predict the same files, or sort each by id."
    for paths, words in (
        ([a, b], f"{b}, line 3: video 'v3', but {a}, line 3, has video 'v2'"),
        ([a, a, short], f"{short} ends, but {a}, line 3, has video 'v2'"),
        ([short, a], f"{short} ends, but {a}, line 3, has video 'v2'"),
    ):
        with pytest.raises(ValueError) as refused:
            average(paths)
        assert str(refused.value) == words + advice


def test_a_truncated_file_is_named(tmp_path):
    a = write(tmp_path / "a.csv", "v1,1 0.5")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(a.read_bytes())[:-9])
    with pytest.raises(ValueError, match="b.csv.gz, line .*: "):
        average([a, tmp_path / "b.csv.gz"])
