"""Tables: Markdown rounded, with deviations and the papers' numbers; CSV with all digits."""

import io

import pandas as pd
import pytest
from hypothesis import given, strategies

from reproduce import tables
from reproduce.grid import Grid
from reproduce.results import Results
from reproduce.tables import Row, Table, Value
from reproduce.trials import HRNN, Trial

COLUMNS = (("k=6", "GAP"), ("k=6", "mAP"))


def table(*rows, columns=COLUMNS, labels=("Training",), note=""):
    return Table("example", "An example", labels, columns, rows, note)


def read_csv(table):
    return pd.read_csv(io.StringIO(table.to_csv()), keep_default_na=False, dtype=str)


@pytest.mark.parametrize(
    "scores, paper, text",
    [
        ([0.3721], None, "0.372"),
        ([0.370, 0.374], None, "0.372 ± 0.003"),  # sample standard deviation: 0.002 * sqrt(2) = 0.0028
        ([0.368, 0.372, 0.376], 0.759, "0.372 ± 0.004 (0.759)"),
        ([0.25], 0.25, "0.250 (0.250)"),
        ([], 0.759, "– (0.759)"),
    ],
)
def test_a_value_shows_mean_deviation_and_the_papers_number(scores, paper, text):
    assert str(Value.of(scores, paper)) == text


def test_values_have_the_given_number_of_decimals():
    assert str(Value.of([1234.56], 7, digits=0)) == "1,235 (7)"
    assert str(Value.of([0.5, 0.7], digits=1)) == "0.6 ± 0.1"


def test_there_is_no_value_without_numbers():
    assert Value.of([]) is None


def test_a_score_of_zero_is_a_number():
    assert str(Value.of([0.0], 0.0)) == "0.000 (0.000)"
    assert Row((), (Value.of([0.0]),)).is_finished


@given(strategies.lists(strategies.floats(0, 1), min_size=2, max_size=5))
def test_mean_and_deviation_equal_those_of_pandas(scores):
    value, series = Value.of(scores), pd.Series(scores)
    assert value.count == len(scores)
    assert value.mean == pytest.approx(series.mean())
    assert value.deviation == pytest.approx(series.std(), abs=1e-9)


def test_markdown_has_title_header_sections_and_note():
    rows = (
        Row(("Skyline",), (Value.of([0.81]), Value.of([0.41]))),
        Row(("Uniform",), (Value.of([0.7]), None), "Baselines"),
        Row(("Last",), (Value.of([0.2], 0.255), Value.of([0.1])), "Baselines"),
    )
    text = table(*rows, note="Read with care.").to_markdown()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == ["Training", "k=6 GAP", "k=6 mAP"]
    assert lines[2:] == [
        ["Skyline", "0.810", "0.410"],
        ["**Baselines**", "", ""],
        ["Uniform", "0.700", ""],
        ["Last", "0.200 (0.255)", "0.100"],
    ]
    assert text.startswith("### An example\n\n")
    assert text.endswith("\n\nRead with care.\n")


def test_markdown_aligns_text_left_and_numbers_right():
    columns = (("", "verdict"), ("", "GAP"), ("", "evidence"))
    text = table(Row(("x",), ("holds", Value.of([0.7]), "3 of 3")), columns=columns).to_markdown()
    right = [cell.endswith(":") for cell in text.splitlines()[3].split("|")[1:-1]]
    assert right == [False, False, True, False]


def test_markdown_shows_columns_without_a_group_and_escapes_bars():
    text = table(Row(("a|b",), ("yes",)), columns=(("", "verdict"),)).to_markdown()
    assert "verdict" in text.splitlines()[2]
    assert r"a\|b" in text


