import gzip

import pytest

from youtube8m_distill.export.kaggle import write_predictions
from youtube8m_distill.export.named import path_with_names, write_names

NAMES = {0: "Game", 1: "Vehicle, motor", 2: "=1+2"}


@pytest.mark.parametrize(
    "name, expected", [("p.csv", "p.names.csv"), ("a.b/p.csv.gz", "a.b/p.names.csv.gz"), ("p", "p.names")]
)
def test_the_file_with_names_is_beside_the_predictions(name, expected):
    assert path_with_names(name) == expected


@pytest.mark.parametrize("extension", ["csv", "csv.gz"])
def test_predictions_are_written_with_names_and_formulas_are_escaped(tmp_path, extension):
    path = tmp_path / f"p.{extension}"
    write_predictions(path, [([b"abcd", b"a,b"], [[2, 0], [1, 3]], [[0.75, 0.5], [0.25, 0.125]])])
    written = path_with_names(path)
    write_names(path, written, NAMES)
    with (gzip.open if extension.endswith("gz") else open)(written, "rt") as file:
        lines = file.read().splitlines()
    assert lines == [
        "VideoId,Class,Name,Score",
        "abcd,2,'=1+2,0.75",
        "abcd,0,Game,0.5",
        '"a,b",1,"Vehicle, motor",0.25',
        '"a,b",3,,0.125',
    ]
