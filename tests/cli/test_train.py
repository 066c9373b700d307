"""Training by the command: refusals, runs, resuming."""

import json
import pathlib
import shutil
import signal
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest

from tests import commands, networks, records
from tests.commands import FEATURES, FEW_FRAMES, QUICK, SMALL
from youtube8m_distill import config
from youtube8m_distill.cli import run_config
from youtube8m_distill.cli import train as train_command
from youtube8m_distill.engine import callbacks
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes.supervised import Supervised

pytestmark = pytest.mark.usefixtures("quick_hrnn")


@pytest.fixture
def files(tmp_path):
    """The glob of 10 training videos in two files."""
    return commands.write_files(tmp_path / "data", "train", commands.frame_videos(10))


class Finished(NamedTuple):
    """A run of 3 epochs over 8 videos in two files, one of 301 frames. It ends at step 6."""

    arguments: tuple
    folder: pathlib.Path
    out: str

    def resumed_in(self, folder, *more):
        """Arguments of the same training in a copy of its folder."""
        shutil.copytree(self.folder, folder)
        return *self.arguments, f"--train_dir={folder}", *more


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    videos = [*commands.frame_videos(7), records.frame_record(records.random_frames(301), b"long", [1])]
    files = commands.write_files(folder / "data", "train", videos)
    options = ("--num_epochs=3", "--seed=3", "--checkpoint_steps=5", "--max_to_keep=2", "--dropout=0.25")
    arguments = ("train", f"--train_data_pattern={files}", *SMALL, *QUICK, *FEW_FRAMES, *options)
    return Finished(arguments, folder / "run", commands.succeed(*arguments, f"--train_dir={folder}/run").out)


def refusal(tmp_path, files, *arguments):
    """The line that refuses a training before anything is written."""
    line = commands.fail("train", f"--train_data_pattern={files}", f"--train_dir={tmp_path}/run", *arguments)
    assert not (tmp_path / "run").exists()
    return line


def write(tmp_path, name, *videos):
    return records.write(tmp_path / name, videos)


# ---- files


def test_a_pattern_without_files_is_refused(tmp_path):
    line = refusal(tmp_path, f"{tmp_path}/none*.tfrecord", *SMALL, *QUICK)
    assert line.startswith(f"Error: --train_data_pattern={tmp_path}/none*.tfrecord: ")
    assert "matches no file (commas separate patterns). Quote it" in line


def test_a_validation_pattern_without_files_is_refused(tmp_path, files):
    line = refusal(tmp_path, files, *SMALL, *QUICK, f"--validation_data_pattern={tmp_path}/none*")
    assert line.startswith(f"Error: --validation_data_pattern={tmp_path}/none*: ")


def test_other_feature_sizes_than_the_files_have_are_refused(tmp_path, files):
    line = refusal(tmp_path, files, "--feature_sizes=1024,3", *QUICK)
    assert line.startswith("Error: --train_data_pattern=") and "train0.tfrecord" in line
    assert "'rgb' holds" in line and "of 6 bytes" in line and "the network reads 1024 numbers (its feature_sizes)" in line


def test_a_feature_that_the_files_do_not_have_is_refused(tmp_path, files):
    line = refusal(tmp_path, files, "--feature_names=rgb,depth", "--feature_sizes=6,3", *QUICK)
    assert "no frame-level feature 'depth'" in line and "rgb (" in line


def test_video_level_files_are_refused_for_a_frame_level_model(tmp_path):
    files = commands.write_files(tmp_path / "data", "train", commands.video_means(6))
    line = refusal(tmp_path, files, *FEATURES, *QUICK)
    assert "looks video-level" in line and "mean_rgb" in line


def test_an_empty_file_is_refused(tmp_path, files):
    (tmp_path / "data" / "train9.tfrecord").touch()
    line = refusal(tmp_path, files, *SMALL, *QUICK)
    assert line.startswith("Error: --train_data_pattern=")
    assert "train9.tfrecord is empty (0 bytes): fetch it again" in line


