"""yt8m check, and the commands that skip the records on its list."""

import pytest

from tests import commands, networks, records
from tests.data.test_segments import broken
from tests.data.test_segments import video as rated


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
    first, second, checked, *rest = ended.out.splitlines()
    assert checked == "Checked: audio (3 bytes), rgb (6 bytes), labels under 'labels' in 9 of 9 valid records."
    assert ended.code == 1 and rest == [
        "`yt8m train` reads these features with --feature_names=rgb,audio --feature_sizes=6,3.",
        "2 of 11 records in 3 file(s) are bad (18 %).",
        f"Skip them with --exclude_records={tmp_path}/bad.csv in train, eval, infer, beam and compact.",
    ]
    assert [line.split(",")[:2] for line in (tmp_path / "bad.csv").read_text().splitlines()[1:]] == [[bad, "0"], [bad, "1"]]
    assert first.startswith(f"{bad}, record 0: label 5 is outside 0 .. 4; ")
    assert second == f"{bad}, record 1: label -1 is outside 0 .. 4; labels count from 0"


def test_only_the_first_faults_are_printed(tmp_path):
    frames = records.random_frames(1)
    records.write(tmp_path / "a.tfrecord", [records.frame_record(frames, b"a%d" % number, [9]) for number in range(13)])
    lines = check(tmp_path / "a.tfrecord").out.splitlines()
    assert len(lines) == 15 and lines[10] == "... and 3 more."
    assert lines[14] == "Add --output_file=bad_records.csv to write a list of them for --exclude_records."


def test_feature_names_choose_what_is_checked(tmp_path):
    frames = {**records.random_frames(2), "depth": [b"1", b""]}  # only rgb and audio are complete
    path = records.write(tmp_path / "a.tfrecord", [records.frame_record(frames, labels=[1])])
    assert check(path).code == 1
    ended = check(path, "--feature_names=rgb,audio", f"--output_file={tmp_path}/bad.csv")
    assert ended.code == 0 and ended.out.splitlines() == [
        "Checked: rgb (6 bytes), audio (3 bytes), labels under 'labels' in 1 of 1 valid records.",
        "`yt8m train` reads these features with --feature_names=rgb,audio --feature_sizes=6,3.",
        "0 of 1 records in 1 file(s) are bad.",
    ]
    assert (tmp_path / "bad.csv").read_text() == "file,record,reason\n"
    line = commands.fail("check", f"--input_data_pattern={path}", "--feature_names=rgb,heat")
    assert line.startswith(f"Error: --input_data_pattern={path}: ") and "no frame-level feature 'heat'" in line


def test_features_that_the_first_record_lacks_are_reported(tmp_path):
    frames = records.random_frames(2)
    rows = [records.frame_record({"rgb": frames["rgb"]}, b"v1"), records.frame_record(frames, b"v2")]
    path = records.write(tmp_path / "a.tfrecord", rows)
    line = "Also in some records, and not checked: audio; name features with --feature_names."
    assert line in commands.succeed("check", f"--input_data_pattern={path}").out.splitlines()
    padded = commands.succeed("check", f"--input_data_pattern={path}", "--pad_missing_features").out
    assert "Also in" not in padded and "Checked: audio (3 bytes), rgb (6 bytes), " in padded
    assert "Also in" not in commands.succeed("check", f"--input_data_pattern={path}", "--feature_names=rgb").out


@pytest.mark.parametrize(
    "frames, flags, words",
    [
        ({"rgb": 1024, "audio": 128}, (), None),
        ({"rgb": 1024}, (), "`yt8m train` reads these features with --feature_names=rgb --feature_sizes=1024."),
        ({"audio_embedding": 128}, (), "... with --feature_names=audio_embedding --feature_sizes=128."),
        ({"rgb": 6, "audio": 128}, (), "... with --feature_names=rgb,audio --feature_sizes=6,128."),
        ({"rgb": 6, "audio": 128}, ("--feature_sizes=6,128",), None),
        (
            {"rgb": 4096, "audio": 128},
            (),
            "rgb holds 4096 bytes instead of 1024. These bytes may be 1024 float32 numbers: read them with "
            "--feature_dtype=float32.",
        ),
        ({"rgb": 4096, "audio": 512}, ("--feature_dtype=float32",), None),
    ],
)
def test_features_that_training_does_not_read_by_default_are_reported_with_its_flags(tmp_path, frames, flags, words):
    frames = {name: [bytes(size)] * 2 for name, size in frames.items()}
    path = records.write(tmp_path / "a.tfrecord", [records.frame_record(frames, labels=[1])])
    checked, *lines = commands.succeed("check", f"--input_data_pattern={path}", *flags).out.splitlines()
    assert checked.startswith("Checked: ")
    expected = [words.replace("...", "`yt8m train` reads these features")] if words else []
    assert lines == [*expected, "0 of 1 records in 1 file(s) are bad."]


