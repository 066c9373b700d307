import pytest

from tests import commands, networks, records
from youtube8m_distill import config, runs


@pytest.fixture
def files(tmp_path):
    return commands.write_files(tmp_path / "in", "train", commands.frame_videos(12))


def compact(files, folder, *arguments):
    return "compact", f"--input_data_pattern={files}", f"--output_dir={folder}", *arguments


def test_the_command_reports_what_it_wrote_and_what_existed(tmp_path, files):
    four = "--frames_per_video=4"
    ended = commands.succeed(*compact(f"{tmp_path}/in/train0.tfrecord", tmp_path / "out", four))
    assert ended.out.startswith(f"{tmp_path}/out: 6 videos in 1 file(s), 0.0 MiB instead of 0.0 (")
    before = commands.entries(tmp_path / "out")
    ended = commands.succeed(*compact(files, tmp_path / "out", four))
    assert "6 videos in 1 file(s)" in ended.out and ended.out.endswith("; 1 file(s) existed.\n")
    assert commands.entries(tmp_path / "out")["train0.tfrecord"] == before["train0.tfrecord"]
    assert commands.succeed(*compact(files, tmp_path / "out", four)).out == (
        f"{tmp_path}/out: all 2 file(s) exist; nothing was written.\n"
    )


@pytest.mark.slow
def test_training_on_compact_files_gives_the_weights_of_training_on_the_originals(tmp_path, files, monkeypatch):
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


def test_a_folder_with_other_settings_is_refused(tmp_path, files):
    commands.succeed(*compact(files, tmp_path / "out", "--frames_per_video=4"))
    line = commands.fail(*compact(files, tmp_path / "out", "--frames_per_video=3"))
    assert line.startswith(f"Error: --output_dir={tmp_path}/out: holds ") and "frames_per_video (4 there, 3 here)" in line


def test_strided_frames_are_refused(tmp_path, files):
    assert commands.fail(*compact(files, tmp_path / "out", "--every_n=3")).startswith("Error: --every_n=3: a network that")


def test_networks_that_see_other_frames_refuse_compact_files(tmp_path, files):
    commands.succeed(*compact(files, tmp_path / "out", "--frames_per_video=4"))
    for flags, seen in (
        ([], "all frames"),
        (["--frames_per_video=3"], "3 uniform frames"),
        (["--frames_per_video=4", "--frame_selection=first"], "4 first frames"),
    ):
        line = commands.fail(
            "train",
            f"--train_data_pattern={tmp_path}/out/*.tfrecord",
            f"--train_dir={tmp_path}/run",
            *commands.SMALL,
            *commands.QUICK,
            *flags,
        )
        assert f"the compact files in {tmp_path}/out hold only 4 uniform frames, " in line
        assert f"but a HierarchicalLstmModel that reads them needs {seen}. Give the original files." in line


def test_jittered_training_refuses_compact_files(tmp_path, files):
    commands.succeed(*compact(files, tmp_path / "out", "--frames_per_video=4"))
    train = ("train", f"--train_data_pattern={tmp_path}/out/*.tfrecord", f"--train_dir={tmp_path}/run")
    line = commands.fail(*train, *commands.SMALL, *commands.QUICK, "--frames_per_video=4", "--jitter_frames")
    assert f"the compact files in {tmp_path}/out hold the same frames in each epoch, so jitter_frames, which" in line
    assert line.endswith("Give --nojitter_frames, or the original files.")


def test_two_processes_cannot_write_the_same_folder(tmp_path, files):
    with runs.locked(tmp_path / "out", flag="output_dir"):
        line = commands.fail(*compact(files, tmp_path / "out"))
    assert line.startswith(f"Error: --output_dir={tmp_path}/out: is in use: process ")


def test_the_folder_of_the_originals_is_refused(tmp_path, files):
    before = commands.entries(tmp_path)
    assert commands.fail(*compact(files, tmp_path / "in")).startswith(f"Error: --output_dir={tmp_path}/in: ")
    assert commands.entries(tmp_path) == before


def test_video_level_files_are_refused(tmp_path):
    files = commands.write_files(tmp_path / "means", "v", commands.video_means(2))
    line = commands.fail(*compact(files, tmp_path / "out"))
    assert line.startswith(f"Error: --input_data_pattern={files}: ") and "video-level file" in line
    assert not (tmp_path / "out").exists()


def test_records_whose_features_differ_in_length_can_be_excluded(tmp_path):
    good, frames = records.frame_record(records.random_frames(2)), records.random_frames(3)
    uneven = records.frame_record({**frames, "audio": frames["audio"][:2]}, b"uneven")
    path = records.write(tmp_path / "a.tfrecord", [good, uneven])
    ended = commands.run(*compact(path, tmp_path / "out"))
    assert ended.code == 2 and ended.lines[-1] == (
        f"Error: file {path}, record 1: 'audio' has 2 frames and 'rgb' 3, and compact does not pad. The files in "
        f"--output_dir={tmp_path}/out are complete. `yt8m check` lists all such records, and --exclude_records skips them. "
        "Add that flag to this command to resume."
    )
    assert commands.run("check", f"--input_data_pattern={path}", f"--output_file={tmp_path}/bad.csv").code == 1
    ended = commands.succeed(*compact(path, tmp_path / "out", f"--exclude_records={tmp_path}/bad.csv"))
    assert ended.out.startswith(f"{tmp_path}/out: 1 videos in 1 file(s)")


def test_a_bad_record_is_named_and_complete_files_are_kept(tmp_path):
    good = records.frame_record(records.random_frames(2))
    records.write(tmp_path / "a0.tfrecord", [good])
    bad = records.write(tmp_path / "a1.tfrecord", [good, records.frame_record({"rgb": [], "audio": []})])
    ended = commands.run(*compact(f"{tmp_path}/a*", tmp_path / "out"))
    assert ended.code == 2 and ended.lines[-1].startswith(f"Error: file {bad}, record 1: no frames under 'audio'. The files")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a0.tfrecord", "compact.json"]


@pytest.mark.slow
def test_a_network_that_reads_frame_indices_predicts_the_same_from_compact_files(tmp_path):
    settings = {"view": config.FrameView(frame_selection="uniform", frames_per_video=3), "num_classes": commands.NUM_CLASSES}
    run = commands.save_run(tmp_path / "run", networks.frame_level("TransformerModel", **settings))
    videos = [records.frame_record(records.random_frames(9 + i, seed=i), commands.video_id(i), [1]) for i in range(5)]
    files = commands.write_files(tmp_path / "in", "test", videos)
    commands.succeed(*compact(files, tmp_path / "out", "--frames_per_video=3"))
    written = []
    for number, pattern in enumerate((files, f"{tmp_path}/out/*.tfrecord")):
        csv = tmp_path / f"{number}.csv"
        commands.succeed("infer", f"--train_dir={run.folder}", f"--input_data_pattern={pattern}", f"--output_file={csv}")
        written.append(csv.read_bytes())
    assert written[0] == written[1]