def test_a_file_of_another_format_is_refused(tmp_path, files):
    (tmp_path / "data" / "train9.tfrecord").write_text("VideoId,LabelConfidencePairs\n" * 9)
    assert "train9.tfrecord (261 bytes) is not a TFRecord file" in refusal(tmp_path, files, *SMALL, *QUICK)


# ---- sizes


def test_a_batch_larger_than_the_data_set_is_refused(tmp_path, files):
    line = refusal(tmp_path, files, *SMALL, "--batch_size=11")
    assert line.startswith("Error: --batch_size=11: ") and "holds only 10 records" in line
    assert line.endswith("Choose a smaller batch.")


def test_a_batch_larger_than_train_fraction_of_the_data_set_is_refused(tmp_path, files):
    line = refusal(tmp_path, files, *SMALL, "--batch_size=6", "--train_fraction=0.5")
    assert "10 records, of which train_fraction=0.5 uses about 5" in line


def test_a_batch_that_the_replicas_cannot_share_is_refused(tmp_path, files, monkeypatch):
    two_cpus = make_strategy(devices=["/cpu:0", "/cpu:1"])
    monkeypatch.setattr(train_command, "make_strategy", lambda *args, **kwargs: two_cpus)
    line = refusal(tmp_path, files, *SMALL, "--batch_size=5")
    assert line.startswith("Error: --batch_size=5: is not a multiple of the 2 replicas; try 4.")


def test_more_gpus_than_exist_are_refused(tmp_path, files):
    assert refusal(tmp_path, files, "--num_gpu=3").startswith("Error: --num_gpu=3: TensorFlow sees 0 GPU(s)")


@pytest.mark.parametrize(
    "argument",
    [
        "--frames_per_video=0",
        "--frames_per_video=301",
        "--batch_size=0",
        "--dropout=1",
        "--train_fraction=1.5",
        "--lstm_cells=0",
        "--seed=-1",
    ],
)
def test_a_value_out_of_range_is_named_with_its_flag(tmp_path, files, argument):
    assert refusal(tmp_path, files, *FEATURES, argument).startswith(f"Error: {argument}")


