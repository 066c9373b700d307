import numpy as np
import pytest

from tests import commands, networks, records
from youtube8m_distill import config, runs
from youtube8m_distill.data.exclusions import Fault
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.errors import SettingError
from youtube8m_distill.runs import shards

FEATURES = config.FeatureConfig(sizes=(6, 3))


def test_the_files_of_a_flag_are_found_in_order(tmp_path):
    pattern = commands.write_files(tmp_path, "train", commands.frame_videos(4))
    found = runs.find_shards("train_data_pattern", pattern, FEATURES)
    assert [shard.path for shard in found] == [f"{tmp_path}/train0.tfrecord", f"{tmp_path}/train1.tfrecord"]


@pytest.mark.parametrize(
    "features, words",
    [
        (None, "matches no file"),
        (config.FeatureConfig(sizes=(7, 3)), "the network reads 7"),
        (config.FeatureConfig(names=("rgb", "inc3"), sizes=(6, 3)), "no frame-level feature 'inc3'"),
    ],
)
def test_errors_about_files_name_the_flag(tmp_path, features, words):
    pattern = commands.write_files(tmp_path, "train", commands.frame_videos(2)) if features else f"{tmp_path}/none"
    with pytest.raises(SettingError) as raised:
        runs.find_shards("some_flag", pattern, features)
    assert str(raised.value).startswith(f"some_flag={pattern}: ") and words in str(raised.value)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_stored_dtype_is_detected(tmp_path, dtype):
    pattern = commands.write_files(tmp_path, "train", commands.frame_videos(2, dtype=np.dtype(dtype).type))
    assert runs.RecordFiles().stored_dtype("some_flag", pattern, ("rgb", "audio")) == dtype


def test_video_level_files_have_no_frames_to_look_at(tmp_path):
    pattern = commands.write_files(tmp_path, "train", commands.video_means(2))
    with pytest.raises(SettingError, match="^some_flag=.*no frame-level feature 'rgb'.*looks video-level"):
        runs.RecordFiles().stored_dtype("some_flag", pattern, ("rgb", "audio"))


def test_each_pattern_is_searched_once(tmp_path, monkeypatch):
    pattern, searched = commands.write_files(tmp_path, "train", commands.frame_videos(2)), []
    monkeypatch.setattr(shards, "find_files", lambda pattern, **options: searched.append(pattern) or find_files(pattern))
    files = runs.RecordFiles()
    assert not files.are_video_level("train_data_pattern", pattern)
    assert files.stored_dtype("train_data_pattern", pattern, ("rgb", "audio")) == "uint8"
    assert len(files.find({"train_data_pattern": pattern}, FEATURES)["train_data_pattern"]) == 2
    assert searched == [pattern]


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_a_training_file_that_disappears_is_named_with_the_flag(tmp_path, monkeypatch, compression):
    pattern = commands.write_files(tmp_path / "data", "train", commands.frame_videos(4), compression=compression)
    network = networks.frame_level()
    training = config.TrainingConfig(batch_size=2)
    settings = config.RunConfig(mode="teacher", networks={"teacher": network}, training=training, train_data_pattern=pattern)
    found, gone = runs.find_training_files(settings), tmp_path / "data" / "train1.tfrecord"
    check_labels = shards.check_labels
    monkeypatch.setattr(shards, "check_labels", lambda *given: (check_labels(*given), gone.unlink()))
    for start in (lambda: runs.find_training_files(settings), lambda: runs.pin(settings, found)):
        with pytest.raises(SettingError) as raised:
            start()
        assert str(raised.value).startswith(f"train_data_pattern={pattern}: ") and str(gone) in str(raised.value)
        assert "no longer exists" in str(raised.value) or "Check that it still exists" in str(raised.value)


# ---- excluded records