def test_other_sizes_than_those_asked_for_are_refused(tmp_path):
    path = records.write(tmp_path / "a.tfrecord", [records.frame_record(records.random_frames(2))])
    line = commands.fail("check", f"--input_data_pattern={path}", "--feature_sizes=1024,128")
    assert line.startswith(f"Error: --input_data_pattern={path}: ") and "'rgb' holds 2 frames of 6 bytes, but" in line
    line = commands.fail("check", f"--input_data_pattern={path}", "--feature_sizes=6")
    assert line.startswith("Error: --feature_sizes=6: give one size for each of feature_names=rgb,audio")


def test_files_without_labels_are_reported_and_refused_if_their_name_is_given(tmp_path):
    rows = [records.frame_record(records.random_frames(2), b"v%d" % number, None, label=[1, 2]) for number in range(2)]
    path = records.write(tmp_path / "a.tfrecord", rows)
    ended = commands.succeed("check", f"--input_data_pattern={path}")
    advice = "they can neither train nor score; `yt8m infer` needs none. Name the labels with --label_key; other integers in"
    assert "labels under 'labels' in 0 of 2 valid records." in ended.out
    assert (
        f"None of these records has labels under 'labels', so {advice} the records: label (2 in the first).\n" in ended.out
    )
    assert "'label' in 2 of 2" in commands.succeed("check", f"--input_data_pattern={path}", "--label_key=label").out
    line = commands.fail("check", f"--input_data_pattern={path}", "--label_key=tags")
    assert line.startswith(f"Error: --input_data_pattern={path}: ") and f"has labels under 'tags', so {advice}" in line


def test_multi_hot_labels_are_explained_once(tmp_path):
    rows = [records.frame_record(records.random_frames(2), b"v%d" % place, [0, 1, 0, 0, 1]) for place in range(24)]
    line = check_fails(records.write(tmp_path / "a.tfrecord", rows))
    assert "a.tfrecord: 'labels' holds a multi-hot vector in every record: 5 zeros and ones" in line


def check_fails(path):
    return commands.fail("check", f"--input_data_pattern={path}", f"--num_classes={commands.NUM_CLASSES}")


def test_frames_in_an_example_are_reported_as_no_features(tmp_path):
    line = check_fails(records.write(tmp_path / "a.tfrecord", [records.video_record({"rgb": b"x" * 6}, labels=[1])]))
    assert "a.tfrecord has no features: " in line and line.endswith(
        "it holds id (4 bytes), labels (1 integers), rgb (6 bytes)."
    )


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


@pytest.mark.slow
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
    advice = "`yt8m check` lists all such records, and --exclude_records skips them."
    assert ended.lines[-1].endswith(f"Training stopped; there is no checkpoint yet. {advice}")
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


# ---- rated segments

SEGMENTS = "--segment_labels"
INVALID = (
    (
        rated(b"i0", 9, (0, 1, 1.0), (0, 1, 0.0)),
        "the segment that starts at 0 is rated both positive and negative for class 1",
    ),
    (
        rated(b"i1", 9, (0, 1, 1.0), segment_scores=[1.0, 0.0]),
        "segment_labels, segment_start_times, segment_end_times and segment_scores hold 1, 1 and 1 integers, and 2 floats; "
        "each rating has one of each",
    ),
    (rated(b"i2", 9, (0, 1, 1.5)), "segment_scores holds 1.5, which is outside 0 .. 1"),
    (rated(b"i3", 9, (5, 1, 1.0)), "a segment ends at frame 10, after the video's 9 frames"),
    (
        rated(b"i4", 9, (0, 7, 1.0)),
        "class 7 is rated and is not among the 5 classes of the segments (--segment_label_ids_file)",
    ),
    (rated(None, 9, (0, 1, 1.0)), "has ratings and no video id; store one under id or video_id."),
    (broken(b"i6"), "segment i6:5: frame 1 of 'rgb' holds 5 bytes instead of 6"),
)
VALID = rated(b"v", 12, (0, 1, 1.0), (5, 2, 0.0))


