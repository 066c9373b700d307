"""Training, evaluation and retrieval of segments by the commands."""

import csv
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from tests import commands, records
from tests.commands import FEATURES, NUM_CLASSES, QUICK, SMALL
from tests.data.test_segments import broken, video
from youtube8m_distill import config, runs
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.export.segments import read_segments
from youtube8m_distill.runs import retrieved

SEGMENTS = "--segment_labels"


pytestmark = pytest.mark.usefixtures("quick_hrnn")


def rated_videos(count, num_frames=23):
    """Videos v000, v001, ... whose class `number % 5` is rated 1 at 5 and 0 at 10, where another class is rated, too."""
    found = []
    for number in range(count):
        c = number % NUM_CLASSES
        ratings = (5, c, 1.0), (10, c, 0.0), (10, (c + 1) % NUM_CLASSES, 1.0)
        found.append(video(commands.video_id(number), num_frames + number % 3, *ratings, seed=number))
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The glob of 12 videos in two files, with 24 rated segments and 36 ratings."""
    return commands.write_files(tmp_path_factory.mktemp("data"), "validate", rated_videos(12))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    """Training directories of a network of whole videos and of one of segments, which starts from the first."""
    folder = tmp_path_factory.mktemp("runs")
    arguments = ("train", f"--train_data_pattern={data}", *SMALL, *QUICK)
    commands.succeed(*arguments, f"--train_dir={folder}/videos", "--frames_per_video=6")
    own = (SEGMENTS, f"--init_from={folder}/videos", f"--validation_data_pattern={data}", f"--train_dir={folder}/segments")
    arguments = ("train", f"--train_data_pattern={data.replace('*', '0')}", *SMALL, *QUICK, *own)
    out = commands.succeed(*(a for a in arguments if "validation" not in a)).out
    assert "data: 12 training segments in 1 file(s)" in out and "Done: step 3, 1 epoch(s)" in out
    return folder


@pytest.mark.parametrize(
    "mode, stored",
    [("serial", False), *(pytest.param(*case, marks=pytest.mark.slow) for case in (("serial", True), ("parallel", False)))],
)
def test_students_learn_from_segments(tmp_path, data, trained, mode, stored):
    teacher = (f"--teacher_dir={trained}/segments",) if mode == "serial" else SMALL
    more = (f"--teacher_targets_dir={tmp_path}/targets",) if stored else ()
    first, second = (data.replace("*", name) for name in "01")
    out = commands.succeed(
        "train",
        f"--train_data_pattern={first}",
        f"--validation_data_pattern={second}",
        f"--mode={mode}",
        "--frames_per_video=3",
        SEGMENTS,
        *QUICK,
        *teacher,
        *more,
        f"--train_dir={tmp_path}/run",
    ).out
    assert ("bytes per segment; the teacher is not run." in out) == stored
    assert "Done: step 3" in out and "best validation GAP" in out
    with open(tmp_path / "run" / "history.csv", newline="", encoding="utf-8") as file:
        assert all(0 <= float(row["map_at_k"]) <= 1 for row in csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize("model, student", [("MixNeXtVladModel", "NeXtVLADModel"), ("MODNeXtVladModel", "MODNeXtVladModel")])
def test_mixtures_and_their_students_learn_from_segments(tmp_path, data, monkeypatch, model, student):
    monkeypatch.setattr(config.FAMILY_OF["NeXtVLADModel"], "build_encoder", lambda *_: commands.QuickEncoder())
    first, second = (data.replace("*", name) for name in "01")
    files = (f"--train_data_pattern={first}", f"--validation_data_pattern={second}", SEGMENTS, *QUICK)
    sizes = ("--nextvlad_cluster_size=4", "--nextvlad_hidden_size=6", "--groups=2", "--gating_reduction=2", "--mix_number=2")
    more = ("--mod_number=2",) if model == "MODNeXtVladModel" else ()
    network = (*FEATURES, f"--num_classes={NUM_CLASSES}", f"--model={model}", *sizes, *more, "--cl_temperature=20")
    out = commands.succeed("train", *files, *network, f"--train_dir={tmp_path}/mixture").out
    assert "data: 12 training segments" in out and "Done: step 3" in out
    taught = ("--mode=serial", f"--teacher_dir={tmp_path}/mixture", f"--student_model={student}", "--frames_per_video=3")
    out = commands.succeed("train", *files, *taught, f"--train_dir={tmp_path}/student").out
    assert "data: 12 training segments" in out and "Done: step 3" in out
    for name in ("mixture", "student"):
        with open(tmp_path / name / "history.csv", newline="", encoding="utf-8") as file:
            assert all(0 <= float(row["map_at_k"]) <= 1 for row in csv.DictReader(file))


def test_evaluation_counts_rated_pairs_only(tmp_path, data, trained):
    out = commands.succeed(
        "eval", "--run_once", f"--train_dir={trained}/segments", f"--eval_data_pattern={data}", f"--output_dir={tmp_path}"
    ).out
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert (found["num_videos"], found["num_rated"], found["num_labels"]) == (24, 36, 24)
    assert "24 segments" in out and "MAP@K" in out
    assert found["map_at_k"] == pytest.approx(found["map_at_k_all_classes"])  # each of the five classes has positives
    predicted = predictions(trained / "segments", data)
    expected = []
    for c in range(NUM_CLASSES):
        own = sorted(
            ((predicted[f"v{number:03d}".encode()][start // 5][c], is_in) for number, start, is_in in ratings_of_class(c)),
            reverse=True,
        )
        hits = np.array([is_in for _, is_in in own])
        expected.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].sum() / hits.sum())
    assert found["map_at_k"] == pytest.approx(np.mean(expected), abs=1e-6)


def ratings_of_class(c, count=12):
    """(number of the video, start, whether it is in the segment) of each rating of a class in `rated_videos`."""
    for number in range(count):
        if number % NUM_CLASSES == c:
            yield from [(number, 5, True), (number, 10, False)]
        if (number + 1) % NUM_CLASSES == c:
            yield number, 10, True


def predictions(folder, pattern, segment_frames=5, whole=False):
    """{video id: predictions of its segments, or of the whole video}, of a run's network, one by one."""
    network, found = runs.LoadedNetwork(runs.open_run(folder), make_strategy(), for_metrics=False), {}
    for path in sorted(tf.io.gfile.glob(pattern)):
        for serialized in tf.data.TFRecordDataset(path).as_numpy_iterator():
            example = tf.train.SequenceExample.FromString(serialized)
            lists = [example.feature_lists.feature_list[name].feature for name in ("rgb", "audio")]
            frames = np.stack(
                [np.frombuffer(b"".join(f.bytes_list.value[0] for f in pair), np.uint8) for pair in zip(*lists)]
            )
            if whole:
                count = min(6, len(frames))
                parts = [frames[np.arange(count) * len(frames) // count]]
            else:
                parts = [frames[start : start + segment_frames] for start in range(0, len(frames), segment_frames)]
            outputs = [
                network.network({"frames": p[None], "num_frames": np.array([len(p)])})["predictions"][0] for p in parts
            ]
            found[example.context.feature["id"].bytes_list.value[0]] = np.array(outputs)
    return found


def retrieve(trained, data, output, *more):
    return commands.run(
        "infer",
        f"--train_dir={trained}/segments",
        f"--input_data_pattern={data}",
        f"--output_file={output}",
        SEGMENTS,
        *more,
    )


@pytest.mark.parametrize("of_candidates", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_segments_are_ranked_by_the_value_model(tmp_path, data, trained, of_candidates):
    more = (
        (f"--candidate_dir={trained}/videos", "--value_exponents=0.25,0.75", "--top_k=3")
        if of_candidates
        else ("--top_k=2",)
    )
    ended = retrieve(trained, data, tmp_path / "s.csv", *more, "--segment_max_pred=20", "--batch_size=5")
    assert ended.code == 0, ended.err
    of_segments, of_videos = predictions(trained / "segments", data), predictions(trained / "videos", data, whole=True)
    expected = {c: [] for c in range(NUM_CLASSES)}
    for video_id, scores in of_segments.items():
        for place, p_seg in enumerate(scores):
            p_vid = of_videos[video_id][0]
            likely = np.argsort(-(p_vid if of_candidates else p_seg), kind="stable")[: 3 if of_candidates else 2]
            for c in likely:
                value = p_vid[c] ** 0.25 * p_seg[c] ** 0.75 if of_candidates else p_seg[c]
                expected[int(c)].append((-value, video_id, 5 * place))
    rows = list(read_segments(tmp_path / "s.csv"))
    assert [row.class_index for row in rows] == list(range(NUM_CLASSES))
    for row in rows:
        best = sorted(expected[row.class_index])[:20]
        assert list(zip(row.video_ids, row.starts)) == [(video_id, start) for _, video_id, start in best]
    assert f"for {NUM_CLASSES} classes by the network of step 3" in ended.out


def test_an_interrupted_retrieval_resumes_with_the_same_result(tmp_path, data, trained, monkeypatch):
    assert retrieve(trained, data, tmp_path / "whole.csv", "--batch_size=2").code == 0
    add, calls = retrieved._Partial.add, []

    def interrupted(self, batch, segment_frames):
        calls.append(len(batch["video_id"]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        add(self, batch, segment_frames)

    monkeypatch.setattr(retrieved._Partial, "add", interrupted)
    assert retrieve(trained, data, tmp_path / "s.csv", "--batch_size=2").code == 130
    other = retrieve(trained, data, tmp_path / "s.csv", "--batch_size=2", "--segment_frames=4")
    assert other.code == 2 and "segment_frames (5 there, 4 here)" in other.err
    ended = retrieve(trained, data, tmp_path / "s.csv", "--batch_size=2")
    assert "Resuming after 4 videos" in ended.out and sum(calls) == 6 + 8
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["s.csv", "whole.csv"]


@pytest.mark.slow
def test_a_snapshot_survives_a_kill(tmp_path, data, trained, monkeypatch):
    """As SIGKILL leaves it: the snapshot of the second batch, and videos of later batches after it."""
    assert retrieve(trained, data, tmp_path / "whole.csv", "--batch_size=2").code == 0
    add, count = retrieved._Partial.add, []

    def killed(self, batch, segment_frames):
        add(self, batch, segment_frames)
        count.append(1)
        if len(count) == 2:
            self.save()
        if len(count) == 4:
            self._file.flush()
            monkeypatch.setattr(self, "leave", lambda: None)
            raise KeyboardInterrupt

    monkeypatch.setattr(retrieved._Partial, "add", killed)
    assert retrieve(trained, data, tmp_path / "s.csv", "--batch_size=2").code == 130
    monkeypatch.setattr(retrieved._Partial, "add", add)
    assert "Resuming after 4 videos" in retrieve(trained, data, tmp_path / "s.csv", "--batch_size=2").out
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


# ---- bad use


@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            ("--model=LogisticModel", SEGMENTS),
            "--segment_labels=true: has no effect with model=LogisticModel, which reads vid",
        ),
        ((*SMALL, SEGMENTS, "--label_loss=SoftmaxLoss"), "--label_loss=SoftmaxLoss: is over all classes"),
        ((*SMALL, "--segment_label_ids_file=x.csv"), "--segment_label_ids_file: has an effect only with segment_labels"),
    ],
)
def test_contradictory_flags_are_refused(tmp_path, data, arguments, words):
    line = commands.fail("train", f"--train_data_pattern={data}", *arguments, f"--train_dir={tmp_path}/run")
    assert words in line and not (tmp_path / "run").exists()


def test_files_of_the_other_kind_are_refused_before_training(tmp_path, data):
    plain = commands.write_files(tmp_path, "train", commands.frame_videos(8))
    ended = commands.run("train", f"--train_data_pattern={plain}", *SMALL, *QUICK, SEGMENTS, f"--train_dir={tmp_path}/run")
    assert ended.code == 2 and f"--train_data_pattern={plain}: none of the records in 2 file(s)" in ended.err
    means = commands.write_files(tmp_path / "means", "train", commands.video_means(8))
    line = commands.fail("train", f"--train_data_pattern={means}", *SMALL, *QUICK, SEGMENTS, f"--train_dir={tmp_path}/run")
    assert "--train_data_pattern" in line and "video-level" in line
    only = [video(commands.video_id(i), 9, (0, 1, 1.0), labels=None) for i in range(8)]
    only = commands.write_files(tmp_path / "only", "train", only)
    line = commands.fail("train", f"--train_data_pattern={only}", *SMALL, *QUICK, f"--train_dir={tmp_path}/run")
    assert "The records hold ratings of segments: read those with --segment_labels." in line


@pytest.mark.slow
def test_errors_while_segments_are_read_name_the_record_of_the_video(tmp_path, data, trained):
    videos = [video(b"u", 5), *rated_videos(3), broken(b"b")]
    path = records.write(tmp_path / "a.tfrecord", videos)
    arguments = (f"--train_data_pattern={path}", *SMALL, *QUICK, SEGMENTS, f"--train_dir={tmp_path}/run")
    ended = commands.run("train", *arguments, "--batch_size=7")
    words = f"file {path}, record 4: segment b:5: frame 1 of 'rgb' holds 5 bytes instead of 6. Training stopped"
    assert ended.code == 2 and words in ended.err
    assert "`yt8m check --segment_labels` lists all such records, and --exclude_records skips them." in ended.err
    path = records.write(tmp_path / "b.tfrecord", [video(b"u", 5), *rated_videos(2), *rated_videos(1)])
    line = commands.run("eval", "--run_once", f"--train_dir={trained}/segments", f"--eval_data_pattern={path}").lines[-1]
    assert f"file {path}, record 3: video id b'v000:5' is a duplicate of file {path}, record 1." in line


def test_a_class_outside_the_list_is_refused(tmp_path, data):
    (tmp_path / "ids.csv").write_text("Index\n0\n1\n2\n3\n")
    arguments = ("train", f"--train_data_pattern={data}", *SMALL, *QUICK, SEGMENTS, f"--train_dir={tmp_path}/run")
    ended = commands.run(*arguments, f"--segment_label_ids_file={tmp_path}/ids.csv")
    words = "class 4 is rated and is not among the 4 classes of the segments (--segment_label_ids_file)"
    assert ended.code == 2 and words in ended.err
    (tmp_path / "ids.csv").write_text("7\n")
    line = commands.fail(*arguments, f"--segment_label_ids_file={tmp_path}/ids.csv")
    assert f"--segment_label_ids_file={tmp_path}/ids.csv: lists class 7, which num_classes=5 does not have." in line


@pytest.mark.slow
def test_a_candidate_network_that_does_not_fit_is_refused(tmp_path, data, trained):
    arguments = ("train", f"--train_data_pattern={data}", *FEATURES, *QUICK, "--num_classes=6", "--lstm_cells=4")
    commands.succeed(*arguments, "--lstm_layers=1", f"--train_dir={tmp_path}/six")
    ended = retrieve(trained, data, tmp_path / "s.csv", f"--candidate_dir={tmp_path}/six")
    reason = "holds a network of 6 classes, and the one in --train_dir has 5."
    assert ended.code == 2 and f"--candidate_dir={tmp_path}/six: {reason}" in ended.err


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((SEGMENTS, "--value_exponents=1"), "--value_exponents=1: give two numbers, as in 0.05,0.95."),
        ((SEGMENTS, "--value_exponents=1,2"), "--value_exponents=1,2: has an effect only with --candidate_dir."),
        ((SEGMENTS, "--vocabulary=v.csv"), "--vocabulary=v.csv: has no effect with --segment_labels; leave it out."),
        (("--segment_max_pred=5",), "--segment_max_pred=5: has an effect only with --segment_labels."),
    ],
)
def test_flags_that_have_no_effect_are_refused(tmp_path, data, trained, arguments, words):
    line = commands.fail(
        "infer",
        f"--train_dir={trained}/videos",
        f"--input_data_pattern={data}",
        f"--output_file={tmp_path}/o.csv",
        *arguments,
    )
    assert words in line


