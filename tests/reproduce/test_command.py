"""`python -m reproduce`: its checks, its processes, and a whole experiment from files to report."""

import dataclasses
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from reproduce import command, measurements
from reproduce.grid import Grid
from reproduce.request import Request, add_request
from reproduce.results import path_of, write_result
from reproduce.trials import ALL_LOSSES, CONTROL_LOSS, HRNN, SKYLINE, Trial
from reproduce.worker import Worker
from tests import commands
from tests.commands import FEATURES
from tests.reproduce.made_up import made_up_result
from youtube8m_distill import runs

NAMES = ("classes", "figure3", "cost", "--about_data=Made up.")
TRIALS = [
    Trial(HRNN, SKYLINE),
    Trial(HRNN, "uniform", 4),
    *(Trial(HRNN, "serial", 4, loss) for loss in (ALL_LOSSES, CONTROL_LOSS)),
]
QUICK = (*commands.SMALL, *commands.QUICK, "--ks=4", "--methods=skyline,uniform,serial")


def write_data(folder):
    """Writes files with official names: 16 training videos, 8 to select the best epoch, 24 to score."""
    videos = commands.frame_videos(48)
    for name, part, files in (("train", videos[:16], 2), ("validate", videos[16:], 4)):
        commands.write_files(folder, name, part, files)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("written"))


@pytest.fixture
def data(tmp_path, written):
    return shutil.copytree(written, tmp_path / "data")


def experiment(data, *arguments):
    return (*arguments, f"--data={data}", f"--output_dir={data.parent / 'out'}", *QUICK)


def write_made_up_result(worker, trial, _):
    """Stands in for the training and evaluation of a Worker."""
    result = made_up_result(trial)
    classes = {"num_positives": [3] * commands.NUM_CLASSES, "average_precision": [0.5] * commands.NUM_CLASSES}
    write_result(worker.folder, dataclasses.replace(result, about={**worker.about, "seconds": 1.0}), classes)


@pytest.fixture(scope="module")
def an_experiment(tmp_path_factory, written):
    """A folder with data and an experiment whose results are made up."""
    folder = tmp_path_factory.mktemp("experiment")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Worker, "_train_and_evaluate", write_made_up_result)
        monkeypatch.setattr(runs, "check_sets", lambda *_: None)  # takes seconds
        commands.succeed("reproduce", *experiment(shutil.copytree(written, folder / "data"), *NAMES))
    return folder


@pytest.fixture
def finished(an_experiment, monkeypatch):
    """The finished experiment; another training fails the test."""
    monkeypatch.setattr(Worker, "_train_and_evaluate", lambda *_: pytest.fail("trained again"))
    return an_experiment / "out"


