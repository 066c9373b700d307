"""`python -m reproduce mod_...`: its files, its checks, and a whole experiment from files to report."""

import dataclasses
import json

import pytest

from reproduce import experiments
from reproduce.recipes import RECIPES, SEGMENT_RECIPES
from reproduce.results import write_result
from reproduce.segment_worker import SegmentWorker
from tests import commands
from tests.reproduce.made_up_segments import made_up_segments_result, write_segments
from tests.reproduce.test_segment_settings import TINY
from youtube8m_distill import runs

SIZES = [f"--{name}={value}" for name, value in TINY.items()]
SCHEDULE = ("--batch_size=4", "--num_epochs=1", "--finetune_batch_size=4", "--finetune_epochs=2", "--finetune_dropout=0.5")


@pytest.fixture
def data(tmp_path):
    return write_segments(tmp_path / "data")


def experiment(data, *arguments):
    folders = (f"--data={data}", f"--output_dir={data.parent / 'out'}")
    return (*arguments, *folders, *commands.FEATURES, f"--num_classes={commands.NUM_CLASSES}", *SIZES, *SCHEDULE)


def write_made_up_result(worker, trial, _):
    """Stands in for the training and evaluation of a SegmentWorker."""
    result = dataclasses.replace(made_up_segments_result(trial), about={**worker.about, "seconds": 1.0})
    write_result(worker.folder, result, {"num_positives": [3], "average_precision": [0.5]})


@pytest.fixture
def made_up(monkeypatch):
    monkeypatch.setattr(SegmentWorker, "_train_and_evaluate", write_made_up_result)
    monkeypatch.setattr(runs, "check_sets", lambda *_: None)  # takes seconds


@pytest.mark.slow
def test_an_experiment_on_segments_trains_and_writes_figures_and_a_report(data):
    commands.succeed("reproduce", *experiment(data, "mod_figures34"))
    out = data.parent / "out"
    assert {path.stem for path in (out / "results").glob("*.json")} == {
        "MixNeXtVLAD-pretrained-seed0",
        "MixNeXtVLAD-finetuned-T20-seed0",
    }
    assert {"mod_figure3.png", "mod_figure4.svg"} <= {path.name for path in (out / "figures").iterdir()}
    again = commands.succeed("reproduce", *experiment(data, "mod_figures34"))
    assert "2 trials, 0 to do" in again.out


def test_the_report_has_tables_figures_and_verdicts(data, made_up):
    names = ("mod_table1", "mod_table2", "mod_figures34", "--about_data=Made up.")
    ended = commands.succeed("reproduce", *experiment(data, *names))
    out = data.parent / "out"
    assert "15 of 15 trials finished" in ended.out
    assert {path.stem for path in (out / "tables").iterdir()} == {"mod_table1", "mod_table2", "findings", "comparisons"}
    page = (out / "report.html").read_text()
    assert "MOD, a Deep Mixture Model" in page and "MAP@K 0.8000" in page and "mod_figure3" not in page
    assert "<td>HierarchicalLstmModel" not in page and "<th>seeds</th>" in page
    assert len(json.loads((out / "findings.json").read_text())["findings"]) == 15
    before = (out / "report.html").read_bytes()
    commands.succeed("reproduce", "report", f"--output_dir={out}")
    assert (out / "report.html").read_bytes() == before


def test_half_of_the_validate_files_train_and_the_other_half_is_scored(data, made_up):
    commands.succeed("reproduce", *experiment(data, "mod_figures34", "--noreport"))
    settings = json.loads((data.parent / "out" / "settings.json").read_text())
    patterns = [settings[f"{name}_data_pattern"] for name in ("train", "finetune", "eval")]
    assert patterns == [f"{data}/train*.tfrecord", f"{data}/validate0.tfrecord", f"{data}/validate1.tfrecord"]
    assert settings["finetuning"] == {"num_epochs": 2, "batch_size": 4, "dropout": 0.5}
    assert settings["training"]["batch_size"] == 4 and settings["network"]["nextvlad_cluster_size"] == 4


def test_a_dry_run_lists_pretraining_and_fine_tuning_by_seed(data):
    ended = commands.succeed("reproduce", *experiment(data, "mod_figures34", "--dry_run", "--seeds=2"))
    assert ended.out.splitlines() == [
        "to do     MixNeXtVLAD-pretrained-seed0",
        "to do     MixNeXtVLAD-finetuned-T20-seed0",
        "to do     MixNeXtVLAD-pretrained-seed1",
        "to do     MixNeXtVLAD-finetuned-T20-seed1",
        "4 trials, 4 to do.",
    ]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("mod_table1", "table1"), "mod_table1 need other data and settings. Run them in a separate --output_dir."),
        (("mod_table1", "--ks=6"), "--ks: has no effect with mod_*"),
        (("mod_table1", "--recipe=cvpr2019"), "--recipe: has no effect with mod_*"),
        (("mod_table1", "--validation_data_pattern=x"), "--validation_data_pattern: has no effect with mod_*"),
        (("mod_table1", "--cl_temperature=3"), "--cl_temperature: has no effect here, because each trial sets it"),
        (("mod_table1", "--mix_number=3"), "--mix_number: has no effect here"),
        (("mod_table1", "--lstm_cells=3"), "--lstm_cells: has no effect here"),
        (("mod_table1", "--finetune_batch_size=500"), "--finetune_batch_size=500: "),
        (("mod_table1", "--groups=5"), "--groups=5: "),
        (("table1", "--finetune_batch_size=8"), "--finetune_batch_size: has no effect here; it is for mod_*"),
    ],
    ids=lambda value: None,
)
def test_invalid_arguments_are_refused_before_the_first_training(data, arguments, words):
    base = [a for a in experiment(data) if not (arguments[0] == "table1" and a.startswith(("--finetune", "--dbof")))]
    ended = commands.run("reproduce", *base, *arguments)
    assert ended.code == 2 and words in ended.lines[-1], ended
    assert not (data.parent / "out").exists()


def test_files_without_ratings_are_refused(data):
    ended = commands.fail("reproduce", *experiment(data, "mod_table1"), f"--finetune_data_pattern={data}/train0.tfrecord")
    assert "--finetune_data_pattern=" in ended and "ratings of segments" in ended
    (data / "validate1.tfrecord").unlink()
    assert "contains 1 validate*.tfrecord file(s)" in commands.fail("reproduce", *experiment(data, "mod_table1"))
    out = f"--output_dir={data.parent / 'out'}"
    missing = commands.fail(
        "reproduce", "mod_table1", out, f"--train_data_pattern={data}/train*.tfrecord", *commands.FEATURES
    )
    assert "--finetune_data_pattern: is missing" in missing


def test_a_folder_of_the_other_experiment_is_refused(data, made_up):
    commands.succeed("reproduce", *experiment(data, "mod_figures34", "--noreport"))
    arguments = (f"--data={data}", f"--output_dir={data.parent / 'out'}", *commands.SMALL)
    assert "holds an experiment with other settings" in commands.fail("reproduce", "table5", *arguments)


def test_every_recipe_belongs_to_one_experiment():
    assert experiments.experiment_of(RECIPES) is experiments.FRAMES
    assert experiments.experiment_of(SEGMENT_RECIPES) is experiments.SEGMENTS
