import pytest
import tensorflow as tf

from tests import commands, records
from youtube8m_distill import runs


@pytest.fixture
def files(tmp_path):
    return commands.write_files(tmp_path / "in", "train", commands.frame_videos(12))


def compact(files, folder, *arguments):
    return "compact", f"--input_data_pattern={files}", f"--output_dir={folder}", *arguments


def test_the_command_says_what_it_wrote_and_what_was_there(tmp_path, files):
    four = "--frames_per_video=4"
    said = commands.succeed(*compact(f"{tmp_path}/in/train0.tfrecord", tmp_path / "out", four))
    assert said.out.startswith(f"{tmp_path}/out: 6 videos in 1 file(s), 0.0 MiB instead of 0.0 (")
    before = commands.entries(tmp_path / "out")
    said = commands.succeed(*compact(files, tmp_path / "out", four))
    assert "6 videos in 1 file(s)" in said.out and said.out.endswith("; 1 file(s) were there already.\n")
    assert commands.entries(tmp_path / "out")["train0.tfrecord"] == before["train0.tfrecord"]
    assert commands.succeed(*compact(files, tmp_path / "out", four)).out == (
        f"{tmp_path}/out: every one of the 2 file(s) is already there; no video was written.\n"
    )


@pytest.mark.slow
def test_a_student_trained_on_compact_files_is_the_one_trained_on_the_originals(tmp_path, files, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    commands.succeed(*compact(files, tmp_path / "out", *commands.FEW_FRAMES))
    for name, pattern in (("in", files), ("out", f"{tmp_path}/out/*.tfrecord")):
        commands.succeed(
            "train",
            f"--train_data_pattern={pattern}",
            f"--train_dir={tmp_path}/{name}_run",
            *commands.SMALL,
            *commands.FEW_FRAMES,
            *commands.QUICK,
        )
    expected, found = commands.weights(tmp_path / "in_run"), commands.weights(tmp_path / "out_run")
    assert all((a == b).all() for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("missing", ["input_data_pattern", "output_dir"])
def test_what_must_be_given(missing):
    given = {"input_data_pattern": "x", "output_dir": "y"}
    del given[missing]
    line = commands.fail("compact", *[f"--{name}={value}" for name, value in given.items()])
    assert line == f"Error: --{missing} is missing; see --helpshort."


def test_a_folder_of_other_settings_is_refused_by_flag(tmp_path, files):
    commands.succeed(*compact(files, tmp_path / "out", "--frames_per_video=4"))
    line = commands.fail(*compact(files, tmp_path / "out", "--frames_per_video=3"))
    assert line.startswith(f"Error: --output_dir={tmp_path}/out holds other compact files: frames_per_video is 4 there")


def test_strided_frames_are_refused(tmp_path, files):
    assert commands.fail(*compact(files, tmp_path / "out", "--every_n=3")).startswith("Error: --every_n=3: a network that")


def test_a_network_that_sees_other_frames_refuses_compact_files(tmp_path, files):
    commands.succeed(*compact(files, tmp_path / "out", "--frames_per_video=4"))
    for flags, seen in (
        ([], "all ones"),
        (["--frames_per_video=3"], "3 uniform ones"),
        (["--frames_per_video=4", "--frame_selection=first"], "4 first ones"),
    ):
        line = commands.fail(
            "train",
            f"--train_data_pattern={tmp_path}/out/*.tfrecord",
            f"--train_dir={tmp_path}/run",
            *commands.SMALL,
            *commands.QUICK,
            *flags,
        )
        assert line.endswith(
            f"the files in {tmp_path}/out are compact and hold 4 uniform frames only, but the network sees "
            f"{seen}; give it the original files."
        )


def test_a_second_writer_is_refused(tmp_path, files):
    with runs.locked(tmp_path / "out", flag="output_dir"):
        line = commands.fail(*compact(files, tmp_path / "out"))
    assert line.startswith(f"Error: --output_dir={tmp_path}/out is in use: process ")


def test_the_folder_of_the_originals_is_refused(tmp_path, files):
    before = commands.entries(tmp_path)
    assert commands.fail(*compact(files, tmp_path / "in")).startswith(f"Error: --output_dir={tmp_path}/in is the folder of")
    assert commands.entries(tmp_path) == before


def test_video_level_files_are_refused(tmp_path):
    files = commands.write_files(tmp_path / "means", "v", commands.video_means(2))
    line = commands.fail(*compact(files, tmp_path / "out"))
    assert line.startswith(f"Error: --input_data_pattern={files}: ") and "video-level file" in line
    assert not (tmp_path / "out").exists()


def test_a_bad_record_ends_the_command_with_its_number(tmp_path):
    good = records.frame_record(records.random_frames(2))
    records.write(tmp_path / "a0.tfrecord", [good])
    bad = records.write(tmp_path / "a1.tfrecord", [good, records.frame_record({"rgb": [], "audio": []})])
    ended = commands.run(*compact(f"{tmp_path}/a*", tmp_path / "out"))
    assert ended.code == 2 and ended.lines[-1].startswith(f"Error: file {bad}, record 1: no frames under 'audio'. The files")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a0.tfrecord", "compact.json"]


@pytest.mark.slow
def test_bad_records_are_left_out_where_that_is_asked_for(tmp_path, files):
    bad = records.frame_record(records.random_frames(2), labels=[-1])
    records.write(tmp_path / "in" / "train2.tfrecord", [bad, *commands.frame_videos(14)[12:], bad])
    path = tmp_path / "in" / "train1.tfrecord"
    path.write_bytes(path.read_bytes()[:-7])
    said = commands.succeed(
        *compact(files, tmp_path / "out", "--frames_per_video=4", "--skip_bad_records", "--max_bad_fraction=0.3")
    )
    warning = f"Warning: about 3 of 16 records (19 %) were left out; listed in {tmp_path}/out/bad_records.csv"
    assert [line for line in said.lines if line.startswith("Warning")] == [warning] * 2
    assert said.out.startswith(f"{tmp_path}/out: 13 videos in 3 file(s)")
    found = [
        tf.train.SequenceExample.FromString(record.numpy()).context.feature["id"].bytes_list.value[0]
        for record in tf.data.TFRecordDataset([f"{tmp_path}/out/train{i}.tfrecord" for i in range(3)])
    ]
    assert found == [commands.video_id(number) for number in range(14) if number != 11]
