import gzip
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracles
from youtube8m_distill.export import kaggle, read_predictions, write_predictions

CLASSES = np.array([[3, 1], [0, 3861]], np.int32)
SCORES = np.array([[0.9, 1e-7], [1.0, 0.12345678]], np.float32)


def batch(*video_ids):
    return list(video_ids), CLASSES[: len(video_ids)], SCORES[: len(video_ids)]


def read(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding_errors="surrogateescape")


def test_the_file_equals_the_starter_codes_byte_for_byte(tmp_path):
    path = tmp_path / "new" / "predictions.csv"
    assert write_predictions(path, [batch(b"abcd", b"ef_-")]) == 2
    assert path.read_bytes() == b"VideoId,LabelConfidencePairs\nabcd,3 0.9 1 1e-07\nef_-,0 1 3861 0.123457\n"


@given(scores=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=25), first=st.integers(0, 40000))
@settings(max_examples=20, deadline=None)
def test_scores_are_written_with_six_significant_digits(tmp_path_factory, scores, first):
    path = tmp_path_factory.getbasetemp() / "any_score.csv"
    scores, classes = sorted(scores, reverse=True), list(range(first, first + len(scores)))
    write_predictions(path, [([b"id"], np.array([classes]), np.array([scores], np.float32))])
    assert path.read_bytes() == kaggle.HEADER + oracles.kaggle_line("id", classes, scores).encode()


def test_rows_keep_their_order_across_batches(tmp_path):
    many = [batch(b"b", b"a"), batch(b"c"), batch(), batch(b"a", b"0")]
    assert write_predictions(tmp_path / "many.csv", iter(many)) == 5
    frame = read(tmp_path / "many.csv")
    assert list(frame["VideoId"]) == ["b", "a", "c", "a", "0"]
    assert list(frame["LabelConfidencePairs"])[1:3] == ["0 1 3861 0.123457", "3 0.9 1 1e-07"]


@pytest.mark.parametrize("top_k, pairs", [(1, "3 0.9"), (20, "3 0.9 1 1e-07"), (None, "3 0.9 1 1e-07")])
def test_top_k_limits_the_pairs(tmp_path, top_k, pairs):
    write_predictions(tmp_path / "p.csv", [batch(b"abcd")], top_k)
    assert read(tmp_path / "p.csv")["LabelConfidencePairs"][0] == pairs


@given(
    ids=st.lists(
        st.one_of(
            st.binary(max_size=8).map(lambda video_id: video_id.replace(b"\0", b"")),
            st.text(",\"\r\n ab\t'é;=+-@NA0", max_size=8).map(str.encode),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("name", ["ids.csv", "ids.csv.gz"])
def test_any_id_is_restored_byte_for_byte(tmp_path_factory, name, ids):
    path = tmp_path_factory.getbasetemp() / name
    count = len(ids)
    write_predictions(path, [(ids, np.full([count, 2], [7, 0]), np.full([count, 2], [0.5, 0.25], np.float32))])
    found = read_predictions(path)
    assert found.video_ids == ids
    assert found.classes.dtype == np.int32 and found.classes.tolist() == [[7, 0]] * count
    assert found.scores.dtype == np.float32 and found.scores.tolist() == [[0.5, 0.25]] * count
    frame = read(path)  # pandas alone gives them back but for an apostrophe in front
    assert [video_id.removeprefix("'").encode("utf-8", "surrogateescape") for video_id in frame["VideoId"]] == ids
    assert set(frame["LabelConfidencePairs"]) == {"7 0.5 0 0.25"}


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "its first line is not VideoId,"),
        ("id,pairs\na,1 0.5\n", "its first line is not VideoId,"),
        ("a,1 0.5,\n", "too many values"),
        ("a,1 0.5\nb,1 0.5 2 0.25\n", "cannot reshape"),
        ("a,1 0.5 2\n", "cannot reshape"),
        ("a,1 much\n", "could not convert"),
        ('"a,1 0.5\n', "unexpected end of data"),
    ],
)
def test_a_file_that_is_not_a_predictions_csv_is_an_error(tmp_path, text, words):
    header = "" if not text or text.startswith("id") else kaggle.HEADER.decode()
    (tmp_path / "p.csv").write_text(header + text)
    with pytest.raises(ValueError, match=f"p.csv is not a CSV of predictions with an equal number .*{words}"):
        read_predictions(tmp_path / "p.csv")


def test_a_truncated_csv_is_an_error(tmp_path):
    write_predictions(tmp_path / "p.csv.gz", [batch(b"ab", b"cd")])
    (tmp_path / "p.csv.gz").write_bytes((tmp_path / "p.csv.gz").read_bytes()[:-9])
    with pytest.raises(ValueError, match="is not a CSV of predictions"):
        read_predictions(tmp_path / "p.csv.gz")


def test_a_csv_without_videos_is_read_as_empty(tmp_path):
    write_predictions(tmp_path / "p.csv", [])
    assert read_predictions(tmp_path / "p.csv").video_ids == []


