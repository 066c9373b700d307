"""Targets of a frozen teacher: computed once, then read instead of running it."""

import dataclasses
import functools
import logging
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests import commands, networks, records, tiny_training
from tests.data.test_segments import video as rated
from youtube8m_distill import config, files, runs
from youtube8m_distill.data.bad_records import BadRecordError
from youtube8m_distill.data.exclusions import Fault
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.pipeline import read_records
from youtube8m_distill.data.tfrecord import read_serialized
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.runs import targets as stored
from youtube8m_distill.schemes import targets as formulas

TEACHER = networks.frame_level(
    view=config.FrameView(frame_selection="first", frames_per_video=6), lstm_layers=1, dropout=0.5
)
STUDENT = networks.frame_level(
    view=config.FrameView(frame_selection="uniform", frames_per_video=3), lstm_layers=1, dropout=0.5
)
SIZE = commands.QuickEncoder.encoding_size + commands.NUM_CLASSES


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch, caplog):
    commands.use_quick_encoder(monkeypatch)
    caplog.set_level(logging.INFO)


@pytest.fixture
def pattern(tmp_path):
    """14 videos in two files of 7."""
    return commands.write_files(tmp_path / "data", "train", commands.frame_videos(14))


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A folder with a teacher and its targets for the files of `pattern`."""
    folder = tmp_path_factory.mktemp("computed")
    files_of = commands.write_files(folder / "data", "train", commands.frame_videos(14))
    with pytest.MonkeyPatch.context() as monkeypatch:
        commands.use_quick_encoder(monkeypatch)
        compute(run_config(folder, files_of))
    return folder


@pytest.fixture
def settings(tmp_path, pattern, computed):
    """A RunConfig whose targets are all there."""
    for name in ("teacher", "targets"):
        shutil.copytree(computed / name, tmp_path / name)
    return run_config(tmp_path, pattern)


def run_config(
    tmp_path,
    pattern,
    student_loss=("rep", "pred", "ce"),
    is_stored=True,
    folder="targets",
    pair=(TEACHER, STUDENT),
    **training,
):
    """A serial run's RunConfig; writes its teacher if missing."""
    if not (tmp_path / "teacher").exists():
        commands.save_run(tmp_path / "teacher", pair[0])
    # Adam would turn the rounding error of a zero gradient into a step.
    options = {
        "batch_size": 4,
        "optimizer": "GradientDescentOptimizer",
        "base_learning_rate": 0.1,
        "num_epochs": 2,
        "finetune_epochs": 1,
        **training,
    }
    distillation = config.DistillationConfig(student_loss=student_loss, share_classifier=pair[0].model == pair[1].model)
    return config.RunConfig(
        mode="serial",
        networks=dict(zip(("teacher", "student"), pair)),
        training=config.TrainingConfig(**options),
        distillation=distillation,
        train_data_pattern=pattern,
        teacher_dir=str(tmp_path / "teacher"),
        teacher_targets_dir=str(tmp_path / folder) if is_stored else "",
    )


def compute(settings, devices=None, shards=None):
    """The targets of all training files, or of `shards`."""
    strategy = make_strategy(devices=devices)
    shards = shards or runs.find_shards("files", settings.train_data_pattern)
    with strategy.scope():
        networks = [runs.open_run(folder).load_network()[0] for folder in settings.teacher_dirs]
    return stored.complete_targets(settings, dict(zip(settings.teacher_roles, networks)), shards, strategy)


def read(path):
    return np.array([np.frombuffer(record.numpy(), "<f2") for record in tf.data.TFRecordDataset(str(path))])


def expected(tmp_path, pattern):
    """The targets of each file, computed by hand."""
    teacher, _ = runs.open_run(tmp_path / "teacher").load_network()
    shards = runs.find_shards("files", pattern)
    return [
        np.concatenate([formulas.pack(teacher(batch)).numpy() for _, batch, _ in commands.batches_by_hand([shard], 6)])
        for shard in shards
    ]


def assert_close(found, targets):
    """Equal up to a float16 step, since another batch size may round differently."""
    np.testing.assert_allclose(found.astype(np.float32), targets.astype(np.float32), rtol=2e-3, atol=1e-5)