@pytest.mark.slow
def test_a_signal_in_the_middle_of_a_batch_leaves_the_last_whole_snapshot(tmp_path, data, trained, monkeypatch):
    assert retrieve(trained, data, tmp_path / "whole.csv", "--batch_size=2").code == 0
    hashed, save, calls = retrieved.hash_ids, retrieved._Partial.save, []

    def interrupted(video_ids):
        calls.append(1)
        if len(calls) == 3:  # the ranking has the third batch, and the list of videos has not
            raise KeyboardInterrupt
        return hashed(video_ids)

    add = retrieved._Partial.add
    monkeypatch.setattr(retrieved._Partial, "add", lambda self, *batch: (add(self, *batch), save(self)))
    monkeypatch.setattr(retrieved, "hash_ids", interrupted)
    assert retrieve(trained, data, tmp_path / "s.csv", "--batch_size=2").code == 130
    monkeypatch.setattr(retrieved, "hash_ids", hashed)
    assert "Resuming after 4 videos" in retrieve(trained, data, tmp_path / "s.csv", "--batch_size=2").out
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.slow
def test_a_bad_record_can_be_excluded_without_losing_what_was_done(tmp_path, trained):
    videos = [*rated_videos(5), records.frame_record(records.random_frames(9), b"my clip", [0])]
    pattern = commands.write_files(tmp_path / "data", "test", videos, files=1)
    ended = retrieve(trained, pattern, tmp_path / "s.csv", "--batch_size=2")
    path = f"{tmp_path}/data/test0.tfrecord"
    assert ended.code == 2 and f"file {path}, record 5: the video id b'my clip' contains whitespace" in ended.err
    (tmp_path / "bad.csv").write_text(f"file,record,reason\n{path},5,whitespace\n")
    ended = retrieve(trained, pattern, tmp_path / "s.csv", "--batch_size=2", f"--exclude_records={tmp_path}/bad.csv")
    assert "Resuming after 4 videos" in ended.out and ended.code == 0


def test_compact_files_are_refused_for_retrieval(tmp_path, data, trained):
    view = ("--frame_selection=uniform", "--frames_per_video=6")
    commands.succeed("compact", f"--input_data_pattern={data}", f"--output_dir={tmp_path}/compact", *view)
    given = (f"--train_dir={trained}/videos", f"--input_data_pattern={tmp_path}/compact/*.tfrecord", SEGMENTS)
    line = commands.fail("infer", *given, f"--output_file={tmp_path}/s.csv")
    assert "hold no whole segments; give the original files" in line


def test_a_step_is_that_of_the_segment_network(tmp_path, data, trained):
    ended = retrieve(trained, data, tmp_path / "s.csv", f"--candidate_dir={trained}/videos", "--checkpoint=3")
    assert ended.code == 0, ended.err
