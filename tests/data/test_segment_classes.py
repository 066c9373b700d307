import pytest

from youtube8m_distill import schema
from youtube8m_distill.data.segment_classes import read_segment_classes
from youtube8m_distill.errors import SettingError


def test_the_official_list_has_1000_different_classes():
    classes = read_segment_classes()
    assert len(set(classes)) == len(classes) == 1000
    assert (min(classes), max(classes)) == (3, 1831) and max(classes) < schema.NUM_CLASSES


@pytest.mark.parametrize(
    "text",
    ["Index\n9\n2\n5\n", "9\n2\n5", "Index\r\n9\r\n2\r\n\r\n5\r\n", "\ufeffIndex\n9\n2\n5\n", "Index,Name\n9,x\n2,y\n5,\n"],
)
def test_a_list_is_read_in_its_order(tmp_path, text):
    (tmp_path / "ids.csv").write_bytes(text.encode())
    assert read_segment_classes(tmp_path / "ids.csv") == (9, 2, 5)


@pytest.mark.parametrize(
    "text, words",
    [
        ("Index\n3\n5\n3\n", "lines 2 and 4: class 3 is a duplicate."),
        ("Index\n3\n-5\n", "line 3: '-5' is not a class, a whole number from 0."),
        ("Index\n3.0\n", "line 2: '3.0' is not a class"),
        ("Label\n3\n", "line 1: 'Label' is not a class"),
        ("3\nIndex\n", "line 2: 'Index' is not a class"),
        ("9999999999\n", "line 1: '9999999999' is not a class"),
        ("Index\n", "lists no class"),
        ("", "lists no class"),
        (b"\xff\xfe", "is not a list of classes: 'utf-8' codec"),
        (None, "cannot be read: No such file or directory."),
    ],
)
def test_an_invalid_list_is_refused(tmp_path, text, words):
    if text is not None:
        (tmp_path / "ids.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingError) as raised:
        read_segment_classes(tmp_path / "ids.csv")
    assert str(raised.value).startswith(f"segment_label_ids_file={tmp_path}/ids.csv: {words}")