# ---- the set


@pytest.mark.slow
@pytest.mark.parametrize("devices, videos_at_a_time", [(None, 4), (tiny_training.TWO_CPUS, 5)])
def test_a_file_holds_encoding_and_logits_of_each_video_in_order(tmp_path, pattern, monkeypatch, devices, videos_at_a_time):
    """A batch may hold the end of one file and the start of the next."""
    monkeypatch.setattr(stored, "good_batch_size", lambda max_frames: videos_at_a_time)
    found = compute(run_config(tmp_path, pattern), devices)
    assert found.size == SIZE and len(found.paths) == 2
    for path, targets in zip(found.paths, expected(tmp_path, pattern), strict=True):
        assert_close(read(path), targets)


@pytest.mark.slow
def test_files_of_the_same_name_have_separate_targets(tmp_path):
    for folder, seed in (("a", 0), ("b", 1)):
        commands.write_files(tmp_path / folder, "train", commands.frame_videos(3, seed), files=1, compression="GZIP")
    pattern = f"{tmp_path}/a/*,{tmp_path}/b/*"
    found = compute(run_config(tmp_path, pattern))
    assert len(set(found.paths)) == 2
    for path, targets in zip(found.paths, expected(tmp_path, pattern), strict=True):
        assert_close(read(path), targets)


def no_teacher(monkeypatch):
    """Fails if targets are computed from here on."""
    monkeypatch.setattr(stored, "_compute", lambda *arguments: pytest.fail("computed again"))


def test_targets_stay_valid_if_they_and_the_data_are_moved(tmp_path, settings, monkeypatch, caplog):
    (tmp_path / "data").rename(tmp_path / "moved_data")
    (tmp_path / "targets").rename(tmp_path / "moved_targets")
    no_teacher(monkeypatch)
    caplog.clear()
    found = compute(run_config(tmp_path, f"{tmp_path}/moved_data/*", folder="moved_targets"))
    assert len(found.paths) == 2
    assert caplog.messages == [
        f"The teacher's targets are read from {tmp_path}/moved_targets, {2 * SIZE} bytes per video; the teacher is not run."
    ]


def test_targets_of_fewer_files_are_reused_and_new_ones_are_added(tmp_path, settings, monkeypatch, caplog):
    before = commands.entries(tmp_path / "targets")
    commands.write_files(tmp_path / "data", "more", commands.frame_videos(3, seed=5), files=1)
    caplog.clear()
    compute(run_config(tmp_path, f"{tmp_path}/data/*"))
    assert caplog.messages[0] == f"Computing the teacher's targets for 1 of 3 training file(s), into {tmp_path}/targets."
    after = commands.entries(tmp_path / "targets")
    assert len(after) == len(before) + 1 and before.items() <= after.items()
    no_teacher(monkeypatch)
    found = compute(run_config(tmp_path, f"{tmp_path}/data/train1*"))
    assert len(found.paths) == 1


@pytest.mark.parametrize("place", [20, -20])
def test_a_changed_training_file_has_other_targets(tmp_path, pattern, place):
    """One byte near either end differs."""
    (before, *_) = runs.find_shards("files", pattern)
    name = stored._name(before, "digest")
    content = bytearray((tmp_path / "data" / "train0.tfrecord").read_bytes())
    content[place] ^= 1
    (tmp_path / "data" / "train0.tfrecord").write_bytes(content)
    assert stored._name(before, "digest") != name
    assert stored._name(before, "other") != stored._name(before, "digest")


