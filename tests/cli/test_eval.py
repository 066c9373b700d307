import json
import pathlib
import re
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from tests import commands, networks, records
from youtube8m_distill import runs, schema
from youtube8m_distill.cli import eval as eval_command
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.export import spreadsheet_safe
from youtube8m_distill.export.named import write_per_class
from youtube8m_distill.export.vocabulary import read_vocabulary
from youtube8m_distill.metrics.evaluate import Evaluator

VOCABULARIES = {
    "2018": 'Index,TrainVideoCount,Name\n0,9,Game\n1,8,"Car, red"\n2,7,Dance\n3,6,Food\n4,5,Cat\n',
    "2017": 'label_id,label_name\n0,Game\n1,"Car, red"\n2,Dance\n3,Food\n4,Cat\n',
}
NAMES = ["Game", "Car, red", "Dance", "Food", "Cat"]


pytestmark = pytest.mark.usefixtures("quick_hrnn")


@pytest.fixture
def run(tmp_path):
    return commands.save_run(tmp_path / "run", networks.frame_level(), steps=(3, 7))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The glob of 11 videos, of which one has 300 frames and one 301."""
    long = [records.frame_record(records.random_frames(count), b"%d" % count, [0]) for count in (301, 300)]
    return commands.write_files(tmp_path_factory.mktemp("data"), "validate", [*commands.frame_videos(9), *long])


class Scored(NamedTuple):
    """A finished evaluation with a vocabulary and --full_map."""

    run: runs.Run
    folder: pathlib.Path
    out: str


@pytest.fixture(scope="module")
def scores(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    run = commands.save_run(folder / "run", networks.frame_level(), steps=(3, 7))
    (folder / "vocabulary.csv").write_text(VOCABULARIES["2018"])
    ended = scored(run, files, "--batch_size=4", f"--vocabulary={folder}/vocabulary.csv", "--full_map")
    return Scored(run, run.folder / "eval" / "teacher", ended.out)


def scored(run, files, *arguments):
    return commands.succeed("eval", f"--train_dir={run.folder}", f"--eval_data_pattern={files}", "--run_once", *arguments)


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def by_hand(run, files, top_k=schema.TOP_K, step=7):
    """The Evaluator over predictions of the network called directly on records parsed by tf.train alone."""
    network, _ = run.load_network(checkpoint=step)
    evaluator = Evaluator(commands.NUM_CLASSES, top_k)
    for _, batch, labels in commands.batches_by_hand(find_files(files), frames=7):
        predictions = networks.outputs(network, batch)["predictions"]
        order = np.argsort(-predictions, axis=1, kind="stable")[:, :top_k]
        losses = -(labels * np.log(predictions + 1e-5) + (1 - labels) * np.log(1 - predictions + 1e-5)).sum(1)
        perr = [truth[np.argsort(-row, kind="stable")[: truth.sum()]].mean() for row, truth in zip(predictions, labels)]
        evaluator.update_state(labels, order, np.take_along_axis(predictions, order, 1), losses, np.array(perr))
    return evaluator


def assert_metrics(found, expected, top_k):
    expected[f"gap_at_{top_k}"] = expected.pop(f"gap_at_{min(top_k, 5)}")
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name


def test_metrics_are_the_evaluators_over_the_network_called_by_hand(scores, files):
    found = metrics_of(scores.folder)
    assert_metrics(found, by_hand(scores.run, files, 5).result(), 20)
    assert "GAP@20 " in scores.out and f"{found['hit_at_one']:.4f}" in scores.out


def test_metrics_json_states_what_was_scored(scores, files):
    found = metrics_of(scores.folder)
    assert found["network"] == "teacher" and found["checkpoint_step"] == 7 and found["eval_data_pattern"] == files
    assert found["num_videos"] == 11 and found["max_frames"] == 7 and found["format"] == 1
    assert found["videos_per_second"] > 0 and found["multiply_adds"] > 0


def test_videos_of_more_than_300_frames_are_counted(scores):
    assert "1 of 11 videos have more than 300 frames; only the first 300 were used." in scores.out.splitlines()


def test_full_map_adds_the_map_over_all_predictions(scores):
    assert "mAP, all predictions" in scores.out
    assert 0 < metrics_of(scores.folder)["full_mean_average_precision"] <= 1


def test_results_per_class_have_the_names_of_the_vocabulary(scores, files):
    rows = pd.read_csv(scores.folder / "per_class.csv")
    expected = by_hand(scores.run, files, 5).per_class()
    assert list(rows["class"]) == list(range(5)) and list(rows["name"]) == NAMES
    assert list(rows["num_positives"]) == list(expected["num_positives"])
    np.testing.assert_allclose(rows["average_precision"], expected["average_precision"], rtol=1e-6)


def test_checkpoint_top_k_and_output_dir_are_used(run, files, tmp_path):
    ended = scored(run, files, "--checkpoint=3", "--top_k=2", f"--output_dir={tmp_path}/scores")
    found = metrics_of(tmp_path / "scores")
    assert found["checkpoint_step"] == 3 and "GAP@2 " in ended.out
    assert_metrics(found, by_hand(run, files, 2, step=3).result(), 2)
    assert not (run.folder / "eval").exists()
    assert "name" not in pd.read_csv(tmp_path / "scores" / "per_class.csv").columns  # without a vocabulary


@pytest.mark.parametrize("year", VOCABULARIES)
def test_a_vocabulary_of_either_year_is_read(tmp_path, year):
    (tmp_path / "names.csv").write_text(VOCABULARIES[year])
    assert read_vocabulary(f"{tmp_path}/names.csv") == dict(enumerate(NAMES))


def test_a_class_may_have_the_name_na(tmp_path):
    (tmp_path / "names.csv").write_text(VOCABULARIES["2018"].replace("Dance", "NA"))
    assert "NA" in read_vocabulary(f"{tmp_path}/names.csv").values()


def test_formulas_in_class_names_are_escaped(tmp_path):
    names = {0: "Game", 1: "=1+2"}
    write_per_class(tmp_path / "rows.csv", pd.DataFrame({"num_positives": [3, 4]}), names)
    assert pd.read_csv(tmp_path / "rows.csv")["name"].tolist() == ["Game", spreadsheet_safe("=1+2")]
    assert spreadsheet_safe("=1+2") != "=1+2"


# ---- refusals


def refused(run, files, *arguments):
    line = commands.fail("eval", f"--train_dir={run.folder}", f"--eval_data_pattern={files}", *arguments)
    assert not (run.folder / "eval").exists()
    return line


def test_files_without_labels_are_refused(run, tmp_path):
    files = commands.write_files(tmp_path / "data", "test", commands.frame_videos(4, labels=False))
    ended = commands.run("eval", f"--train_dir={run.folder}", f"--eval_data_pattern={files}", "--run_once")
    assert ended.code == 2 and not (run.folder / "eval").exists()
    assert ended.lines[-1].startswith(f"Error: --eval_data_pattern={files}: ")
    assert "none of the first 4 records has labels under 'labels'" in ended.lines[-1]
    assert "`yt8m infer` needs none" in ended.lines[-1]


def test_a_bad_record_is_named(run, tmp_path):
    videos = [records.frame_record(records.random_frames(2), labels=[label]) for label in (0, 5)]
    records.write(tmp_path / "bad.tfrecord", videos)
    ended = commands.run("eval", f"--train_dir={run.folder}", f"--eval_data_pattern={tmp_path}/bad.tfrecord", "--run_once")
    assert ended.code == 2 and not (run.folder / "eval").exists()
    assert ended.lines[-1].startswith(f"Error: file {tmp_path}/bad.tfrecord, record 1: ")


def test_a_pattern_without_files_is_refused_before_waiting_for_a_checkpoint(tmp_path):
    run = commands.save_run(tmp_path / "run", networks.frame_level(), steps=())
    assert refused(run, f"{tmp_path}/none").startswith(f"Error: --eval_data_pattern={tmp_path}/none: ")


def test_a_folder_without_a_run_is_refused(tmp_path, files):
    line = commands.fail("eval", f"--train_dir={tmp_path}/none", f"--eval_data_pattern={files}", "--run_once")
    assert f"{tmp_path}/none' is not a training directory: it does not exist." in line


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--run_once", "--checkpoint=5"), "--checkpoint=5: "),
        (("--run_once", "--checkpoint=newest"), "--checkpoint=newest: "),
        (("--checkpoint=3",), "--checkpoint=3: names one checkpoint; add --run_once."),
        (("--run_once", "--network=student"), "--network=student: the run in"),
        (("--run_once", "--vocabulary=/nowhere.csv"), "--vocabulary=/nowhere.csv: cannot be read: "),
        (("--run_once", "--num_gpu=2"), "--num_gpu=2: TensorFlow sees 0 GPU(s)"),
        (("--run_once", "--batch_size=0"), "--batch_size=0: "),
        (("--run_once", "--top_k=0"), "--top_k=0: "),
    ],
)
def test_an_invalid_value_is_named_with_its_flag(run, files, arguments, words):
    assert refused(run, files, *arguments).startswith(f"Error: {words}")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"a,b\n1,2\n", "has the columns a, b. A vocabulary has Index and Name; label_id and"),
        (b"", "is empty"),
        (b"\xff\xfe\x00\xd8", "cannot be read: 'utf-8'"),
    ],
)
def test_a_file_that_is_not_a_vocabulary_is_refused(run, files, tmp_path, content, words):
    (tmp_path / "names.csv").write_bytes(content)
    assert words in refused(run, files, "--run_once", f"--vocabulary={tmp_path}/names.csv")


def test_an_output_dir_that_cannot_be_created_is_refused(run, files, tmp_path):
    (tmp_path / "file").write_text("")
    ended = commands.run(
        "eval",
        f"--train_dir={run.folder}",
        f"--eval_data_pattern={files}",
        "--run_once",
        f"--output_dir={tmp_path}/file/scores",
    )
    assert ended.code == 2 and ended.lines[-1].startswith(f"Error: --output_dir={tmp_path}/file/scores")


def test_a_run_without_a_checkpoint_is_refused(tmp_path, files):
    run = commands.save_run(tmp_path / "run", networks.frame_level(), steps=())
    assert "holds no checkpoint yet; wait until its training saves one" in refused(run, files, "--run_once")


# ---- following a training


@pytest.mark.slow
def test_without_run_once_each_new_checkpoint_is_scored_once_as_it_appears(tmp_path, files, monkeypatch):
    run, looks = commands.save_run(tmp_path / "run", networks.frame_level(), steps=()), []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) in (1, 3):
            commands.save_checkpoint(run, 10 + len(looks))
        if len(looks) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(eval_command.time, "sleep", sleep)
    ended = commands.run("eval", f"--train_dir={run.folder}", f"--eval_data_pattern={files}")
    assert ended.out.startswith(f"Waiting for a new checkpoint in {run.folder}.\nnetwork of step 11, 11 videos")
    assert re.findall(r"network of step (\d+)", ended.out) == ["11", "13"]
    assert looks == [eval_command.SECONDS_BETWEEN_LOOKS] * 5
    assert metrics_of(run.folder / "eval" / "teacher")["checkpoint_step"] == 13
    assert ended.code == 130 and ended.lines[-1] == "Interrupted."


@pytest.mark.parametrize(
    ("num_classes", "label", "warned"),
    [(4716, 3861, True), *(pytest.param(*given, False, marks=pytest.mark.slow) for given in ((4716, 3862), (3862, 3861)))],
)
def test_network_of_2017_on_labels_of_2018_is_pointed_out(num_classes, label, warned, tmp_path):
    run = commands.save_run(tmp_path / "run", networks.frame_level("FrameLevelLogisticModel", num_classes=num_classes))
    videos = [records.frame_record(records.random_frames(5), b"v%d" % number, [label]) for number in range(2)]
    files = commands.write_files(tmp_path / "data", "validate", videos)
    assert ("those of 2017" in scored(run, files).out) == warned
