"""Predictions and tables with the names of classes."""

import csv
import gzip
import io
import os
from typing import Any

import pandas as pd

from youtube8m_distill import files
from youtube8m_distill.export.formula_guard import spreadsheet_safe
from youtube8m_distill.export.kaggle import open_for_writing

HEADER = ["VideoId", "Class", "Name", "Score"]


def path_with_names(path: str | os.PathLike) -> str:
    """Where the names go beside a Kaggle CSV: p.csv -> p.names.csv, p.csv.gz -> p.names.csv.gz."""
    packed = ".gz" if os.fspath(path).endswith(".gz") else ""
    root, extension = os.path.splitext(os.fspath(path).removesuffix(packed))
    return f"{root}.names{extension}{packed}"


def write_names(source: str | os.PathLike, path: str | os.PathLike, names: dict[int, str]) -> None:
    """Writes a readable form of a finished Kaggle CSV: a row for each video and class, the best first.

    A class without a name has an empty one. Formulas in names are escaped. The file is complete or absent.
    """
    packed: Any = gzip.open if os.fspath(source).endswith(".gz") else open
    known = {index: spreadsheet_safe(name) for index, name in names.items()}
    with packed(source, "rt", encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        with files.atomic_path(path) as temporary, open_for_writing(temporary) as output:
            output.write(_lines([HEADER]))
            for video_id, pairs in rows:
                values = pairs.split()
                lines = [[video_id, c, known.get(int(c), ""), s] for c, s in zip(values[::2], values[1::2])]
                output.write(_lines(lines))


def write_per_class(path: str | os.PathLike, rows: pd.DataFrame, names: dict[int, str] | None = None) -> None:
    """Writes a table by class: its index as `class`, names if they are given, and its columns. Formulas are escaped."""
    rows = rows.rename_axis("class").reset_index()
    if names is not None:
        rows.insert(1, "name", rows["class"].map(names).map(spreadsheet_safe, na_action="ignore"))
    with files.atomic_path(path) as temporary:
        rows.to_csv(temporary, index=False, quoting=csv.QUOTE_NONNUMERIC)


def _lines(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")
