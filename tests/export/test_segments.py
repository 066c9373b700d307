import csv
import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from youtube8m_distill.export import ClassSegments, read_segments, write_segments
from youtube8m_distill.export.segments import read_classes

ROWS = [ClassSegments(7, [b"abcd", b"efgh", b"abcd"], [5, 0, 10]), ClassSegments(3, [b"ijkl"], [295])]
TEXT = "7,abcd:5 efgh:0 abcd:10\n3,ijkl:295\n"
EXPECTED = [(7, [b"abcd", b"efgh", b"abcd"], [5, 0, 10]), (3, [b"ijkl"], [295])]


def contents(path):
    return [(row.class_index, row.video_ids, row.starts.tolist()) for row in read_segments(path)]


def test_every_class_of_the_list_has_a_row_in_its_order(tmp_path):
    path = tmp_path / "new" / "s.csv"
    assert write_segments(path, ROWS, classes=[9, 7, 1, 3, 2]) == 4
    assert path.read_bytes() == b"Class,Segments\n9,\n7,abcd:5 efgh:0 abcd:10\n1,\n3,ijkl:295\n2,\n"
    assert read_classes(path) == [9, 7, 1, 3, 2]
    assert contents(path) == [(9, [], []), EXPECTED[0], (1, [], []), EXPECTED[1], (2, [], [])]
    assert all(row.starts.dtype == np.int32 for row in read_segments(path))


@pytest.mark.parametrize(
    "header", ["", "Class,Segments\n", "Class Id,Segment Ids\n", "\ufeffClass,Segments\n", '"Class","Segments"\n']
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_of_other_programs_are_read(tmp_path, header, end):
    path = tmp_path / "s.csv"
    path.write_bytes((header + TEXT + "\n").replace("\n", end).encode())
    assert contents(path) == EXPECTED
    path.write_bytes((header + TEXT.removesuffix("\n")).replace("\n", end).encode())
    assert contents(path) == EXPECTED
    path.write_bytes((header + '"7","abcd:5 efgh:0  abcd:10 "\n3,"ijkl:295"').replace("\n", end).encode())
    assert contents(path) == EXPECTED


@given(
    ids=st.lists(
        st.one_of(st.binary(max_size=6), st.text(",\";: 'é=+-@|!(A0", max_size=8).map(str.encode)).filter(
            lambda video_id: b"\0" not in video_id and (video_id + b":").split() == [video_id + b":"]
        ),
        max_size=4,
    ),
    start=st.integers(0, 10**9 - 1),
)
@settings(max_examples=80, deadline=None)
@pytest.mark.parametrize("name", ["ids.csv", "ids.csv.gz"])
def test_any_id_without_whitespace_is_restored_byte_for_byte(tmp_path_factory, name, ids, start):
    path = tmp_path_factory.getbasetemp() / name
    write_segments(path, [ClassSegments(0, ids, [start] * len(ids))], classes=[0])
    assert contents(path) == [(0, ids, [start] * len(ids))]
    with (gzip.open if name.endswith("gz") else open)(path, "rt", encoding="utf-8", errors="surrogateescape") as file:
        header, (c, cell) = csv.reader(file)  # Python's own reader finds the same cells
    segments = cell.removeprefix("'").encode("utf-8", "surrogateescape")
    assert (header, c, segments.split()) == (["Class", "Segments"], "0", [b"%s:%d" % (i, start) for i in ids])


@pytest.mark.parametrize(
    "ids, cell",
    [
        ([b"-abc", b"=1+2"], b"'-abc:5 =1+2:5"),
        ([b"-abc", b"x_-9"], b"-abc:5 x_-9:5"),
        ([b"=A1"], b"'=A1:5"),
        ([b"+1"], b"'+1:5"),
        ([b"@x"], b"'@x:5"),
        ([b"-x|y!A0"], b"'-x|y!A0:5"),
        ([b"ab", b"=A1"], b"ab:5 =A1:5"),
        ([b"'a"], b"''a:5"),
        ([b"a,b"], b'"a,b:5"'),
        ([b'say"x"'], b'"say""x"":5"'),
        ([b"a;b"], b'"a;b:5"'),
        ([b"a:b:c"], b"a:b:c:5"),
        ([b""], b":5"),
    ],
)
def test_a_row_is_quoted_or_protected_only_if_necessary(tmp_path, ids, cell):
    write_segments(tmp_path / "s.csv", [ClassSegments(4, ids, [5] * len(ids))], classes=[4])
    assert (tmp_path / "s.csv").read_bytes() == b"Class,Segments\n4," + cell + b"\n"


def test_a_gz_path_is_compressed_to_equal_bytes_each_time(tmp_path):
    for name in ("a.csv", "a.csv.gz", "other.csv.gz"):
        write_segments(tmp_path / name, ROWS, classes=[7, 3])
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == (tmp_path / "a.csv").read_bytes()
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "other.csv.gz").read_bytes()