def test_compressing_a_finished_csv_equals_writing_it_compressed(tmp_path):
    rows = [
        ([f"id{i}-{j}".encode() for j in range(300)], np.tile(CLASSES[:1], (300, 1)), np.tile(SCORES[:1], (300, 1)))
        for i in range(4)
    ]
    for name in ("p.csv", "p.csv.gz"):
        write_predictions(tmp_path / name, rows)
    kaggle.compress(tmp_path / "p.csv", tmp_path / "later.gz")
    assert (tmp_path / "later.gz").read_bytes() == (tmp_path / "p.csv.gz").read_bytes()


@pytest.mark.parametrize(
    "video_id, field",
    [
        (b"plain id", b"plain id"),
        (b"a,b", b'"a,b"'),
        (b'say "x"', b'"say ""x"""'),
        (b"two\nlines", b'"two\nlines"'),
        (b"one\rreturn", b'"one\rreturn"'),
        (b"", b""),
        (b"a\xff\xfe", b"a\xff\xfe"),
        ("é", "é".encode()),
        (b"a;b", b'"a;b"'),
        (b"a\tb", b'"a\tb"'),
        (b"=A1", b"'=A1"),
        (b"=A1,2", b'"\'=A1,2"'),
        (b"-abc_DEF123", b"-abc_DEF123"),
    ],
)
def test_an_id_is_quoted_only_if_necessary(tmp_path, video_id, field):
    write_predictions(tmp_path / "p.csv", [batch(video_id)])
    assert (tmp_path / "p.csv").read_bytes() == kaggle.HEADER + field + b",3 0.9 1 1e-07\n"


def test_a_gz_path_is_compressed_to_equal_bytes_each_time(tmp_path):
    for name in ("a.csv", "a.csv.gz", "other.csv.gz"):
        write_predictions(tmp_path / name, [batch(b"abcd", b"efgh")])
    compressed = (tmp_path / "a.csv.gz").read_bytes()
    assert gzip.decompress(compressed) == (tmp_path / "a.csv").read_bytes()
    assert compressed == (tmp_path / "other.csv.gz").read_bytes()
    assert compressed[4:8] == bytes(4)  # the time stamp of a gzip header
    assert list(pd.read_csv(io.BytesIO(compressed), compression="gzip")["VideoId"]) == ["abcd", "efgh"]


def test_without_videos_only_the_header_is_written(tmp_path):
    assert write_predictions(tmp_path / "p.csv", []) == 0
    assert (tmp_path / "p.csv").read_text() == "VideoId,LabelConfidencePairs\n"


@pytest.mark.parametrize("old", [None, "an older file"])
def test_an_error_while_writing_keeps_the_old_file(tmp_path, old):
    path = tmp_path / "p.csv"
    if old:
        path.write_text(old)

    def broken():
        yield batch(b"abcd")
        raise RuntimeError("the reader stopped")

    with pytest.raises(RuntimeError, match="the reader stopped"):
        write_predictions(path, broken())
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == ([("p.csv", old)] if old else [])


def test_each_batch_is_written_before_the_next_is_read(tmp_path):
    alive = []

    def counted():
        for _ in range(50):
            one = batch(b"abcd", b"efgh")
            alive.append(one[1])
            yield one

    written = []
    original = kaggle.csv_lines
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kaggle, "csv_lines", lambda *args: written.append(len(alive)) or original(*args))
        write_predictions(tmp_path / "p.csv", counted())
    assert written == list(range(1, 51))  # each is written before the next is asked for


@pytest.mark.parametrize(
    "rows, message",
    [
        (([b"ab", b"cd"], CLASSES, SCORES * [[1], [np.nan]]), "scores must be finite. .* video b'cd'"),
        (([b"ab", b"cd"], CLASSES, SCORES + [[np.inf], [0]]), "scores must be finite. .* video b'ab'"),
        (([b"ab", b"cd"], CLASSES, SCORES[:, ::-1]), "scores must not increase within a row.* for video b'ab'"),
        (([b"ab"], CLASSES, SCORES), r"Received 1 ids, classes \(2, 2\) and scores \(2, 2\)"),
        (([b"ab", b"cd"], CLASSES[:, :1], SCORES), r"Received 2 ids, classes \(2, 1\) and scores \(2, 2\)"),
        (([b"ab", b"cd"], SCORES, CLASSES), "classes must be integers from 0. Received dtype float32"),
        (([b"ab", b"cd"], CLASSES - 1, SCORES), "classes must be integers from 0. .*lowest -1"),
    ],
)
def test_an_invalid_batch_is_an_error_and_leaves_no_file(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        write_predictions(tmp_path / "p.csv", [batch(b"first"), rows])
    assert list(tmp_path.iterdir()) == []


def test_top_k_0_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="top_k=0: write at least 1"):
        write_predictions(tmp_path / "p.csv", [batch(b"abcd")], top_k=0)


def test_an_id_with_a_zero_byte_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="contains a zero byte"):
        write_predictions(tmp_path / "a.csv", [batch(b"a\0b")])
    assert not list(tmp_path.iterdir())