# ---- contradictory flags


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--frame_selection=all", "--frames_per_video=3"), "--frames_per_video=3: with frame_selection=all"),
        (("--every_n=3", "--frames_per_video=3"), "--frames_per_video=3: with frame_selection=strided"),
        (("--frame_selection=strided",), "--every_n=None: with frame_selection=strided"),
        (("--mode=parallel", "--freeze_classifier"), "--freeze_classifier=true: in mode=parallel"),
        (("--mode=parallel", "--student_loss=rep", "--noshare_classifier"), "--student_loss=rep: without share_classifier"),
        (("--mode=parallel", "--student_loss=rep,kd"), "--student_loss=rep,kd: 'kd' is unknown"),
        (("--mode=parallel", "--pred_weight=-1"), "--pred_weight=-1.0: choose a value from 0"),
        (("--student_loss=rep",), "--student_loss: has no effect with --mode=teacher"),
        (("--nomatch_intermediate",), "--match_intermediate: has no effect with --mode=teacher"),
        (("--finetune_epochs=2",), "--finetune_epochs: has no effect with --mode=teacher"),
        (("--mode=parallel", "--teacher_dir=x"), "--teacher_dir: has no effect with --mode=parallel"),
        (("--mode=parallel", "--finetune_epochs=2"), "--finetune_epochs: has no effect with --mode=parallel"),
        (("--mode=serial", "--frames_per_block=2"), "--frames_per_block: has no effect with --mode=serial"),
        (("--mode=serial",), "--teacher_dir: is missing; --mode=serial needs"),
        (
            ("--mode=serial", "--student_loss=ce", "--pred_weight=2"),
            "--pred_weight: has an effect only with pred in --student_loss",
        ),
        (
            ("--mode=serial", "--student_loss=pred", "--ce_weight=2"),
            "--ce_weight: has an effect only with ce in --student_loss",
        ),
        (
            ("--mode=serial", "--student_loss=rep", "--prediction_distance=kl"),
            "--prediction_distance: has an effect only with pred",
        ),
        (
            ("--mode=serial", "--intermediate_weight=2"),
            "--intermediate_weight: has an effect only with --match_intermediate",
        ),
        (
            ("--mode=parallel", "--intermediate_reduction=sum"),
            "--intermediate_reduction: has an effect only with --match_intermediate",
        ),
        *(
            (("--mode=parallel", f"--{name}={value}"), f"--{name}: has an effect only with {term} in --student_loss")
            for name, value, term in (
                ("relation_weight", 2, "relation"),
                ("topk_weight", 2, "topk_logit"),
                ("topk_temperature", 3, "topk_logit"),
            )
        ),
        (
            ("--mode=parallel", "--student_loss=relation,ce", "--rep_scale=dimension"),
            "--rep_scale: has an effect only with rep in --student_loss",
        ),
        (
            ("--mode=parallel", "--student_loss=relation", "--noshare_classifier"),
            "--student_loss=relation: without share_classifier",
        ),
        (("--mode=serial", "--finetune_epochs=2"), "--finetune_epochs: has an effect only with --student_loss=rep"),
        (
            ("--video_level_classifier_model=LogisticModel", "--moe_num_mixtures=3"),
            "--moe_num_mixtures=3: has no effect with",
        ),
        (("--model=MoeModel", "--frames_per_video=3"), "--frames_per_video: has no effect with --model=MoeModel"),
        (("--model=MoeModel", "--lstm_cells=3"), "--lstm_cells=3: has no effect with model=MoeModel and"),
        (("--model=LogisticModel", "--dropout=0.1"), "--dropout=0.1: has no effect with model=LogisticModel"),
    ],
)
def test_contradictory_flags_are_refused_without_reading_files(tmp_path, arguments, words):
    assert refusal(tmp_path, "x", "--batch_size=4", *arguments).startswith(f"Error: {words}")


# ---- the teacher's folder


def serial(tmp_path, files, teacher, *arguments):
    return refusal(tmp_path, files, "--mode=serial", f"--teacher_dir={teacher}", *QUICK, *FEW_FRAMES, *arguments)


def test_a_teacher_dir_that_does_not_exist_is_refused(tmp_path, files):
    line = serial(tmp_path, files, tmp_path / "none")
    assert line.startswith(f"Error: --teacher_dir={tmp_path}/none: ") and line.endswith("it does not exist.")


def test_a_teacher_dir_without_a_run_is_refused(tmp_path, files):
    assert "holds no config.json" in serial(tmp_path, files, tmp_path / "data")


def test_a_teacher_without_a_checkpoint_is_refused(tmp_path, files):
    commands.save_run(tmp_path / "teacher", networks.frame_level(), steps=())
    assert "holds no checkpoint yet; wait until its training saves one" in serial(tmp_path, files, tmp_path / "teacher")


def test_a_teacher_with_a_damaged_configuration_is_refused(tmp_path, files):
    commands.save_run(tmp_path / "teacher", networks.frame_level())
    (tmp_path / "teacher" / "config.json").write_text("{")
    line = serial(tmp_path, files, tmp_path / "teacher")
    assert line.startswith("Error: --teacher_dir=") and "config.json cannot be read: not JSON" in line


