import gzip

import pytest

from youtube8m_distill.export.kaggle import write_predictions
from youtube8m_distill.export.named import path_with_names, read_vocabulary, write_names

NAMES = {0: "Game", 1: "Vehicle, motor", 2: "=1+2"}


@pytest.mark.parametrize(
    "name, content",
    [
        ("v.csv", 'Index,TrainVideoCount,Name\n0,9,Game\n1,8,"Vehicle, motor"\n2,7,=1+2\n'),
        ("v.csv", 'label_id,label_name\n0,Game\n1,"Vehicle, motor"\n2,=1+2\n'),
        ("class_labels_indices.csv", 'index,mid,display_name\n0,/m/1,Game\n1,/m/2,"Vehicle, motor"\n2,/m/3,=1+2\n'),
        ("names.txt", "Game\nVehicle, motor\n=1+2\n"),
    ],
)
def test_a_vocabulary_of_each_kind_is_read(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert read_vocabulary(tmp_path / name).to_dict() == NAMES


@pytest.mark.parametrize(
    "name, expected", [("p.csv", "p.names.csv"), ("a.b/p.csv.gz", "a.b/p.names.csv.gz"), ("p", "p.names")]
)
def test_the_file_with_names_is_beside_the_predictions(name, expected):
    assert path_with_names(name) == expected


@pytest.mark.parametrize("extension", ["csv", "csv.gz"])
def test_predictions_are_written_with_names_and_formulas_are_escaped(tmp_path, extension):
    path = tmp_path / f"p.{extension}"
    write_predictions(path, [([b"abcd", b"a,b"], [[2, 0], [1, 3]], [[0.75, 0.5], [0.25, 0.125]])])
    (tmp_path / "names.txt").write_text("\n".join(NAMES.values()))
    written = path_with_names(path)
    write_names(path, written, read_vocabulary(tmp_path / "names.txt"))
    with (gzip.open if extension.endswith("gz") else open)(written, "rt") as file:
        lines = file.read().splitlines()
    assert lines == [
        "VideoId,Class,Name,Score",
        "abcd,2,'=1+2,0.75",
        "abcd,0,Game,0.5",
        '"a,b",1,"Vehicle, motor",0.25',
        '"a,b",3,,0.125',
    ]


@pytest.mark.parametrize("rows", ["0,a\nx,b", "0,a\n0,b", "0,a\n1.5,b", ",a"])
def test_class_numbers_of_a_vocabulary_are_unique_and_whole(tmp_path, rows):
    (tmp_path / "v.csv").write_text(f"Index,Name\n{rows}\n")
    with pytest.raises(ValueError, match="its column Index must hold each class number once"):
        read_vocabulary(tmp_path / "v.csv")
