import pathlib

import pytest

from youtube8m_distill import SettingError
from youtube8m_distill.features import inputs

NAMES = {0: "Game", 1: "Video game, old", 2: "Café", 3: "7", 7: "Cat", 8: "Dog", 9: "Dog"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(folder, text, names=None):
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return inputs.read_labels(folder / "labels.csv", names)


def files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return inputs.find_files(names)


def test_labels_are_numbers_between_semicolons(folder):
    found = rows(folder, "file,labels,id,note\na.mp4,3; 1,,x\n./b/c.mp4, 0 ,some id,\n")
    assert found == {"a.mp4": (2, "", [1, 3]), "b/c.mp4": (3, "some id", [0])}


def test_labels_are_names_with_a_vocabulary(folder):
    found = rows(folder, '\ufefffile,labels\na,"Video game, old;Café"\nb,0\nc,7\nd,2;Game\n', NAMES)
    # "7" is the name of class 3.
    assert {file: row.labels for file, row in found.items()} == {"a": [1, 2], "b": [0], "c": [3], "d": [0, 2]}


@pytest.mark.parametrize(
    "text, names, message",
    [
        ("file\na\n", None, "has no column 'labels'; the first line names the columns file, labels, and perhaps id."),
        ("", None, "has no column 'file' and no column 'labels';"),
        ("file,labels\n,1\n", None, "row 2 names no file."),
        ("file,labels\na,1\n./a,2\n", None, "row 3 repeats the file a."),
        ("file,labels\na,1;2;1\n", None, "row 2 (a) repeats a label: 1;2;1."),
        ("file,labels\na,-1\n", None, "row 2 (a) has the label '-1'; give numbers of classes with ; between them"),
        ("file,labels\na,1 2\n", None, "row 2 (a) has the label '1 2'; give numbers"),
        ("file,labels\na,1234567890\n", None, "row 2 (a) has the label '1234567890'; give numbers"),
        ("file,labels\na,1234567890\n", NAMES, "has the label '1234567890', which --vocabulary does not hold."),
        ("file,labels\na,1,2\n", None, "row 2 (a) has more fields than the first line. Separate labels with semicolons."),
        ("file,labels\na,Video game, old\n", NAMES, "row 2 (a) has more fields than the first line"),
        (
            "file,labels\na,Cat\n",
            None,
            "row 2 (a) has the label 'Cat'; give numbers of classes with ; between them, or names",
        ),
        ("file,labels\na,Cats\n", NAMES, "has the label 'Cats', which --vocabulary does not hold. Did you mean Cat?"),
        ("file,labels\na,5\n", NAMES, "has the label '5', which --vocabulary does not hold."),
        (
            "file,labels\na,Dog\n",
            NAMES,
            "has the label 'Dog', the name of the classes [8, 9] of --vocabulary; give a number.",
        ),
    ],
)
def test_rows_that_cannot_be_used_are_named(text, names, message, folder):
    with pytest.raises(SettingError) as error:
        rows(folder, text, names)
    assert error.value.name == "labels" and message in str(error.value)


def test_empty_fields_at_the_end_of_a_row_are_ignored(folder):
    assert rows(folder, "file,labels\na,1,\n") == {"a": (2, "", [1])}


def test_a_file_that_is_no_text_is_refused(folder):
    (folder / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingError, match="labels.csv: cannot be read"):
        inputs.read_labels(folder / "labels.csv")


def test_files_get_the_labels_of_their_path_or_of_their_name(folder):
    paths = files(folder, "a.mp4", "x/b.mp4", "y/b.mp4", "c.d.mp4")
    found = inputs.input_files(paths, rows(folder, "file,labels,id\na.mp4,1\nx/b.mp4,2,xb\nb.mp4,3\nc.d.mp4,4\nother,\n"))
    assert [(str(path), video_id, labels) for path, video_id, labels in found] == [
        ("a.mp4", b"a", [1]),
        ("x/b.mp4", b"xb", [2]),
        ("y/b.mp4", b"b", [3]),
        ("c.d.mp4", b"c.d", [4]),
    ]


def test_files_without_a_csv_have_no_labels(folder):
    assert inputs.input_files([pathlib.Path("a.mp4")], None) == [(pathlib.Path("a.mp4"), b"a", None)]


@pytest.mark.parametrize(
    "names, text, message",
    [
        (["a.mp4", "b.mp4"], "file,labels\na.mp4,1\n", "labels=labels.csv: has no row for b.mp4."),
        (["a.mp4"], "file,labels\na.mp4, ;\n", "labels=labels.csv: row 2 (a.mp4) has no labels."),
        (["a.mp4"], "file,labels\na.mp4\n", "labels=labels.csv: row 2 (a.mp4) has no labels."),
        (["x/a.mp4", "y/a.mp4"], "file,labels\na.mp4,1\n", "row 2 is of both x/a.mp4 and y/a.mp4: give paths as files."),
        (
            ["x/a.mp4", "y/a.mp4"],
            None,
            "FILE=y/a.mp4: has the same video id as x/a.mp4: a. Rename it, or give ids in --labels.",
        ),
        (["a.mp4", "b.mp4"], "file,labels,id\na.mp4,1,b\nb.mp4,1\n", "FILE=b.mp4: has the same video id as a.mp4: b."),
    ],
)
def test_files_without_labels_or_with_equal_ids_are_refused(names, text, message, folder):
    paths = files(folder, *names)
    with pytest.raises(SettingError) as error:
        inputs.input_files(paths, None if text is None else rows(folder, text), "labels.csv")
    assert message in str(error.value)


def test_globs_are_found_once_and_names_with_brackets_too(folder):
    assert files(folder, "[a].mp4", "b.mp4") == [pathlib.Path("[a].mp4"), pathlib.Path("b.mp4")]
    assert inputs.find_files(["*.mp4", "./b.mp4"]) == [pathlib.Path("[a].mp4"), pathlib.Path("b.mp4")]


@pytest.mark.parametrize(
    "name, message", [("no.mp4", "no.mp4: there is no such file."), ("x", "x: is a folder; name the files")]
)
def test_names_that_are_no_files_are_refused(name, message, folder):
    files(folder, "x/a.mp4")
    with pytest.raises(SettingError, match=message):
        inputs.find_files([name])