def test_a_row_of_100_000_segments_is_read(tmp_path):
    write_segments(tmp_path / "s.csv", [ClassSegments(7, [b"abcd"] * 10**5, np.arange(10**5))], classes=[7])
    (row,) = read_segments(tmp_path / "s.csv")
    assert len(row.video_ids) == 10**5 and row.starts[-1] == 99_999


@pytest.mark.parametrize(
    "row, words",
    [
        (ClassSegments(7, [b"a b"], [0]), "b'a b' contains whitespace or a zero byte"),
        (ClassSegments(7, [b"fine", b"a\n"], [0, 0]), r"b'a\\n' contains whitespace"),
        (ClassSegments(7, [b"fine", b" a"], [0, 0]), "b' a' contains whitespace"),
        (ClassSegments(7, [b"a\0"], [0]), r"b'a\\x00' contains whitespace or a zero byte"),
        (ClassSegments(7, [b"a"], [-5]), "starts of class 7 must be whole seconds from 0. Received dtype int64, -5 to -5"),
        (ClassSegments(7, [b"a"], [0.5]), "Received dtype float64"),
        (ClassSegments(7, [b"a"], [10**9]), "1000000000 to 1000000000"),
        (ClassSegments(7, [b"a"], [0, 5]), r"class 7 must have one start for each id. Received 1 ids and starts \(2,\)"),
        (ClassSegments(8, [], []), "class 8 is not in the class list, or its row is out of order"),
        (ClassSegments(1, [], []), "class 1 is not in the class list, or its row is out of order"),
    ],
)
def test_an_invalid_row_is_refused_and_the_old_file_stays(tmp_path, row, words):
    (tmp_path / "s.csv").write_text("old")
    with pytest.raises(ValueError, match=words):
        write_segments(tmp_path / "s.csv", [ClassSegments(5, [], []), row], classes=[1, 5, 7])
    assert (tmp_path / "s.csv").read_text() == "old"


@pytest.mark.parametrize(
    "text, words",
    [
        ("7,abcd:5\n3,a:0\n7,\n", "line 3: class 7 is a duplicate of line 1"),
        ("Class,Segments\nseven,a:0\n", "line 2: 'seven' is not a class, a whole number from 0"),
        ("Class,Names\n7,a:0\n", "line 1: 'Class' is not a class"),
        ("7.0,a:0\n", "line 1: '7.0' is not a class"),
        ("-7,a:0\n", "line 1: '-7' is not a class"),
        ("9999999999,a:0\n", "line 1: '9999999999' is not a class"),
        ("7\n", "line 1: has no comma after the class"),
        (",a:5\n", "line 1: '' is not a class"),
        ("7,abcd\n", "line 1: 'abcd' is not `video_id:start`"),
        ("7,a:0 abcd:\n", "line 1: the start of 'abcd:' is not a whole number of seconds from 0"),
        ("7,a:0 abcd:1.5\n", "line 1: the start of 'abcd:1.5' is not"),
        ("7,a:0 abcd:-5\n", "line 1: the start of 'abcd:-5' is not"),
        ("7,abcd:0,efgh:5\n", None),
        ("7,abcd:0,efgh\n", "line 1: the start of 'abcd:0,efgh' is not"),
    ],
)
def test_a_file_that_is_not_such_a_csv_is_refused_with_the_line(tmp_path, text, words):
    (tmp_path / "s.csv").write_text(text)
    if words is None:  # a comma in an id needs no quotes to be understood
        assert contents(tmp_path / "s.csv") == [(7, [b"abcd:0,efgh"], [5])]
        return
    with pytest.raises(ValueError) as raised:
        contents(tmp_path / "s.csv")
    assert str(raised.value).startswith(f"{tmp_path}/s.csv, {words}")


def test_a_truncated_or_missing_file_is_named(tmp_path):
    write_segments(tmp_path / "s.csv.gz", ROWS, classes=[7, 3])
    (tmp_path / "s.csv.gz").write_bytes((tmp_path / "s.csv.gz").read_bytes()[:-9])
    with pytest.raises(ValueError, match="s.csv.gz is not a complete gzip file"):
        contents(tmp_path / "s.csv.gz")
    (tmp_path / "t.csv.gz").write_text(TEXT)
    with pytest.raises(ValueError, match="t.csv.gz is not a complete gzip file"):
        contents(tmp_path / "t.csv.gz")
    with pytest.raises(OSError, match="none.csv cannot be read: No such file"):
        contents(tmp_path / "none.csv")
