import pytest

from youtube8m_distill.export.vocabulary import as_text, read_vocabulary

NAMES = {0: "Game", 1: "Vehicle, motor", 2: "=1+2"}


@pytest.mark.parametrize(
    "name, content",
    [
        ("v.csv", 'Index,TrainVideoCount,Name\n0,9,Game\n1,8,"Vehicle, motor"\n2,7,=1+2\n'),
        ("v.csv", 'label_id,label_name\n0,Game\n1,"Vehicle, motor"\n2,=1+2\n'),
        ("class_labels_indices.csv", 'index,mid,display_name\n0,/m/1,Game\n1,/m/2,"Vehicle, motor"\n2,/m/3,=1+2\n'),
        ("names.txt", "Game\nVehicle, motor\n=1+2\n"),
        ("v.csv", '\ufeffIndex,Name\r\n0,Game\r\n1,"Vehicle, motor"\r\n2,=1+2\r\n'),
        ("names.txt", "\ufeffGame\r\nVehicle, motor\r\n=1+2"),
    ],
)
def test_a_vocabulary_of_each_kind_is_read(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    assert read_vocabulary(tmp_path / name) == NAMES


@pytest.mark.parametrize("rows", ["0,a\nx,b", "0,a\n0,b", "0,a\n1.5,b", ",a"])
def test_class_numbers_of_a_vocabulary_are_unique_and_whole(tmp_path, rows):
    (tmp_path / "v.csv").write_text(f"Index,Name\n{rows}\n")
    with pytest.raises(ValueError, match="its column Index must hold each class number once"):
        read_vocabulary(tmp_path / "v.csv")


def test_a_negative_class_number_is_refused_with_its_line(tmp_path):
    (tmp_path / "v.csv").write_text("Index,Name\n0,a\n-1,b\n")
    with pytest.raises(ValueError, match="^line 3: Index is -1; class numbers start at 0.$"):
        read_vocabulary(tmp_path / "v.csv")


def test_a_class_without_a_name_is_left_out_and_one_called_na_is_not(tmp_path):
    (tmp_path / "v.csv").write_text("Index,Name\n0,NA\n1,\n2\n3.0,Game\n")
    assert read_vocabulary(tmp_path / "v.csv") == {0: "NA", 3: "Game"}
    (tmp_path / "names.txt").write_text("NA\n\nGame\n\n")
    assert read_vocabulary(tmp_path / "names.txt") == {0: "NA", 2: "Game"}


@pytest.mark.parametrize("character", ["\x0b", "\x1c", "\x85", "\u2028"])
def test_only_line_breaks_separate_the_names_of_a_list(tmp_path, character):
    (tmp_path / "names.txt").write_text(f"Video{character}game\nCat\n", encoding="utf-8")
    assert read_vocabulary(tmp_path / "names.txt") == {0: f"Video{character}game", 1: "Cat"}


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_without_commas_is_not_taken_for_a_list_of_names(tmp_path, separator):
    (tmp_path / "v.csv").write_text(f"Index{separator}Name\n0{separator}Game\n")
    with pytest.raises(ValueError, match="separates its columns with semicolons or tabs; write a CSV with commas"):
        read_vocabulary(tmp_path / "v.csv")


@pytest.mark.parametrize("text", ['Index,Name\n0,"Game\n', "x" * 200_000], ids=["open quote", "long line"])
def test_a_broken_table_is_refused(tmp_path, text):
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(ValueError, match="is not a CSV file: "):
        read_vocabulary(tmp_path / "v.csv")


def test_a_written_vocabulary_is_read_again(tmp_path):
    names = {7: 'A "quoted", name', 0: "two\nlines", 3862: "caf\u00e9"}
    text = as_text(names)
    (tmp_path / "vocabulary.csv").write_text(text, encoding="utf-8")
    assert read_vocabulary(tmp_path / "vocabulary.csv") == names and text.startswith("Index,Name\n0,")