def test_a_teacher_that_reads_video_level_files_is_refused(tmp_path, files):
    commands.save_run(tmp_path / "teacher", networks.video_level("MoeModel"))
    line = refusal(tmp_path, files, "--mode=serial", f"--teacher_dir={tmp_path}/teacher", *QUICK)
    assert line.startswith("Error: --teacher_dir=") and "a MoeModel reads video-level files" in line


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--lstm_cells=8", "--lstm_cells=8: the teacher in {teacher} has 4."),
        ("--lstm_layers=1", "--lstm_layers=1: the teacher in {teacher} has 2."),
        ("--num_classes=9", "--num_classes=9: the teacher in {teacher} has 5."),
        ("--moe_num_mixtures=3", "--moe_num_mixtures=3: the teacher in {teacher} has 2."),
        ("--model=MoeModel", "--model=MoeModel: the teacher in {teacher} has HierarchicalLstmModel."),
        (
            "--video_level_classifier_model=LogisticModel",
            "--video_level_classifier_model=LogisticModel: the teacher in {teacher} has MoeModel.",
        ),
        (
            "--feature_sizes=3,6",
            "--feature_names=rgb,audio with feature_sizes=3,6: the teacher in {teacher} has rgb,audio with",
        ),
    ],
)
def test_a_student_of_another_family_or_size_is_refused_without_student_model(tmp_path, files, argument, words):
    commands.save_run(tmp_path / "teacher", networks.frame_level())
    line = serial(tmp_path, files, tmp_path / "teacher", argument)
    assert line.startswith(f"Error: {words.format(teacher=tmp_path / 'teacher')}")
    assert line.endswith(
        ("Give --student_model for a student of another family or size.", "must have the same classes and features.")
    )


def test_a_student_cannot_use_the_folder_of_its_teacher(tmp_path, files):
    teacher = tmp_path / "teacher"
    commands.save_run(teacher, networks.frame_level())
    before = commands.entries(teacher)
    line = commands.fail(
        "train",
        f"--train_data_pattern={files}",
        f"--train_dir={teacher}/",
        "--mode=serial",
        f"--teacher_dir={tmp_path}/data/../teacher",
        "--start_new_model",
        *QUICK,
    )
    assert line.startswith("Error: --teacher_dir=") and "is the same as --train_dir" in line
    assert commands.entries(teacher) == before


# ---- the run's folder


@pytest.mark.parametrize("switch", [(), ("--start_new_model",)])
@pytest.mark.parametrize(
    "name, text, words",
    [
        ("chapter1.txt", "years of work", "is not empty and holds no config.json"),
        ("config.json", "{", "its config.json cannot be read (not JSON"),
        ("config.json", '{"name": "other"}', "its config.json cannot be read (not a run configuration"),
    ],
)
def test_a_folder_of_something_else_is_refused_and_not_touched(tmp_path, files, switch, name, text, words):
    other = tmp_path / "other"
    (other / "best").mkdir(parents=True)
    (other / "best" / "a").write_text("a")
    (other / name).write_text(text)
    before = commands.entries(other)
    line = commands.fail("train", f"--train_data_pattern={files}", f"--train_dir={other}", *SMALL, *QUICK, *switch)
    assert line.startswith(f"Error: --train_dir={other}: {words}")
    assert commands.entries(other) == before


def test_a_train_dir_that_is_a_file_is_refused(tmp_path, files):
    (tmp_path / "note").write_text("a")
    line = commands.fail("train", f"--train_data_pattern={files}", f"--train_dir={tmp_path}/note", *SMALL, *QUICK)
    assert "exists and is not a folder; name another" in line and (tmp_path / "note").read_text() == "a"


# ---- runs


def trained(tmp_path, files, *arguments, folder="run"):
    return commands.succeed(
        "train", f"--train_data_pattern={files}", f"--train_dir={tmp_path}/{folder}", *SMALL, *QUICK, *FEW_FRAMES, *arguments
    )


def checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def settings(folder):
    return json.loads((folder / "config.json").read_text())