def refused(pattern, tmp_path, *arguments):
    """Why training on segments refuses some files."""
    train = ("train", f"--train_data_pattern={pattern}", *commands.SMALL, *commands.QUICK, "--batch_size=1", SEGMENTS)
    ended = commands.run(*train, f"--train_dir={tmp_path}/run", *arguments)
    assert ended.code == 2
    return ended.lines[-1]


@pytest.mark.slow
def test_ratings_that_training_refuses_are_reported_in_the_same_words(tmp_path):
    path = records.write(tmp_path / "a.tfrecord", [VALID, *(record for record, _ in INVALID)])
    ended = check(path, SEGMENTS, f"--output_file={tmp_path}/bad.csv")
    lines = [f"{path}, record {number}: {reason}" for number, (_, reason) in enumerate(INVALID, start=1)]
    assert ended.code == 1 and ended.out.splitlines() == [
        *lines,
        "Checked: audio (3 bytes), rgb (6 bytes), ratings of segments in 1 of 1 valid records.",
        "`yt8m train` reads these features with --feature_names=rgb,audio --feature_sizes=6,3.",
        "7 of 8 records in 1 file(s) are bad (88 %).",
        f"Skip them with --exclude_records={tmp_path}/bad.csv in train, eval, infer, beam and compact.",
    ]
    for place, line in enumerate(lines):
        alone = records.write(tmp_path / "alone.tfrecord", [VALID] * (place + 1) + [INVALID[place][0]])
        assert line.replace(path, alone) in refused(alone, tmp_path)
    assert "2 of 8 records in 1 file(s) are bad" in check(path).out  # without the flag, only the id and the frame


def test_a_set_without_invalid_ratings_passes_also_if_some_videos_have_no_ratings(tmp_path):
    unrated = rated(b"u", 3, labels=[99])  # its labels are not read
    path = records.write(tmp_path / "a.tfrecord", [VALID, unrated])
    ended = check(path, SEGMENTS)
    assert ended.code == 0 and "ratings of segments in 1 of 2 valid records." in ended.out
    assert "label 99 is outside" in check(path).out
    path = records.write(tmp_path / "b.tfrecord", [unrated])
    ended = check(path, SEGMENTS)
    assert ended.code == 0 and "\nNone of these records has rated segments (segment_labels, segment_start" in ended.out
    assert "has rated segments (segment_labels, segment_start" in refused(path, tmp_path)


def test_classes_that_may_be_rated_are_those_of_the_list(tmp_path):
    (tmp_path / "ids.csv").write_text("Index\n1\n4\n")
    path = records.write(tmp_path / "a.tfrecord", [VALID])
    listed = f"--segment_label_ids_file={tmp_path}/ids.csv"
    assert "class 2 is rated and is not among the 2 classes" in check(path, SEGMENTS, listed).out
    assert check(path, listed).lines == ["Error: --segment_label_ids_file: has an effect only with segment_labels."]
    official = commands.run("check", f"--input_data_pattern={path}", SEGMENTS)
    assert "class 1 is rated and is not among the 1000 classes" in official.out


def test_a_duplicate_of_a_rated_video_is_reported(tmp_path):
    path = records.write(tmp_path / "a.tfrecord", [rated(b"v", 3), VALID, rated(b"v", 9, (0, 1, 1.0))])
    assert f"{path}, record 2: its video id is a duplicate of {path}, record 1\n" in check(path, SEGMENTS).out


def test_files_that_cannot_hold_segments_are_refused(tmp_path):
    means = records.write(tmp_path / "means.tfrecord", commands.video_means(2))
    line = commands.fail("check", f"--input_data_pattern={means}", SEGMENTS)
    reason = f"{means} has video-level features, and segments are cut out of frames; give frame-level files."
    assert line == f"Error: --segment_labels=true: {reason}"
    path = records.write(tmp_path / "a.tfrecord", [VALID])
    (tmp_path / "compact.json").write_text("{}")
    line = commands.fail("check", f"--input_data_pattern={path}", SEGMENTS)
    assert "hold no whole segments; give the original files" in line


def test_ratings_are_mentioned_if_whole_videos_are_checked(tmp_path):
    path = records.write(tmp_path / "a.tfrecord", [VALID])
    ended = commands.succeed("check", f"--input_data_pattern={path}")
    assert "the records also hold ratings of segments, which --segment_labels reads." in ended.out
