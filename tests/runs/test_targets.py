"""Targets of a frozen teacher, computed once and read in its place."""

import dataclasses
import functools
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests import commands, networks, tiny_training
from youtube8m_distill import config, files, runs
from youtube8m_distill.data.bad_records import BadRecordError
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.runs import targets as stored
from youtube8m_distill.schemes import targets as formulas

TEACHER = networks.frame_level(view=config.FrameView("first", 6), lstm_layers=1, dropout=0.5)
STUDENT = networks.frame_level(view=config.FrameView("uniform", 3), lstm_layers=1, dropout=0.5)
SIZE = commands.QuickEncoder.encoding_size + commands.NUM_CLASSES


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch):
    commands.use_quick_encoder(monkeypatch)


@pytest.fixture
def pattern(tmp_path):
    """14 videos in two files of 7."""
    return commands.write_files(tmp_path / "data", "train", commands.frame_videos(14))


def run_config(
    tmp_path,
    pattern,
    student_loss=("rep", "pred", "ce"),
    is_stored=True,
    folder="targets",
    pair=(TEACHER, STUDENT),
    **training,
):
    """A serial run's RunConfig; its teacher is written where it is not there."""
    if not (tmp_path / "teacher").exists():
        commands.save_run(tmp_path / "teacher", pair[0])
    # Adam would make a step of a gradient that rounding alone has moved from 0.
    options = {
        "batch_size": 4,
        "optimizer": "GradientDescentOptimizer",
        "base_learning_rate": 0.1,
        "num_epochs": 2,
        "finetune_epochs": 1,
        **training,
    }
    distillation = config.DistillationConfig(student_loss, share_classifier=pair[0].model == pair[1].model)
    return config.RunConfig(
        "serial",
        dict(zip(("teacher", "student"), pair)),
        config.TrainingConfig(**options),
        distillation,
        pattern,
        teacher_dir=str(tmp_path / "teacher"),
        teacher_targets_dir=str(tmp_path / folder) if is_stored else "",
    )


def compute(settings, devices=None, shards=None):
    """The set of all training files, or of those given; returns it and the lines that were said."""
    strategy, said = make_strategy(devices=devices), []
    shards = shards or runs.find_shards("files", settings.train_data_pattern)
    with strategy.scope():
        teacher, _ = runs.open_run(settings.teacher_dir).load_network()
    return stored.complete_targets(settings, teacher, shards, strategy, said.append), said


def read(path):
    return np.array([np.frombuffer(record.numpy(), "<f2") for record in tf.data.TFRecordDataset(str(path))])


def expected(tmp_path, pattern):
    """What the set must hold, from each file's videos by hand."""
    teacher, _ = runs.open_run(tmp_path / "teacher").load_network()
    shards = runs.find_shards("files", pattern)
    return [
        np.concatenate([formulas.pack(teacher(batch)).numpy() for _, batch, _ in commands.batches_by_hand([shard], 6)])
        for shard in shards
    ]


def assert_close(found, targets):
    """Equal but for a float16 step: sums of another batch size may round otherwise."""
    np.testing.assert_allclose(found.astype(np.float32), targets.astype(np.float32), rtol=2e-3, atol=1e-5)


# ---- the set


@pytest.mark.parametrize("devices, videos_at_a_time", [(None, 4), (tiny_training.TWO_CPUS, 5)])
def test_a_file_holds_encoding_and_logits_of_each_video_in_order(tmp_path, pattern, monkeypatch, devices, videos_at_a_time):
    """A batch may hold the end of one file and the beginning of the next."""
    monkeypatch.setattr(stored, "good_batch_size", lambda max_frames: videos_at_a_time)
    found, _ = compute(run_config(tmp_path, pattern), devices)
    assert found.size == SIZE and len(found.shards) == 2
    for shard, targets in zip(found.shards, expected(tmp_path, pattern), strict=True):
        assert_close(read(shard.path), targets)


