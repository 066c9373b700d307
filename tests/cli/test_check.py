"""yt8m check, and the commands that skip the records on its list."""

import pytest

from tests import commands, networks, records


@pytest.fixture
def files(tmp_path):
    """The glob of 9 valid and 2 bad records in three files."""
    commands.write_files(tmp_path / "data", "v", commands.frame_videos(9))
    frames = records.random_frames(2)
    bad = [records.frame_record(frames, b"b%d" % label, [label]) for label in (commands.NUM_CLASSES, -1)]
    records.write(tmp_path / "data" / "v9.tfrecord", bad)
    return f"{tmp_path}/data/*.tfrecord"


def check(files, *arguments):
    return commands.run("check", f"--input_data_pattern={files}", f"--num_classes={commands.NUM_CLASSES}", *arguments)


def test_bad_records_are_printed_and_listed_with_exit_code_1(files, tmp_path):
    ended = check(files, f"--output_file={tmp_path}/bad.csv")
    bad = f"{tmp_path}/data/v9.tfrecord"
    first, second, *rest = ended.out.splitlines()
    assert ended.code == 1 and rest == [
        "2 of 11 records in 3 file(s) are bad (18 %).",
        f"Skip them with --exclude_records={tmp_path}/bad.csv in train, eval, infer and compact.",
    ]
    assert [line.split(",")[:2] for line in (tmp_path / "bad.csv").read_text().splitlines()[1:]] == [[bad, "0"], [bad, "1"]]
    assert first.startswith(f"{bad}, record 0: label 5 is outside 0 .. 4; ")
    assert second.startswith(f"{bad}, record 1: label -1 is outside 0 .. 4; ")


def test_only_the_first_faults_are_printed(tmp_path):
    frames = records.random_frames(1)
    records.write(tmp_path / "a.tfrecord", [records.frame_record(frames, b"a%d" % number, [9]) for number in range(13)])
    lines = check(tmp_path / "a.tfrecord").out.splitlines()
    assert len(lines) == 13 and lines[10] == "... and 3 more."
    assert lines[12] == "Add --output_file=bad_records.csv to write a list of them for --exclude_records."


def test_feature_names_choose_what_is_checked(tmp_path):
    frames = {**records.random_frames(2), "depth": [b"1", b""]}  # only rgb and audio are complete
    path = records.write(tmp_path / "a.tfrecord", [records.frame_record(frames, labels=[1])])
    assert check(path).code == 1
    ended = check(path, "--feature_names=rgb,audio", f"--output_file={tmp_path}/bad.csv")
    assert ended.code == 0 and ended.out == "0 of 1 records in 1 file(s) are bad.\n"
    assert (tmp_path / "bad.csv").read_text() == "file,record,reason\n"
    line = commands.fail("check", f"--input_data_pattern={path}", "--feature_names=rgb,heat")
    assert line.startswith(f"Error: --input_data_pattern={path}: ") and "no frame-level feature 'heat'" in line


def test_errors_name_the_flag(tmp_path):
    line = commands.fail("check", f"--input_data_pattern={tmp_path}/none")
    assert line.startswith(f"Error: --input_data_pattern={tmp_path}/none: ") and "matches no file" in line
    line = commands.fail("check", "--input_data_pattern=x", "--output_file=tests")
    assert line.startswith("Error: --output_file=tests: exists and is not a regular file")


def test_evaluation_and_compact_skip_the_records_on_the_list(files, tmp_path, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    lines = [f"{tmp_path}/data/v9.tfrecord,{number},label" for number in range(2)]
    (tmp_path / "bad.csv").write_text("\n".join(["file,record,reason", *lines, ""]))
    exclude = f"--exclude_records={tmp_path}/bad.csv"
    run = commands.save_run(tmp_path / "run", networks.frame_level()).folder
    ended = commands.succeed("eval", f"--train_dir={run}", f"--eval_data_pattern={files}", "--run_once", exclude)
    assert "step 3, 9 videos, " in ended.out
    out = tmp_path / "compact"
    ended = commands.succeed("compact", f"--input_data_pattern={files}", f"--output_dir={out}", exclude)
    assert ended.out.startswith(f"{out}: 9 videos in 2 file(s)")


def test_a_run_that_stopped_at_a_bad_record_resumes_without_it(tmp_path, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    files = commands.write_files(tmp_path / "data", "v", commands.frame_videos(9))
    frames = records.random_frames(2)
    videos = [records.frame_record(frames, b"b%d" % label, [label]) for label in (1, -1)]
    records.write(tmp_path / "data" / "v9.tfrecord", videos)
    (tmp_path / "bad.csv").write_text(f"file,record,reason\n{tmp_path}/data/v9.tfrecord,1,label\n")
    train = ("train", f"--train_data_pattern={files}", f"--train_dir={tmp_path}/run", *commands.SMALL, *commands.QUICK)
    ended = commands.run(*train)
    assert ended.code == 2 and ended.lines[-1].startswith(f"Error: file {tmp_path}/data/v9.tfrecord, record 1: label -1")
    assert ended.lines[-1].endswith("Training stopped; there is no checkpoint yet.")
    assert "data: 10 training videos" in commands.succeed(*train, f"--exclude_records={tmp_path}/bad.csv").out


def test_an_invalid_list_is_refused(files, tmp_path):
    (tmp_path / "list.csv").write_text("a,b\n")
    line = commands.fail(
        "compact", f"--input_data_pattern={files}", f"--output_dir={tmp_path}/out", f"--exclude_records={tmp_path}/list.csv"
    )
    assert line.startswith(f"Error: --exclude_records={tmp_path}/list.csv: is not an exclusion list: ")


def test_a_list_about_other_files_is_refused(files, tmp_path):
    (tmp_path / "list.csv").write_text("file,record,reason\nother.tfrecord,3,bad\n")
    run = commands.save_run(tmp_path / "run", networks.frame_level())
    line = commands.fail(
        "eval",
        f"--train_dir={run.folder}",
        f"--eval_data_pattern={files}",
        "--run_once",
        f"--exclude_records={tmp_path}/list.csv",
    )
    assert line.startswith("Error: --exclude_records: the list names none of the files to read")
