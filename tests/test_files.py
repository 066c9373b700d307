import pytest

from youtube8m_distill import files


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_what_was_written_takes_the_name_when_the_block_ends(tmp_path):
    with files.atomic_path(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"
    assert names(tmp_path) == ["a.txt", "new"]


def test_the_temporary_is_on_the_same_file_system_and_hidden(tmp_path):
    with files.atomic_path(tmp_path / "a.txt") as temporary:
        assert temporary.parent.parent == tmp_path and temporary.parent.name.startswith(".")
        temporary.write_text("")


def test_an_error_leaves_the_old_file_and_no_temporary(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError, match="half"), files.atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half")
    assert (tmp_path / "a.txt").read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_an_interrupt_leaves_no_file_where_none_was(tmp_path):
    with pytest.raises(KeyboardInterrupt), files.atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_file_is_replaced(tmp_path):
    files.write_text(tmp_path / "a.txt", "old")
    files.write_text(tmp_path / "a.txt", "né")
    assert (tmp_path / "a.txt").read_bytes() == "né".encode() and names(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for name in ("old", "new"):
        with files.atomic_path(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert names(tmp_path) == ["folder", "new"]


def test_an_error_leaves_the_old_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("old")
    with pytest.raises(RuntimeError), files.atomic_path(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")
        raise RuntimeError
    assert names(tmp_path) == ["folder", "old"]


def test_a_parent_that_is_a_file_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), files.atomic_path(tmp_path / "file" / "a.txt"):
        raise AssertionError("never entered")
    assert names(tmp_path) == ["file"]


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    (tmp_path / ".config.json.x1.partial").mkdir()
    (tmp_path / ".config.json.x1.partial" / "config.json").write_text("half")
    (tmp_path / ".hidden").write_text("theirs")
    files.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".hidden"]
    files.remove_leftovers(tmp_path / "absent")


def test_a_folder_is_removed_whole(tmp_path):
    (tmp_path / "step" / "inner").mkdir(parents=True)
    (tmp_path / "step" / "inner" / "weights").write_text("w")
    files.remove_folder(tmp_path / "step")
    assert not list(tmp_path.iterdir())