def test_compressed_files_and_files_of_one_name_each_have_their_own(tmp_path):
    for folder, seed in (("a", 0), ("b", 1)):
        commands.write_files(tmp_path / folder, "train", commands.frame_videos(3, seed), files=1, compression="GZIP")
    pattern = f"{tmp_path}/a/*,{tmp_path}/b/*"
    found, _ = compute(run_config(tmp_path, pattern))
    assert len({shard.path for shard in found.shards}) == 2
    for shard, targets in zip(found.shards, expected(tmp_path, pattern), strict=True):
        assert_close(read(shard.path), targets)


def no_teacher(monkeypatch):
    """From here on, nothing can be computed."""
    monkeypatch.setattr(stored, "_compute", lambda *arguments: pytest.fail("computed again"))


def test_a_set_stays_valid_where_data_and_set_are_moved(tmp_path, pattern, monkeypatch):
    compute(run_config(tmp_path, pattern))
    (tmp_path / "data").rename(tmp_path / "moved_data")
    (tmp_path / "targets").rename(tmp_path / "moved_targets")
    no_teacher(monkeypatch)
    found, said = compute(run_config(tmp_path, f"{tmp_path}/moved_data/*", folder="moved_targets"))
    assert len(found.shards) == 2 and len(said) == 1
    assert said[0] == (
        f"The teacher's targets come from {tmp_path}/moved_targets, {2 * SIZE} bytes a video; the teacher itself is not run."
    )


def test_a_set_serves_fewer_files_and_grows_by_new_ones(tmp_path, pattern, monkeypatch):
    compute(run_config(tmp_path, pattern))
    before = commands.entries(tmp_path / "targets")
    commands.write_files(tmp_path / "data", "more", commands.frame_videos(3, seed=5), files=1)
    _, said = compute(run_config(tmp_path, f"{tmp_path}/data/*"))
    assert said[0] == f"Computing the teacher's targets for 1 of 3 training file(s), into {tmp_path}/targets."
    after = commands.entries(tmp_path / "targets")
    assert len(after) == len(before) + 1 and before.items() <= after.items()
    no_teacher(monkeypatch)
    found, _ = compute(run_config(tmp_path, f"{tmp_path}/data/train1*"))
    assert len(found.shards) == 1


@pytest.mark.parametrize("place", [20, -20])
def test_a_training_file_that_was_replaced_has_targets_of_its_own(tmp_path, pattern, place):
    """One byte near either end tells it from the one before."""
    (before, *_) = runs.find_shards("files", pattern)
    name = stored._name(before, "digest")
    content = bytearray((tmp_path / "data" / "train0.tfrecord").read_bytes())
    content[place] ^= 1
    (tmp_path / "data" / "train0.tfrecord").write_bytes(content)
    assert stored._name(before, "digest") != name
    assert stored._name(before, "other") != stored._name(before, "digest")