def test_an_interrupted_computation_resumes_with_the_first_missing_file(tmp_path, pattern, monkeypatch, caplog):
    rows = stored._rows

    def interrupted(*arguments):
        yield from (row for _, row in zip(range(10), rows(*arguments)))
        raise KeyboardInterrupt

    monkeypatch.setattr(stored, "_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compute(run_config(tmp_path, pattern))
    assert len(list((tmp_path / "targets").iterdir())) == 2  # the manifest and one of two files, no part of one
    monkeypatch.setattr(stored, "_rows", rows)
    caplog.clear()
    found = compute(run_config(tmp_path, pattern))
    assert "1 of 2 training file(s)" in caplog.messages[0]
    for path, targets in zip(found.paths, expected(tmp_path, pattern), strict=True):
        assert_close(read(path), targets)


@pytest.mark.slow
def test_two_computations_at_once_leave_one_complete_set(tmp_path, pattern, monkeypatch):
    settings, rows = run_config(tmp_path, pattern), stored._rows

    def meanwhile(*arguments):
        monkeypatch.setattr(stored, "_rows", rows)
        compute(settings)
        yield from rows(*arguments)

    monkeypatch.setattr(stored, "_rows", meanwhile)
    found = compute(settings)
    assert len(list((tmp_path / "targets").iterdir())) == 3
    for path, targets in zip(found.paths, expected(tmp_path, pattern), strict=True):
        assert_close(read(path), targets)


# ---- invalid targets


def test_targets_with_other_settings_are_refused(tmp_path, settings, monkeypatch):
    before = commands.entries(tmp_path / "targets")
    other_frames = {"teacher": TEACHER.replace(view=config.FrameView()), "student": STUDENT}
    changes = {
        r"teacher_weights \(step 3, sha256 \w+ there, step 9 here\)": {"teacher_weights": "step 9"},
        r"mixed_precision \(false there, true here\)": {"training": config.TrainingConfig(mixed_precision=True)},
        r"frame_selection \(first there, all here\)": {"networks": other_frames},
    }
    for words, change in changes.items():
        with pytest.raises(
            ValueError,
            match=f"^teacher_targets_dir={tmp_path}/targets: holds a teacher's targets with other settings: {words}.*"
            "name another folder, or remove this one",
        ):
            stored.check_targets(settings.replace(**change))
    assert commands.entries(tmp_path / "targets") == before
    monkeypatch.setattr(stored, "FORMAT", 2)
    with pytest.raises(ValueError, match=r"format \(1 there, 2 here\)"):
        stored.check_targets(settings)


@pytest.mark.parametrize(
    "name, words",
    [("a.txt", "is not empty and holds no manifest.json"), ("manifest.json", "its manifest.json cannot be read")],
)
def test_a_folder_of_something_else_is_refused(tmp_path, pattern, name, words):
    files.write_text(tmp_path / "targets" / name, "[1]")
    with pytest.raises(ValueError, match=f"^teacher_targets_dir=.*{words}"):
        stored.check_targets(run_config(tmp_path, pattern))


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, pattern):
    with pytest.raises(ValueError, match="^teacher_targets_dir=.*exists and is not a folder"):
        stored.check_targets(run_config(tmp_path, pattern, folder="data/train0.tfrecord"))


def test_a_truncated_targets_file_is_named(pattern, settings):
    found = compute(settings)
    with open(found.paths[1], "r+b") as file:
        file.truncate(os.path.getsize(found.paths[1]) - 5)
    again = compute(settings)
    with pytest.raises(ValueError, match=f"^{found.paths[1]} is not a file of targets .* cut short: remove it"):
        read_records(runs.find_shards("files", pattern), targets=again)


def test_a_truncated_training_file_is_named(tmp_path, pattern, monkeypatch):
    """Training checks only a few files of a large set before it starts."""
    monkeypatch.setattr(stored, "estimate_records", lambda shards: (14, False))
    path = tmp_path / "data" / "train1.tfrecord"
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 5)
    with pytest.raises(BadRecordError, match="train1.tfrecord.* cut short"):
        compute(run_config(tmp_path, pattern))


def test_a_number_beyond_float16_names_the_video(tmp_path, pattern, monkeypatch):
    monkeypatch.setattr(commands.QuickEncoder, "project", lambda self, pooled, *rest, **options: 1e6 * pooled)
    with pytest.raises(FloatingPointError, match=r"targets for video v000 hold a number that float16 cannot"):
        compute(run_config(tmp_path, pattern))
    assert not list((tmp_path / "targets").glob("*.targets"))