def test_a_run_prints_its_settings_and_saves_its_configuration(finished):
    assert "mode=teacher on 1 device(s): " in finished.out
    assert "data: 8 training videos in 2 file(s), 0 validation file(s)" in finished.out
    assert "batch_size=4, optimizer=AdamOptimizer, label_loss=CrossEntropyLoss, base_learning_rate=0.01" in finished.out
    assert "About 6 steps; 0.1 MB of memory for weights and their training; 0.1 MB on disk per checkpoint" in finished.out
    assert "No --validation_data_pattern: the last checkpoint counts as the best." in finished.out
    assert "Done: step 6, 3 epoch(s), " in finished.out and f"Everything is in {finished.folder}." in finished.out
    names = ["checkpoints", "command.txt", "config.json", "tensorboard"]
    assert sorted(path.name for path in finished.folder.iterdir()) == names
    assert (finished.folder / "command.txt").read_text().startswith("yt8m train '--train_data_pattern=")
    kept = config.from_json((finished.folder / "config.json").read_text())
    assert kept.networks["teacher"] == config.network_config(
        num_classes=5,
        features=config.FeatureConfig(sizes=(6, 3)),
        view=config.FrameView(frame_selection="uniform", frames_per_video=4),
        lstm_cells=4,
        lstm_layers=1,
        dropout=0.25,
    )
    assert (kept.training.seed, kept.training.max_to_keep, kept.training.checkpoint_steps) == (3, 2, 5)
    assert checkpoints(finished.folder) == ["step-00000005", "step-00000006"]


def test_videos_of_more_than_300_frames_are_counted(finished):
    counted = "3 of 24 videos (counted in every epoch) have more than 300 frames; only the first 300 were used."
    assert counted in finished.out


@pytest.mark.slow
def test_teacher_and_student_read_as_many_frames_as_asked_for(tmp_path):
    videos = [records.frame_record(records.random_frames(25 + i), b"v%d" % i, [i % 5]) for i in range(8)]
    files = commands.write_files(tmp_path, "train", videos)
    data, longer = f"--train_data_pattern={files}", "--max_video_frames=28"
    out = commands.succeed("train", data, *SMALL, *QUICK, longer, f"--train_dir={tmp_path}/teacher").out
    assert "4 of 8 videos (counted in every epoch) have more than 28 frames; only the first 28 were used." in out
    of_teacher = settings(tmp_path / "teacher")["networks"]["teacher"]
    assert (of_teacher["view"]["max_video_frames"], of_teacher["family"]["frames_per_block"]) == (28, 20)
    student = ("--mode=serial", f"--teacher_dir={tmp_path}/teacher", "--frames_per_video=4")
    commands.succeed("train", data, *QUICK, *student, f"--train_dir={tmp_path}/student")
    assert settings(tmp_path / "student")["networks"]["student"]["view"]["max_video_frames"] == 28
    longest = (*student[:2], "--frames_per_video=29", f"--train_dir={tmp_path}/other")
    assert "choose a value from 1 to 28 (max_video_frames)" in commands.fail("train", data, *QUICK, *longest)
    parallel = ("train", data, *SMALL, *QUICK, longer, "--mode=parallel", "--frames_per_video=4")
    commands.succeed(*parallel, f"--train_dir={tmp_path}/parallel")
    views = [network["view"] for network in settings(tmp_path / "parallel")["networks"].values()]
    assert [view["max_video_frames"] for view in views] == [28, 28]


