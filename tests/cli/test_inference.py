"""Prediction to a Kaggle CSV: what it holds, refusals, resuming, archives."""

import gzip
import pathlib
import re
import shutil

import numpy as np
import pytest

from tests import commands, networks, records
from youtube8m_distill.cli import inference
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.engine.progress import Progress

pytestmark = pytest.mark.usefixtures("quick_hrnn")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose best checkpoint is that of step 3, and the last that of step 7."""
    run = commands.save_run(tmp_path_factory.mktemp("trained") / "run", networks.frame_level(), steps=(3, 7))
    (run.folder / "checkpoints" / "step-00000003").rename(run.folder / "best")
    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """9 videos without labels in two files, like the official test split."""
    folder = tmp_path_factory.mktemp("videos")
    return commands.write_files(folder, "test", commands.frame_videos(9, labels=False))


@pytest.fixture(scope="module")
def csv(run, files, tmp_path_factory):
    """The CSV of the best checkpoint. An archive of the network, model.tgz, is beside it."""
    path = tmp_path_factory.mktemp("predictions") / "p.csv"
    ended, _ = predicted(run, files, path, f"--output_model_tgz={path.parent}/model.tgz")
    assert "of step 3 in" in ended.out
    return path


def predicted(run, files, output, *arguments):
    ended = commands.succeed(
        "infer", f"--train_dir={run.folder}", f"--input_data_pattern={files}", f"--output_file={output}", *arguments
    )
    return ended, commands.read_csv(output)


def by_hand(run, files, checkpoint):
    """{id: predictions [classes]} of the network called directly."""
    network, _ = run.load_network(checkpoint=checkpoint)
    return {
        video_id: row
        for ids, batch, _ in commands.batches_by_hand(find_files(files), frames=7)
        for video_id, row in zip(ids, networks.outputs(network, batch)["predictions"])
    }


def assert_predictions(rows, expected, top_k):
    assert list(rows) == list(expected) == [f"v{i:03d}" for i in range(9)]
    for video_id, predictions in expected.items():
        classes = np.argsort(-predictions, kind="stable")[:top_k]
        assert [c for c, _ in rows[video_id]] == list(classes)
        assert [p for _, p in rows[video_id]] == pytest.approx(list(predictions[classes]), rel=1e-5)


def test_the_csv_has_the_predictions_of_the_best_checkpoint_in_the_order_of_the_files(run, files, csv):
    assert_predictions(commands.read_csv(csv), by_hand(run, files, "best"), 20)


def test_a_checkpoint_and_the_number_of_classes_can_be_chosen(run, files, tmp_path):
    ended, rows = predicted(run, files, tmp_path / "new" / "p.csv", "--top_k=2", "--checkpoint=last", "--batch_size=4")
    assert_predictions(rows, by_hand(run, files, "last"), 2)
    assert ended.out.startswith("9 videos by the network of step 7 in ")
    assert ended.out.endswith(f"{tmp_path}/new/p.csv\n")


def test_compressed_files_of_2017_give_the_same_predictions_in_a_compressed_csv(run, csv, tmp_path):
    old = commands.write_files(tmp_path / "old", "v", commands.frame_videos(9, id_key="video_id"), compression="GZIP")
    predicted(run, old, tmp_path / "p.csv.gz")
    assert gzip.decompress((tmp_path / "p.csv.gz").read_bytes()) == csv.read_bytes()


# ---- refusals


def refused(run, files, output, *arguments):
    return commands.fail(
        "infer", f"--train_dir={run.folder}", f"--input_data_pattern={files}", f"--output_file={output}", *arguments
    )


def test_a_pattern_without_files_is_refused(run, tmp_path):
    line = refused(run, f"{tmp_path}/none", tmp_path / "p.csv")
    assert line.startswith(f"Error: --input_data_pattern={tmp_path}/none: ") and not (tmp_path / "p.csv").exists()


def test_files_with_other_feature_sizes_are_refused(run, tmp_path):
    frames = records.random_frames(2, sizes=(("rgb", 5), ("audio", 3)))
    path = records.write(tmp_path / "a.tfrecord", [records.frame_record(frames)])
    assert f"={path}: 'rgb' holds 2 frames of 5 bytes, but the network reads 6 " in refused(run, path, tmp_path / "p.csv")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--checkpoint=5",), "--checkpoint=5: "),
        (("--checkpoint=first",), "--checkpoint=first: "),
        (("--network=student",), "--network=student: the run in"),
    ],
)
def test_a_network_or_checkpoint_that_does_not_exist_is_refused(run, files, tmp_path, arguments, words):
    line = refused(run, files, tmp_path / "p.csv", *arguments)
    assert line.startswith(f"Error: {words}") and not (tmp_path / "p.csv").exists()


def test_an_output_file_that_cannot_be_created_is_refused(run, files, tmp_path):
    (tmp_path / "file").write_text("")
    line = refused(run, files, tmp_path / "file" / "p.csv")
    assert line.startswith(f"Error: --output_file={tmp_path}/file/p.csv: cannot be written: ")


def write_with_bad_record(path, good):
    """Writes valid records and one whose frames are too short."""
    videos = [records.frame_record(records.random_frames(2), b"w%03d" % number) for number in range(good)]
    return records.write(path, [*videos, records.frame_record({"rgb": [b"123"], "audio": [b"12"]}, b"bad")])


@pytest.mark.slow
def test_a_bad_record_before_anything_is_kept_leaves_an_existing_csv_unchanged(run, tmp_path):
    path = write_with_bad_record(tmp_path / "bad.tfrecord", 2)
    (tmp_path / "p.csv").write_text("old")
    ended = commands.run(
        "infer",
        f"--train_dir={run.folder}",
        f"--input_data_pattern={path}",
        f"--output_file={tmp_path}/p.csv",
        "--batch_size=4",
    )
    assert ended.code == 2 and ended.out == ""
    assert ended.lines[-1].startswith(f"Error: --output_file={tmp_path}/p.csv: was not written: file {path}, record 2: ")
    assert ended.lines[-1].endswith(". `yt8m check` lists all such records, and --exclude_records skips them.")
    assert (tmp_path / "p.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tfrecord", "p.csv"]


# ---- resuming, bad records, archives


@pytest.mark.slow
def test_after_a_bad_record_the_command_with_exclude_records_resumes(run, files, tmp_path):
    shutil.copytree(pathlib.Path(files).parent, tmp_path / "data")
    files = f"{tmp_path}/data/test*.tfrecord"
    path = write_with_bad_record(tmp_path / "data" / "test5.tfrecord", 6)
    arguments = f"--train_dir={run.folder}", f"--input_data_pattern={files}", "--batch_size=2"
    (tmp_path / "p.csv").write_text("old")
    ended = commands.run("infer", *arguments, f"--output_file={tmp_path}/p.csv")
    assert ended.code == 2
    assert ended.lines[-1].startswith(f"Error: --output_file={tmp_path}/p.csv: was not written: file {path}, record 6: ")
    kept = int(re.search("([0-9]+) predictions are kept in ", ended.out)[1])
    assert kept >= 10 and (tmp_path / "p.csv").read_text() == "old"
    (tmp_path / "bad.csv").write_text(f"file,record,reason\n{path},6,too short\n")
    for output in ("p.csv", "fresh.csv"):
        ended = commands.succeed(
            "infer", *arguments, f"--output_file={tmp_path}/{output}", f"--exclude_records={tmp_path}/bad.csv"
        )
        assert ("Resuming after 8 videos, in file 2 of 3; " in ended.out) == (output == "p.csv")
        assert "15 videos by the network of step 3 in " in ended.out
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()
    assert list(commands.read_csv(tmp_path / "p.csv"))[8:] == ["v008", *(f"w{number:03d}" for number in range(6))]


def test_videos_of_more_than_300_frames_are_counted(run, tmp_path):
    path = records.write(
        tmp_path / "long.tfrecord",
        [records.frame_record(records.random_frames(length), b"v%d" % length) for length in (1, 300, 301, 400)],
    )
    ended, rows = predicted(run, path, tmp_path / "p.csv")
    assert ended.out.endswith("2 of 4 videos have more than 300 frames; only the first 300 were used.\n") and len(rows) == 4


def test_a_network_from_an_archive_gives_the_same_predictions(files, csv, tmp_path):
    for more in ((), (f"--untar_model_dir={tmp_path}/model",)):
        ended = commands.succeed(
            "infer",
            f"--input_model_tgz={csv.parent}/model.tgz",
            f"--input_data_pattern={files}",
            f"--output_file={tmp_path}/other.csv",
            *more,
        )
        assert "9 videos by the network of step 3 in " in ended.out
        assert (tmp_path / "other.csv").read_bytes() == csv.read_bytes()
    assert (tmp_path / "model" / "config.json").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--train_dir=run", "--input_model_tgz=x.tgz"), "--input_model_tgz=x.tgz: replaces --train_dir; give only one"),
        (("--train_dir=run", "--untar_model_dir=x"), "--untar_model_dir=x: has no effect without --input_model_tgz"),
        (("--input_model_tgz=no/x.tgz",), "--input_model_tgz=no/x.tgz: "),
        (
            ("--input_model_tgz=no/x.tgz", "--untar_model_dir=setup.py"),
            "--untar_model_dir=setup.py: exists and is not a folder",
        ),
        (("--train_dir=run", "--output_model_tgz=tests"), "--output_model_tgz=tests: exists and is not a regular file"),
    ],
)
def test_invalid_flags_of_archives_are_refused(arguments, words, tmp_path):
    line = commands.fail("infer", "--input_data_pattern=x", f"--output_file={tmp_path}/p.csv", *arguments)
    assert line.startswith(f"Error: {words}") and not list(tmp_path.iterdir())


def test_an_archive_of_another_checkpoint_than_the_loaded_one_is_reported(run, files, tmp_path, monkeypatch):
    monkeypatch.setattr(inference, "pack", lambda *_: Progress(step=99))
    folder, output = f"--train_dir={run.folder}", f"--output_file={tmp_path}/p.csv"
    archive = f"--output_model_tgz={tmp_path}/m.tgz"
    line = commands.fail("infer", folder, f"--input_data_pattern={files}", output, archive)
    assert line.startswith(f"Error: {archive}: holds a checkpoint that the training has just saved")
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("flag", ["output_file", "output_model_tgz"])
def test_an_output_cannot_replace_an_input_file(run, files, tmp_path, flag):
    victim = sorted(pathlib.Path(files).parent.glob(pathlib.Path(files).name))[0]
    before, link = victim.read_bytes(), tmp_path / "link"
    link.symlink_to(victim)
    others = {"output_file": f"{tmp_path}/p.csv", flag: link}
    line = commands.fail(
        "infer",
        f"--train_dir={run.folder}",
        f"--input_data_pattern={files}",
        *(f"--{name}={value}" for name, value in others.items()),
    )
    assert f"--{flag}={link}: is also an input file" in line and victim.read_bytes() == before