@pytest.mark.slow
def test_an_experiment_writes_results_tables_figures_and_a_report(data, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    monkeypatch.setattr(measurements, "ROUNDS", 2)
    commands.succeed("reproduce", *experiment(data, *NAMES))
    out = data.parent / "out"
    results = [json.loads(path_of(out, trial).read_text()) for trial in TRIALS]
    assert {path.stem for path in (out / "results").glob("*.json")} == {trial.name for trial in TRIALS}
    assert all(network["num_videos"] == 24 for result in results for network in result["networks"].values())
    assert all("classes figure3 cost" in result["about"]["experiment"] for result in results)
    assert "videos per second, measured" in (out / "figures/cost.svg").read_text().lower()
    assert {"figure3.png", "figure3.svg", "cost.png"} <= {path.name for path in (out / "figures").iterdir()}
    page = (out / "report.html").read_text()
    assert "Made up." in page and all(trial.name in page for trial in TRIALS)


def test_the_experiments_folder_has_tables_figures_and_a_report(finished):
    tables = {path.name for path in (finished / "tables").iterdir()}
    assert {"cost.md", "cost.csv", "findings.md", "findings.csv"} <= tables
    assert {"cost.png", "cost.svg"} <= {path.name for path in (finished / "figures").iterdir()}
    assert all(trial.name in (finished / "report.html").read_text() for trial in TRIALS)


def test_the_same_command_again_trains_nothing(finished):
    again = commands.succeed("reproduce", *experiment(finished.parent / "data", *NAMES, "--noreport"))
    assert "4 trials, 0 to do" in again.out


def test_the_report_is_identical_when_rebuilt_from_results_alone(finished, tmp_path):
    for name in ("results", "settings.json", "request.json"):
        (shutil.copytree if name == "results" else shutil.copy)(finished / name, tmp_path / name)
    assert "4 of 4 trials finished" in commands.succeed("reproduce", "report", f"--output_dir={tmp_path}").out
    for name in ("report.html", "tables/cost.csv", "figures/cost.svg", "findings.json"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes(), name


def test_the_report_includes_requests_of_concurrent_commands(finished, tmp_path, monkeypatch):
    shutil.copytree(finished.parent, tmp_path / "copy")
    out, requested = tmp_path / "copy" / "out", []

    def train(*_):
        add_request(out, Request({"table5": Grid()}))
        return []

    monkeypatch.setattr(command, "train", train)
    monkeypatch.setattr(command, "publish", lambda folder, request, _: requested.extend(request.grids))
    commands.succeed("reproduce", *experiment(out.parent / "data", "classes"))
    assert {"table5", "cost", "classes"} <= set(requested)


def test_other_settings_are_refused_in_the_same_folder(finished):
    line = commands.fail("reproduce", *experiment(finished.parent / "data", "table1"), "--base_learning_rate=0.5")
    assert line.startswith("Error: --output_dir=") and "base_learning_rate" in line


def test_results_of_other_settings_are_refused_without_a_settings_file(finished, data):
    shutil.copytree(finished / "results", data.parent / "out" / "results")
    line = commands.fail("reproduce", *experiment(data, "cost"), "--base_learning_rate=0.5")
    assert line.startswith("Error: --output_dir=") and "contains results of other settings or data" in line
    assert not (data.parent / "out" / "settings.json").exists()


def test_several_processes_are_refused_if_they_would_share_gpus(data, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    line = commands.fail("reproduce", *experiment(data, "table1", "--workers=2"))
    assert line.startswith("Error: --workers=2: ") and "CUDA_VISIBLE_DEVICES" in line


@pytest.mark.parametrize("given, passed_on", [((), "--max_held_gb=0.004"), (("--max_held_gb=0",), "--max_held_gb=0.0")])
def test_a_worker_gets_its_share_of_memory_and_threads(data, monkeypatch, given, passed_on):
    commandlines = []

    class Finished:
        def __init__(self, command, **_):
            commandlines.append(command)

        def wait(self):
            return 0

        poll = wait

    monkeypatch.setattr(command.subprocess, "Popen", Finished)
    monkeypatch.setattr(runs, "default_bytes", lambda: 8_000_000)
    with commands.parsed("reproduce", *experiment(data, "table1", "--workers=2"), *given):
        assert command.train_in_processes() == []
    assert len(commandlines) == 2
    assert passed_on in commandlines[0] and f"--threads={max(1, os.cpu_count() // 2)}" in commandlines[0]


def test_shards_divide_the_trials_and_include_the_teachers_they_need(data):
    def listed(*arguments):
        *lines, summary = commands.succeed("reproduce", *experiment(data, "all", "--dry_run"), *arguments).out.splitlines()
        return {line.split()[-1] for line in lines}, int(summary.split()[0])

    whole, count = listed()
    parts, counts = zip(*(listed(f"--shard={index}/2") for index in (1, 2)))
    assert set().union(*parts) == whole and sum(counts) == count == len(whole) == 34
    assert max(counts) - min(counts) <= 1
    for part in parts:
        assert any("serial" in name for name in part) and "HierarchicalLstmModel-skyline-seed0" in part
    assert not (data.parent / "out").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), "name what to run: one or more of table1, figure2"),
        (("table7",), "'table7' is unknown; choose one or more of table1"),
        (("report", "table1"), "report takes no other names"),
        (("table1", "--ks=ten"), "--ks=ten: give whole numbers"),
        (("table1", "--shard=0/2"), "--shard=0/2: give i/n"),
        (("table1", "--shard=3/2"), "--shard=3/2: give i/n"),
        (("table1", "--families=DbofModel"), "--families=DbofModel: is unknown"),
        (("table1", "--dbof_cluster_size=8"), "--dbof_cluster_size: has no effect here"),
        (("table6", "--pca_eigenvalues=nowhere.npy"), "--pca_eigenvalues=nowhere.npy: cannot be read"),
        (("table1", "--seed=3"), "--seed: has no effect here"),
        (("table1", "--model=MoeModel"), "--model: has no effect here"),
        (("table1", "--batch_size=17"), "--batch_size=17: "),
        (("table2", "--batch_size=12"), "--batch_size=12: "),
        (("table1", "--vocabulary=nowhere.csv"), "--vocabulary=nowhere.csv: cannot be read"),
    ],
    ids=lambda value: None,
)
def test_invalid_arguments_are_refused_before_the_first_training(data, arguments, words):
    ended = commands.run("reproduce", *experiment(data), *arguments)
    assert ended.code == 2 and words in ended.lines[-1], ended
    assert not (data.parent / "out").exists()