@pytest.mark.parametrize("more", [(), ("--max_steps=1",)])
def test_a_finished_run_started_again_changes_nothing(tmp_path, finished, more):
    said = commands.succeed(*finished.resumed_in(tmp_path / "run", *more))
    assert "Nothing was left to train: the run had reached its end." in said.out and "--num_epochs" in said.out
    before, after = commands.entries(finished.folder), commands.entries(tmp_path / "run")
    assert before.pop("command.txt") != after.pop("command.txt")  # it names the folder
    if more:  # the new value is kept
        assert before.pop("config.json") != after.pop("config.json")
    assert after == before


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--base_learning_rate=0.5", "base_learning_rate (0.01 there, 0.5 here)"),
        ("--dropout=0.1", "dropout (0.5 there, 0.1 here)"),
        ("--frames_per_video=3", "frames_per_video (4 there, 3 here)"),
    ],
)
def test_a_run_cannot_be_resumed_with_other_settings(tmp_path, files, argument, words):
    run = commands.save_run(
        tmp_path / "run",
        networks.frame_level(
            num_classes=5, view=config.FrameView(frame_selection="uniform", frames_per_video=4), lstm_layers=1
        ),
    )
    kept = run.config.replace(
        train_data_pattern=files, training=config.TrainingConfig(batch_size=4, num_epochs=1, base_learning_rate=0.01)
    )
    (tmp_path / "run" / "config.json").write_text(config.to_json(kept))
    before = commands.entries(tmp_path / "run")
    line = commands.fail(
        "train", f"--train_data_pattern={files}", f"--train_dir={tmp_path}/run", *SMALL, *QUICK, *FEW_FRAMES, argument
    )
    assert words in line and "replace it with --start_new_model" in line
    assert line.count(" there, ") == 1
    assert commands.entries(tmp_path / "run") == before


def test_more_epochs_continue_a_finished_run(tmp_path, finished):
    said = commands.succeed(*finished.resumed_in(tmp_path / "run", "--num_epochs=4"))
    assert f"Found step 6 of this run in {tmp_path}/run;" in said.out
    assert "Done: step 8, 4 epoch(s)" in said.out
    assert settings(tmp_path / "run")["training"]["num_epochs"] == 4


def test_start_new_model_replaces_the_run_and_keeps_other_files(tmp_path, finished):
    again = finished.resumed_in(tmp_path / "run", "--start_new_model", "--seed=9", "--max_steps=1")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "plots").mkdir()
    (tmp_path / "run" / "plots" / "a.png").write_bytes(b"png")
    with mock.patch.object(train_command.runs, "train_run", return_value=Progress()):
        said = commands.succeed(*again)
    assert "Found step" not in said.out and not (tmp_path / "run" / "checkpoints").exists()
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "run" / "plots" / "a.png").read_bytes() == b"png"
    assert settings(tmp_path / "run")["training"]["seed"] == 9


def test_float_frames_are_detected(tmp_path):
    floats = commands.write_files(tmp_path / "data", "floats", commands.frame_videos(8, dtype=np.float32))
    with commands.parsed("train", f"--train_data_pattern={floats}", *SMALL):
        assert run_config.from_flags()[0].networks["teacher"].features.dtype == "float32"


@pytest.mark.slow
def test_compressed_files_of_2017_give_the_same_weights(tmp_path):
    """The same videos with both id keys, uncompressed and compressed."""
    for folder, id_key, compression in (("new", "id", ""), ("old", "video_id", "GZIP")):
        videos = commands.frame_videos(8, id_key=id_key)
        files = commands.write_files(tmp_path / folder, "train", videos, compression=compression)
        trained(tmp_path, files, folder=f"run_{folder}")
    new, old = (commands.weights(tmp_path / f"run_{name}") for name in ("new", "old"))
    assert new and all(np.array_equal(a, b) for a, b in zip(new, old, strict=True))


@pytest.mark.slow
def test_the_best_checkpoint_is_chosen_on_validation(tmp_path, files):
    validation = commands.write_files(tmp_path / "data", "validate", commands.frame_videos(6, seed=1))
    said = trained(tmp_path, files, f"--validation_data_pattern={validation}", "--num_epochs=2")
    assert "best validation GAP 0." in said.out and "2 validation file(s)" in said.out
    progress = json.loads((tmp_path / "run" / "best" / "progress.json").read_text())
    assert f"GAP {progress['best_value']:.4f} at step {progress['best_step']}" in said.out