def test_csv_has_all_digits_and_empty_gaps():
    found = read_csv(
        table(
            Row(("Uniform",), (Value.of([0.1, 0.2], 0.715), None), "Baselines"),
            Row(("Last",), (Value.of([], 0.255), Value.of([1 / 3])), "Baselines"),
        )
    )
    assert list(found) == [
        "section",
        "Training",
        *(f"k=6 {measure} {what}" for measure in ("GAP", "mAP") for what in ("mean", "sd", "seeds", "paper")),
    ]
    uniform, last = found.to_dict("records")
    assert float(uniform["k=6 GAP mean"]) == pytest.approx(0.15, abs=1e-15)
    assert float(uniform["k=6 GAP sd"]) == pytest.approx(0.05 * 2**0.5, abs=1e-15)
    assert (uniform["k=6 GAP seeds"], uniform["k=6 GAP paper"]) == ("2", "0.715")
    assert (uniform["k=6 mAP mean"], uniform["k=6 mAP seeds"]) == ("", "0")
    assert (last["k=6 GAP mean"], last["k=6 GAP seeds"], last["k=6 GAP paper"]) == ("", "0", "0.255")
    assert float(last["k=6 mAP mean"]) == 1 / 3 and last["k=6 mAP sd"] == ""


def test_csv_keeps_columns_of_text_unchanged():
    found = read_csv(table(Row(("gap, at k",), ("holds", "because")), Row(("last",), (None, "therefore"))))
    assert found.to_dict("list") == {
        "Training": ["gap, at k", "last"],
        "k=6 GAP": ["holds", ""],
        "k=6 mAP": ["because", "therefore"],
    }


def test_save_writes_both_files(tmp_path):
    example = table(Row(("Uniform",), (Value.of([0.7]), None)))
    example.save(tmp_path / "tables")
    assert (tmp_path / "tables/example.md").read_text(encoding="utf-8") == example.to_markdown()
    assert (tmp_path / "tables/example.csv").read_text(encoding="utf-8") == example.to_csv()


def test_markdown_describes_the_data_below_the_table():
    example = table(Row(("Uniform",), (Value.of([0.7]), None)), note="A note.")
    assert example.to_markdown("Made up.").endswith("\n\nA note.\n\nData: Made up.\n")
    assert "Data:" not in example.to_markdown()


def test_a_number_that_is_not_a_mean_over_seeds_has_no_seeds():
    (found,) = read_csv(table(Row(("Uniform",), (Value.plain(0.5, 0.7), Value.plain(None, 0.3))))).to_dict("records")
    assert (found["k=6 GAP mean"], found["k=6 GAP seeds"], found["k=6 GAP paper"]) == ("0.5", "", "0.7")
    assert (found["k=6 mAP mean"], found["k=6 mAP seeds"], found["k=6 mAP paper"]) == ("", "", "0.3")
    assert Value.plain(None) is None


def test_the_note_on_speed_reports_the_scatter_of_the_rounds():
    def results(*rounds):
        networks = [{"k": k, "videos_per_second": list(rates)} for k, rates in zip((None, 6), rounds)]
        return Results(timings={HRNN: {"networks": networks, "num_videos": 2000, "machine": "2 cores"}})

    note = tables.speed_note(results((10, 20), (90, 60, 30)), HRNN)
    assert "over 2,000 videos on 2 cores" in note and "up to 3.0 times as fast" in note
    assert tables.speed_note(results((), ()), HRNN) == tables.speed_note(Results(), HRNN) == ""


def test_a_row_with_the_wrong_number_of_values_is_refused():
    with pytest.raises(AssertionError, match="example"):
        table(Row(("Uniform",), (None,)))


def test_rows_and_tables_without_our_numbers_are_left_out():
    ours = Row(("Uniform",), (Value.of([0.7]), None))
    papers, words = Row(("Last",), (Value.of([], 0.255), None)), Row(("First",), ("10", None))
    assert tables.finished(table(papers, ours, words)) == [table(ours)]
    assert tables.finished(table(papers, words)) == []


def test_a_trial_outside_the_grid_has_no_value():
    grid = Grid(ks=(6,))
    trials = [Trial(HRNN, "uniform", 6), Trial(HRNN, "uniform", 10)]
    gap, mean_ap, *others = tables.score_values(Results(), grid, trials, [(0.715, 0.266), (0.759, 0.324)])
    assert (str(gap), str(mean_ap), others) == ("– (0.715)", "– (0.266)", [None, None])