def test_excluded_records_keep_their_place_among_the_targets(tmp_path, pattern, settings):
    whole = [np.fromfile(path, np.uint8) for path in compute(settings).paths]
    shards = list(runs.find_shards("train_data_pattern", pattern))
    shards[1] = dataclasses.replace(shards[1], excluded=(2, 5))
    targets = compute(settings, shards=tuple(shards))
    assert len(list((tmp_path / "targets").glob("*.targets"))) == 3  # the first file's are the same
    assert np.array_equal(np.fromfile(targets.paths[0], np.uint8), whole[0])
    assert [np.isnan(values).all() for values in read(targets.paths[1])] == [number in (2, 5) for number in range(7)]
    rows = list(read_records(shards, targets=targets).as_numpy_iterator())
    assert len(rows) == 12 and all(np.isfinite(np.frombuffer(row[-1], "<f2")).all() for row in rows)


# ---- students


def train(folder, settings, steps=None):
    """Starts or resumes a run of `steps` steps in a folder."""
    settings = settings.replace(training=settings.training.replace(max_steps=steps))
    found = runs.find_training_files(settings)
    settings = runs.pin(settings, found)
    run = runs.prepare_run(folder, settings)
    runs.train_run(run, found, make_strategy())
    return run


def students(monkeypatch):
    """Collects the names of the networks that are called or traced from here on."""
    called, call = [], VideoClassifier.call

    @functools.wraps(call)  # Keras looks at the signature
    def spy(self, *arguments, **options):
        called.append(self.name)
        return call(self, *arguments, **options)

    monkeypatch.setattr(VideoClassifier, "call", spy)
    return called


@pytest.mark.parametrize(
    "student_loss, options", [(("rep", "pred", "ce"), {}), (("rep",), {}), (("pred",), {"train_fraction": 0.7})]
)
@pytest.mark.slow
def test_stored_targets_give_the_same_student_without_running_the_teacher(
    tmp_path, pattern, monkeypatch, student_loss, options
):
    with_teacher = train(tmp_path / "with", run_config(tmp_path, pattern, student_loss, False, **options))
    settings = run_config(tmp_path, pattern, student_loss, **options)
    first = train(tmp_path / "first", settings)
    called = students(monkeypatch)
    second = train(tmp_path / "second", settings)
    assert called and set(called) == {"student"}
    weights = [commands.weights(run.folder, "student") for run in (with_teacher, first, second)]
    tiny_training.assert_same_weights(weights[2], weights[1])  # computing targets first changes nothing
    tiny_training.assert_same_weights(weights[1], weights[0], rounding=1e-3)
    assert second.checkpoints.newest_progress() == with_teacher.checkpoints.newest_progress()


@pytest.mark.slow
def test_a_resumed_run_computes_the_same_targets_again(tmp_path, pattern, caplog):
    settings = run_config(tmp_path, pattern)
    straight = train(tmp_path / "straight", settings, 6)
    train(tmp_path / "stopped", settings, 3)
    shutil.rmtree(tmp_path / "targets")
    caplog.clear()
    resumed = train(tmp_path / "stopped", settings, 6)
    assert any("Found step 3" in line for line in caplog.messages)
    assert any("2 of 2 training file(s)" in line for line in caplog.messages)
    tiny_training.assert_same_weights(
        commands.weights(resumed.folder, "student"), commands.weights(straight.folder, "student")
    )


def test_a_run_cannot_switch_between_stored_targets_and_the_teacher(tmp_path, pattern):
    settings = [run_config(tmp_path, pattern, is_stored=is_stored) for is_stored in (True, False)]
    with_targets, with_teacher = (runs.pin(each, runs.find_training_files(each)) for each in settings)
    for first, second in ((with_targets, with_teacher), (with_teacher, with_targets)):
        run = runs.prepare_run(tmp_path / "run", first, start_new=True)
        run.checkpoints.step_folder(1).mkdir(parents=True)
        (run.checkpoints.step_folder(1) / "progress.json").write_text('{"step": 1}')
        with pytest.raises(ValueError, match=r"teacher_targets \(.* there, .* here\)"):
            runs.prepare_run(tmp_path / "run", second)