@pytest.mark.parametrize("flag", ["train_dir", "validation_data_pattern"])
def test_remote_train_dirs_and_training_files_for_validation_are_refused(tmp_path, files, flag):
    value = {"train_dir": "gs://bucket/run", "validation_data_pattern": files}[flag]
    words = {"train_dir": "is not on this machine", "validation_data_pattern": "contains 2 training file(s)"}[flag]
    line = commands.fail(
        "train",
        f"--train_data_pattern={files}",
        f"--train_dir={tmp_path}/run",
        *SMALL,
        *QUICK,
        *FEW_FRAMES,
        f"--{flag}={value}",
    )
    assert line.startswith(f"Error: --{flag}=") and words in line
    assert not (tmp_path / "run").exists()


def test_a_run_resumes_only_with_the_same_files_in_the_same_order(tmp_path, finished):
    again = finished.resumed_in(tmp_path / "run")
    assert "num_readers (8 there, 2 here)" in commands.fail(*again, "--num_readers=2")
    commands.write_files(finished.folder.parent / "data", "train_more", commands.frame_videos(2))
    line = commands.fail(*again)
    for added in (finished.folder.parent / "data").glob("train_more*"):
        added.unlink()
    assert "train_files (" in line and "2 file(s)" in line and "4 file(s)" in line


@pytest.mark.slow
def test_a_training_that_diverges_saves_no_bad_checkpoint(tmp_path, files):
    ended = commands.run(
        "train",
        f"--train_data_pattern={files}",
        f"--train_dir={tmp_path}/run",
        *SMALL,
        *FEW_FRAMES,
        "--batch_size=4",
        "--num_epochs=9",
        "--base_learning_rate=1e38",
    )
    assert ended.code == 2
    assert "Training diverged at step 2: loss is nan, " in ended.lines[-1]
    assert "Try a smaller base_learning_rate" in ended.lines[-1]
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_training_that_diverges_later_names_the_last_good_checkpoint(tmp_path, finished):
    run = tmp_path / "run"
    with mock.patch.object(Supervised, "compute_losses", _not_a_number):
        ended = commands.run(*finished.resumed_in(run, "--num_epochs=4"))
    assert ended.code == 2 and "Training diverged at step 7: loss is nan" in ended.lines[-1]
    assert "Try a smaller base_learning_rate" in ended.lines[-1]
    assert ended.lines[-1].endswith(f"the last good checkpoint is {run}/checkpoints/step-00000006.")
    assert checkpoints(run) == checkpoints(finished.folder)


def _not_a_number(scheme, batch, training):
    predictions = scheme.networks["teacher"](batch["teacher"], training=training)["predictions"]
    return {"teacher/label_loss": float("nan") * predictions[:, 0]}, {"teacher": predictions}


def test_sigterm_saves_and_the_same_command_resumes(tmp_path, finished):
    """The signal arrives in the middle of an epoch. The step in progress ends, and the resumed run ends identically."""
    show, tell = callbacks.ProgressDisplay.on_train_batch_end, []

    def tell_once(self, step, logs=None):
        show(self, step, logs)
        if step == 2 and not tell:
            tell.append(signal.raise_signal(signal.SIGTERM))

    arguments = (*finished.arguments, f"--train_dir={tmp_path}/run")
    with mock.patch.object(callbacks.ProgressDisplay, "on_train_batch_end", tell_once):
        ended = commands.run(*arguments)
    assert ended.code == 143 and "SIGTERM: saving after this step." in ended.out
    assert ended.lines[-1] == (
        f"Stopped by SIGTERM; the last good checkpoint is {tmp_path}/run/checkpoints/step-00000003. "
        "The same command resumes it."
    )
    commands.succeed(*arguments)
    for mine, expected in zip(commands.weights(tmp_path / "run"), commands.weights(finished.folder), strict=True):
        np.testing.assert_array_equal(mine, expected)