def test_a_stopped_computation_goes_on_with_the_first_file_that_is_missing(tmp_path, pattern, monkeypatch):
    rows = stored._rows

    def interrupted(batches, bar):
        yield from (row for _, row in zip(range(10), rows(batches, bar)))
        raise KeyboardInterrupt

    monkeypatch.setattr(stored, "_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compute(run_config(tmp_path, pattern))
    assert len(list((tmp_path / "targets").iterdir())) == 2  # the manifest and one of two files, no part of one
    monkeypatch.setattr(stored, "_rows", rows)
    found, said = compute(run_config(tmp_path, pattern))
    assert "1 of 2 training file(s)" in said[0]
    for shard, targets in zip(found.shards, expected(tmp_path, pattern), strict=True):
        assert_close(read(shard.path), targets)


@pytest.mark.slow
def test_two_computations_at_once_leave_one_whole_set(tmp_path, pattern, monkeypatch):
    settings, rows = run_config(tmp_path, pattern), stored._rows

    def meanwhile(batches, bar):
        monkeypatch.setattr(stored, "_rows", rows)
        compute(settings)
        yield from rows(batches, bar)

    monkeypatch.setattr(stored, "_rows", meanwhile)
    found, _ = compute(settings)
    assert len(list((tmp_path / "targets").iterdir())) == 3
    for shard, targets in zip(found.shards, expected(tmp_path, pattern), strict=True):
        assert_close(read(shard.path), targets)


# ---- what does not serve


def test_targets_that_were_made_otherwise_are_refused_by_what_differs(tmp_path, pattern, monkeypatch):
    settings = run_config(tmp_path, pattern)
    compute(settings)
    before = commands.entries(tmp_path / "targets")
    other_frames = {"teacher": TEACHER.replace(view=config.FrameView()), "student": STUDENT}
    changes = {
        r"teacher_weights \('step 3, sha256 \w+' there, 'step 9' here\)": {"teacher_weights": "step 9"},
        r"mixed_precision \(False there, True here\)": {"training": config.TrainingConfig(mixed_precision=True)},
        r"frames \(\{'frame_selection': 'first', .*'all'": {"networks": other_frames},
    }
    for words, change in changes.items():
        with pytest.raises(
            ValueError,
            match=f"^teacher_targets_dir={tmp_path}/targets holds targets that were made "
            f"otherwise: {words}.*Name another folder, or remove this one",
        ):
            stored.check_targets(dataclasses.replace(settings, **change))
    assert commands.entries(tmp_path / "targets") == before
    monkeypatch.setattr(stored, "FORMAT", 2)
    with pytest.raises(ValueError, match=r"format \(1 there, 2 here\)"):
        stored.check_targets(settings)


@pytest.mark.parametrize(
    "name, words",
    [("a.txt", "holds files and no readable manifest.json"), ("manifest.json", "holds files and no readable manifest.json")],
)
def test_a_folder_of_something_else_is_left_alone(tmp_path, pattern, name, words):
    files.write_text(tmp_path / "targets" / name, "[1]")
    with pytest.raises(ValueError, match=f"^teacher_targets_dir=.*{words}"):
        stored.check_targets(run_config(tmp_path, pattern))


def test_a_place_that_is_no_folder_is_refused(tmp_path, pattern):
    with pytest.raises(ValueError, match="^teacher_targets_dir=.*exists and is not a folder"):
        stored.check_targets(run_config(tmp_path, pattern, folder="data/train0.tfrecord"))


def test_a_file_that_was_cut_is_named(tmp_path, pattern):
    found, _ = compute(run_config(tmp_path, pattern))
    with open(found.shards[1].path, "r+b") as file:
        file.truncate(found.shards[1].size - 5)
    with pytest.raises(BadRecordError, match=f"^{found.shards[1].path} .* cut short or damaged: remove it"):
        compute(run_config(tmp_path, pattern))


def test_a_training_file_that_was_cut_is_named(tmp_path, pattern, monkeypatch):
    """Of a large set, training looks into a few files only before it begins."""
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


def test_records_that_are_left_out_keep_their_place(tmp_path, pattern):
    settings = run_config(tmp_path, pattern)
    whole = [np.fromfile(shard.path, np.uint8) for shard in compute(settings)[0].shards]
    shards = list(runs.find_shards("train_data_pattern", pattern))
    shards[1] = dataclasses.replace(shards[1], excluded=(2, 5))
    targets = compute(settings, shards=tuple(shards))[0].shards
    assert len(list((tmp_path / "targets").glob("*.targets"))) == 3  # the first file's are the same
    mine = [[np.frombuffer(record.numpy(), "<f2") for record in tf.data.TFRecordDataset(shard.path)] for shard in targets]
    assert np.array_equal(np.fromfile(targets[0].path, np.uint8), whole[0])
    assert [np.isnan(values).all() for values in mine[1]] == [number in (2, 5) for number in range(7)]
    dataset = make_dataset(
        tuple(shards),
        TEACHER.features,
        5,
        TEACHER.view,
        12,
        training=True,
        targets=tuple(shard.path for shard in targets),
        target_size=SIZE,
    )
    (batch,) = dataset
    assert np.isfinite(batch["targets"]).all()


# ---- students


def train(folder, settings, steps=None):
    """A run of so many steps in a folder, gone on with if it is there; returns it and the lines it said."""
    settings = dataclasses.replace(settings, training=settings.training.replace(max_steps=steps))
    found, said = runs.find_training_files(settings), []
    settings = runs.pin(settings, found)
    run = runs.prepare_run(folder, settings)
    runs.train_run(run, found, make_strategy(), say=said.append)
    return run, said


def students(monkeypatch):
    """Lists the names of the networks that are run (or traced) from here on."""
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
def test_a_student_ends_as_with_its_teacher_which_is_not_run(tmp_path, pattern, monkeypatch, student_loss, options):
    with_teacher, _ = train(tmp_path / "with", run_config(tmp_path, pattern, student_loss, False, **options))
    settings = run_config(tmp_path, pattern, student_loss, **options)
    first, _ = train(tmp_path / "first", settings)
    called = students(monkeypatch)
    second, said = train(tmp_path / "second", settings)
    assert called and set(called) == {"student"} and any("the teacher itself is not run" in line for line in said)
    weights = [commands.weights(run.folder, "student") for run in (with_teacher, first, second)]
    tiny_training.assert_same_weights(weights[2], weights[1])  # computing before training changes nothing
    tiny_training.assert_same_weights(weights[1], weights[0], rounding=1e-3)
    assert second.checkpoints.newest_progress() == with_teacher.checkpoints.newest_progress()


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_the_same_targets(tmp_path, pattern, monkeypatch):
    settings = run_config(tmp_path, pattern)
    straight, _ = train(tmp_path / "straight", settings, 6)
    train(tmp_path / "stopped", settings, 3)
    shutil.rmtree(tmp_path / "targets")
    resumed, said = train(tmp_path / "stopped", settings, 6)
    assert any("Found step 3" in line for line in said) and any("2 of 2 training file(s)" in line for line in said)
    tiny_training.assert_same_weights(
        commands.weights(resumed.folder, "student"), commands.weights(straight.folder, "student")
    )


def test_a_run_cannot_change_between_stored_targets_and_the_teacher(tmp_path, pattern):
    settings = [run_config(tmp_path, pattern, is_stored=is_stored) for is_stored in (True, False)]
    with_targets, with_teacher = (runs.pin(each, runs.find_training_files(each)) for each in settings)
    for first, second in ((with_targets, with_teacher), (with_teacher, with_targets)):
        runs.prepare_run(tmp_path / "run", first, start_new=True)
        with pytest.raises(ValueError, match=r"teacher_targets \('.* then, '.* now\)"):
            runs.prepare_run(tmp_path / "run", second)


@pytest.mark.slow
@pytest.mark.parametrize(
    "teacher, student, student_loss, mixed_precision",
    [
        ("MixNeXtVladModel", "MixNeXtVladModel", ("rep", "pred", "ce"), False),
        ("MixNeXtVladModel", "NeXtVLADModel", ("pred", "ce"), False),
        ("NetVLADModelLF", "NetVLADModelLF", ("rep", "pred", "ce"), False),
        ("HierarchicalLstmModel", "HierarchicalLstmModel", ("rep", "pred", "ce"), True),
    ],
)
def test_every_family_learns_from_stored_targets(
    tmp_path, pattern, monkeypatch, teacher, student, student_loss, mixed_precision
):
    monkeypatch.undo()
    pair = (
        networks.frame_level(teacher, view=config.FrameView("first", 6)),
        networks.frame_level(student, view=config.FrameView("uniform", 3)),
    )
    found = []
    for is_stored in (False, True):
        settings = run_config(tmp_path, pattern, student_loss, is_stored, pair=pair, mixed_precision=mixed_precision)
        found.append(commands.weights(train(tmp_path / f"{is_stored}", settings, 2)[0].folder, "student"))
    tiny_training.assert_same_weights(*found[::-1], rounding=1e-3)