@pytest.fixture
def spoiled(tmp_path):
    """The glob of an empty file, a file of four videos, and one that begins with a bad record; and their exclusion list."""
    pattern = commands.write_files(tmp_path, "train", commands.frame_videos(4), files=1)
    records.write(tmp_path / "train1.tfrecord", [b"abc", commands.frame_videos(5)[-1]])
    (tmp_path / "a-train.tfrecord").write_bytes(b"")
    return pattern.replace("train*", "*"), [Fault("a-train.tfrecord", None, "empty"), Fault("train1.tfrecord", 0, "bad")]


def test_excluded_files_and_records_are_not_looked_at(tmp_path, spoiled):
    pattern, exclusions = spoiled
    with pytest.raises(SettingError, match=f"^some_flag=.*: {tmp_path}/a-train.tfrecord is empty"):
        runs.find_shards("some_flag", pattern, FEATURES)
    with pytest.raises(SettingError, match=f"^some_flag=.*: {tmp_path}/a-train.tfrecord is empty"):
        runs.find_shards("some_flag", pattern, FEATURES, exclusions=exclusions[1:])
    found = runs.find_shards("some_flag", pattern, FEATURES, exclusions=exclusions)
    assert [(shard.path, shard.excluded) for shard in found] == [
        (f"{tmp_path}/train0.tfrecord", ()),
        (f"{tmp_path}/train1.tfrecord", (0,)),
    ]
    assert runs.RecordFiles(exclusions).stored_dtype("some_flag", pattern, ("rgb", "audio")) == "uint8"


def test_a_list_may_be_about_one_of_several_sets(tmp_path, spoiled):
    pattern, exclusions = spoiled
    other = commands.write_files(tmp_path / "other", "validate", commands.frame_videos(2))
    found = runs.RecordFiles(exclusions).find({"one": other, "two": pattern}, FEATURES)
    assert [len(found[name]) for name in ("one", "two")] == [2, 2]
    with pytest.raises(SettingError, match="^exclude_records: the list names none of the files"):
        runs.find_shards("one", other, FEATURES, exclusions=exclusions)


def test_a_fingerprint_depends_on_contents_and_order_but_not_on_paths_or_exclusions(tmp_path, spoiled):
    pattern, exclusions = spoiled
    found = runs.find_shards("some_flag", f"{tmp_path}/train*", exclusions=exclusions[1:])
    moved = tmp_path / "moved"
    moved.mkdir()
    for shard in found:
        (moved / f"renamed_{shard.path.rsplit('/', 1)[-1]}").write_bytes(open(shard.path, "rb").read())
    again = runs.find_shards("some_flag", f"{moved}/renamed*")
    assert runs.fingerprint(again) == runs.fingerprint(found)
    assert runs.fingerprint(found[:1]) != runs.fingerprint(found) != runs.fingerprint(found[::-1])
    assert runs.fingerprint(again, with_names=True) != runs.fingerprint(found, with_names=True)
    assert runs.fingerprint_of_names(again) != runs.fingerprint_of_names(found)


@pytest.mark.parametrize("student_loss, is_refused", [(("pred",), False), (("rep", "pred"), False), (("rep",), True)])
def test_a_student_of_its_teachers_outputs_needs_no_labels(tmp_path, student_loss, is_refused):
    teacher = commands.save_run(tmp_path / "teacher", networks.frame_level())
    pattern = commands.write_files(tmp_path / "data", "train", commands.frame_videos(4, labels=False))
    settings = config.RunConfig(
        mode="serial",
        networks={"teacher": networks.frame_level(), "student": networks.frame_level()},
        training=config.TrainingConfig(batch_size=2),
        distillation=config.DistillationConfig(student_loss=student_loss),
        train_data_pattern=pattern,
        teacher_dir=str(teacher.folder),
    )
    if is_refused:
        with pytest.raises(SettingError, match="train_data_pattern=.* has labels under 'labels'"):
            runs.find_training_files(settings)
    else:
        assert runs.find_training_files(settings).num_train == 4