def test_missing_files_and_folders_are_reported(tmp_path, data):
    out = f"--output_dir={tmp_path / 'out'}"
    assert "--train_data_pattern: is missing" in commands.fail("reproduce", "table1", out, *FEATURES)
    assert "--output_dir: is missing" in commands.fail("reproduce", "table1", f"--data={data}", *FEATURES)
    assert "--ks: has no effect with report" in commands.fail("reproduce", "report", out, "--ks=6")
    for path in data.glob("validate[1-9]*"):
        path.unlink()
    assert "contains 1 validate*.tfrecord file(s)" in commands.fail("reproduce", "table1", out, f"--data={data}", *FEATURES)
    assert "contains no experiment" in commands.fail("reproduce", "report", out)


def test_a_bad_file_is_skipped_with_an_exclusion_list(data, tmp_path):
    (data / "train9.tfrecord").touch()
    assert "train9.tfrecord is empty" in commands.fail("reproduce", *experiment(data, "table1"), "--dry_run")
    excluded = tmp_path / "bad_records.csv"
    excluded.write_text("file,record,reason\ntrain9.tfrecord,,is empty\n")
    ended = commands.succeed("reproduce", *experiment(data, "table1"), "--dry_run", f"--exclude_records={excluded}")
    assert "trials" in ended.out


def test_an_invalid_file_among_the_results_is_reported_before_the_first_training(data):
    results = data.parent / "out" / "results"
    results.mkdir(parents=True)
    (results / "package.json").write_text("{}")
    line = commands.fail("reproduce", *experiment(data, "table1"))
    assert "package.json cannot be read" in line and "Remove" in line


@pytest.mark.slow
def test_a_video_in_two_sets_is_refused(data):
    shutil.copy(data / "train1.tfrecord", data / "validate9.tfrecord")
    line = commands.run("reproduce", *experiment(data, "table1")).lines[-1]
    assert line.startswith("Error: --eval_data_pattern=") and "validate9.tfrecord: holds the video 'v008'" in line
    assert not (data.parent / "out" / "settings.json").exists()


@pytest.mark.slow
def test_ctrl_c_makes_workers_save_and_reports_how_to_resume(data):
    command = [sys.executable, "-m", "reproduce", *experiment(data, "figure2", "--workers=2"), "--num_epochs=200"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "epoch 1 ends" in line and "interrupted" not in lines:
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does
                lines.append("interrupted")
        assert process.wait() == 130, lines
    after = "".join(lines[lines.index("interrupted") :])
    assert "Run the same command to resume." in after and "Traceback" not in after


@pytest.mark.slow
def test_workers_divide_the_trials_and_take_over_those_of_a_killed_worker(data):
    command = [sys.executable, "-m", "reproduce", *experiment(data, "figure2", "--workers=2")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        worker = None
        for line in process.stdout:
            if worker is None and line.startswith("HierarchicalLstmModel-skyline-seed0"):
                children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                worker = int(children[0])
                os.kill(worker, signal.SIGKILL)
        assert process.wait() == 0, line
    assert worker is not None and "4 of 4 trials finished" in line
    results = [json.loads(path.read_text()) for path in (data.parent / "out" / "results").glob("*.json")]
    assert {result["about"]["experiment"] for result in results} == {shlex.join(["python", *command[1:]])}


def test_a_missing_package_is_one_line_that_names_the_extra():
    code = "import sys; sys.modules['matplotlib'] = None; import reproduce.__main__ as program; program.main()"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=pathlib.Path(__file__).parents[2], capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == (
        "Error: python -m reproduce needs matplotlib. Install it with: pip install '.[reproduce]'"
    )