@pytest.mark.slow
@pytest.mark.parametrize(
    "teacher, student, student_loss, mixed_precision",
    [
        ("MixNeXtVladModel", "MixNeXtVladModel", ("rep", "pred", "ce"), False),
        ("MixNeXtVladModel", "NeXtVLADModel", ("pred", "ce"), False),
        ("NetVLADModelLF", "NetVLADModelLF", ("rep", "pred", "ce"), False),
        ("MixNeXtVladModel", "NeXtVLADModel", ("relation", "topk_logit"), False),
        ("HierarchicalLstmModel", "HierarchicalLstmModel", ("rep", "pred", "ce"), True),
    ],
)
def test_every_family_learns_from_stored_targets(
    tmp_path, pattern, monkeypatch, teacher, student, student_loss, mixed_precision
):
    monkeypatch.undo()
    pair = (
        networks.frame_level(teacher, view=config.FrameView(frame_selection="first", frames_per_video=6)),
        networks.frame_level(student, view=config.FrameView(frame_selection="uniform", frames_per_video=3)),
    )
    found = []
    for is_stored in (False, True):
        settings = run_config(tmp_path, pattern, student_loss, is_stored, pair=pair, mixed_precision=mixed_precision)
        found.append(commands.weights(train(tmp_path / f"{is_stored}", settings, 2).folder, "student"))
    tiny_training.assert_same_weights(*found[::-1], rounding=1e-3)


# ---- rated segments

RATED = config.Reading(segment_labels=True)


@pytest.fixture
def rated_pattern(tmp_path):
    """Three files: 12 segments of 5 frames, no segment, and 1 segment of 4."""
    videos = [rated(b"v%d" % n, 11 + n % 3, (5, n % 5, 1.0), (0, n % 5, 0.0), seed=n) for n in range(6)]
    for number, own in enumerate([videos, [rated(b"u", 5)], [rated(b"w", 9, (3, 2, 1.0), length=4)]]):
        commands.write_files(tmp_path / "data", f"rated{number}", own, files=1)
    return f"{tmp_path}/data/*.tfrecord"


def find_segments(pattern, exclusions=()):
    return runs.find_shards("files", pattern, exclusions=exclusions, reading=RATED, num_classes=commands.NUM_CLASSES)


@pytest.mark.slow
def test_targets_are_stored_for_each_segment_in_order(tmp_path, rated_pattern, caplog):
    settings = run_config(tmp_path, rated_pattern).replace(reading=RATED)
    shards = find_segments(rated_pattern)
    found = compute(settings, shards=shards)
    assert [os.path.basename(path).split(".")[0] for path in found.paths] == ["rated00", "rated20"]
    assert f"{2 * SIZE} bytes per segment; the teacher is not run." in caplog.messages[-1]
    teacher, _ = runs.open_run(tmp_path / "teacher").load_network()
    for path, shard in zip(found.paths, shards, strict=True):
        segments = records.write(tmp_path / "cut", [record.numpy() for record in read_serialized(shard)])
        batches = [batch for _, batch, _ in commands.batches_by_hand(find_files(segments), 6)]
        assert_close(read(path), np.concatenate([formulas.pack(teacher(batch)).numpy() for batch in batches]))


@pytest.mark.slow
def test_other_segments_of_the_same_file_have_other_targets(tmp_path, rated_pattern):
    settings = run_config(tmp_path, rated_pattern).replace(reading=RATED)
    path = f"{tmp_path}/data/rated00.tfrecord"
    first, second = (
        compute(settings, shards=find_segments(path, exclusions)).paths[0]
        for exclusions in ((), (Fault(path, 2, "a test"),))
    )
    assert first != second and len(read(first)) == 12 and len(read(second)) == 10
    of_videos = run_config(tmp_path, rated_pattern)
    with pytest.raises(ValueError, match=r"teacher_targets_dir=.*: holds .* segment_labels \(true there, not set here\)"):
        stored.check_targets(of_videos)


@pytest.mark.slow
def test_a_student_of_segments_learns_the_same_from_stored_targets(tmp_path, rated_pattern):
    found = []
    for is_stored in (False, True):
        settings = run_config(tmp_path, rated_pattern, is_stored=is_stored).replace(reading=RATED)
        found.append(commands.weights(train(tmp_path / f"{is_stored}", settings, 4).folder, "student"))
    tiny_training.assert_same_weights(*found[::-1], rounding=1e-3)
