import csv
import types

import pytest

from tests import records
from youtube8m_distill.data import tfrecord
from youtube8m_distill.data.exclusions import Fault, exclude, read_exclusions, write_exclusions
from youtube8m_distill.data.find_files import find_files, require_records
from youtube8m_distill.errors import SettingError


def report(*faults):
    return types.SimpleNamespace(faults=faults)


@pytest.fixture
def shards(tmp_path):
    """Three files of four records."""
    for name in "abc":
        records.write(tmp_path / name, [b"one", b"two", b"three", b"four"])
    return find_files(f"{tmp_path}/?")


def excluded(shards):
    return {shard.path.rsplit("/", 1)[-1]: shard.excluded for shard in shards}


def test_a_list_is_read_as_it_was_written(tmp_path):
    odd = f'{tmp_path}/a, "b"\nc'
    faults = (Fault(odd, 1, "label 5 is listed more than once"), Fault(f"{tmp_path}/d", None, "from record 39 on damaged"))
    write_exclusions(tmp_path / "out" / "list.csv", report(*faults))
    assert read_exclusions(tmp_path / "out" / "list.csv") == faults
    with open(tmp_path / "out" / "list.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["file", "record", "reason"],
            [odd, "1", "label 5 is listed more than once"],
            [f"{tmp_path}/d", "", "from record 39 on damaged"],
        ]


def test_no_file_name_is_a_formula_to_a_spreadsheet(tmp_path):
    write_exclusions(tmp_path / "r.csv", report(Fault("=cmd", 3, "bad"), Fault("x\udcff", None, "cut")))
    assert (tmp_path / "r.csv").read_text() == "file,record,reason\n./=cmd,3,bad\nx\\udcff,,cut\n"


def test_listed_records_are_excluded_and_files_without_others_are_dropped(shards):
    a, b, c = (shard.path for shard in shards)
    faults = [Fault(a, 2, "bad"), Fault(a, 0, "bad"), *(Fault(b, number, "bad") for number in range(4)), Fault(c, 9, "bad")]
    assert excluded(exclude(shards, faults)) == {"a": (0, 2), "c": (9,)}
    assert exclude(shards, ()) == shards
    with pytest.raises(tfrecord.BadFileError, match="a: every record is excluded"):
        exclude(shards[:1], [Fault(a, number, "bad") for number in range(4)])


def test_of_a_damaged_file_the_records_before_the_damage_stay(shards, tmp_path):
    (tmp_path / "b").write_bytes((tmp_path / "b").read_bytes()[:-3])
    (tmp_path / "c").write_bytes(b"")
    found = find_files(f"{tmp_path}/?", allow_bad_files=True)
    faults = [Fault(f"{tmp_path}/b", 1, "bad"), *(Fault(f"{tmp_path}/{name}", None, "damaged") for name in "bc")]
    assert [(shard.excluded, shard.readable) for shard in exclude(found, faults)] == [((), None), ((1,), 3)]
    left = exclude(found, faults[:1])
    with pytest.raises(tfrecord.BadFileError, match="c is empty"):
        require_records(left)


def test_a_list_survives_a_moved_folder(shards):
    assert excluded(exclude(shards, [Fault("/old/b", 1, "bad"), Fault("/old/x", 1, "bad")])) == {"a": (), "b": (1,), "c": ()}


def test_files_with_the_same_name_are_distinguished_by_their_paths(tmp_path):
    for folder in "xy":
        (tmp_path / folder).mkdir()
        records.write(tmp_path / folder / "a", [b"one", b"two"])
    shards = find_files(f"{tmp_path}/?/a")
    first, second = exclude(shards, [Fault(f"{tmp_path}/x/../y/a", 1, "bad"), Fault("/old/z", 0, "bad")])
    assert (first.excluded, second.excluded) == ((), (1,))
    one = exclude(shards[:1], [Fault(f"{tmp_path}/x/a", 0, "bad"), Fault(f"{tmp_path}/y/a", 1, "bad")])
    assert one[0].excluded == (0,)


def test_a_list_about_other_files_is_refused(shards):
    with pytest.raises(SettingError, match="^exclude_records: the list names none of the files to read; .* /old/x. Give"):
        exclude(shards, [Fault("/old/x", 1, "bad")])


@pytest.mark.parametrize(
    "text, words",
    [
        (None, "cannot be read: No such file or directory"),
        ("", "is not an exclusion list: its first line is not file,record,reason. Write one with `yt8m check`"),
        ("VideoId,LabelConfidencePairs\nabcd,1 0.5\n", "its first line is not file,record,reason"),
        ("file,record,reason\na,x,bad\n", "'a,x,bad' is not a file, a record number and a reason"),
        ("file,record,reason\na,-1,bad\n", "'a,-1,bad' is not a file"),
        ("file,record,reason\na\n", "'a' is not a file"),
    ],
)
def test_another_file_is_not_taken_for_a_list(tmp_path, text, words):
    if text is not None:
        (tmp_path / "list.csv").write_text(text)
    with pytest.raises(SettingError) as refused:
        read_exclusions(tmp_path / "list.csv")
    assert str(refused.value).startswith(f"exclude_records={tmp_path}/list.csv: ") and words in str(refused.value)
