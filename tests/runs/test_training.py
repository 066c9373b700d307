import logging
import shutil

import numpy as np
import pytest

from tests import commands, networks, tiny_training
from youtube8m_distill import config, runs
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.engine.weights_file import count_weights
from youtube8m_distill.runs import training

TEACHER = networks.frame_level(
    view=config.FrameView(frame_selection="first", frames_per_video=6), lstm_layers=1, dropout=0.5
)
STUDENT = networks.frame_level(
    view=config.FrameView(frame_selection="random", frames_per_video=3), lstm_layers=1, dropout=0.5
)


@pytest.fixture
def files(tmp_path):
    return commands.write_files(tmp_path / "data", "train", commands.frame_videos(14))


def train(folder, mode, files, steps, *, student_loss=("rep", "pred", "ce"), epochs=2, **settings):
    """Starts or resumes a run of `steps` steps in a folder."""
    pair = {"teacher": TEACHER} if mode == "teacher" else {"teacher": TEACHER, "student": STUDENT}
    teacher_dir = ""
    if mode == "serial":
        teacher_dir = str(folder.parent / "teacher")
        if not (folder.parent / "teacher").exists():
            commands.save_run(folder.parent / "teacher", TEACHER)
    settings = {"batch_size": 4, "base_learning_rate": 0.01, "num_epochs": epochs, "finetune_epochs": 2, **settings}
    distillation = None if mode == "teacher" else config.DistillationConfig(student_loss=student_loss)
    run_config = config.RunConfig(
        mode=mode,
        networks=pair,
        training=config.TrainingConfig(max_steps=steps, **settings),
        distillation=distillation,
        train_data_pattern=files,
        teacher_dir=teacher_dir,
    )
    run = runs.prepare_run(folder, run_config)
    runs.train_run(run, runs.find_training_files(run_config), make_strategy())
    return run


def states(run):
    """Every array of the newest checkpoint: weights of all networks, optimizer, random generators."""
    folder = run.checkpoints.step_folder(run.checkpoints.steps()[-1])
    with np.load(folder / "training_state.npz") as saved:
        state = [saved[name] for name in sorted(saved.files)]
    return [weight for role in run.config.trained_roles for weight in commands.weights(run.folder, role)] + state


def assert_same_end(tmp_path, mode, files, stops, **options):
    """A run of 6 steps ends in the same state as one that was stopped on the way, including random generators."""
    straight = train(tmp_path / "straight", mode, files, 6, **options)
    assert straight.checkpoints.newest_progress().step == 6
    for stop in stops:
        train(tmp_path / f"stopped{stop}", mode, files, stop, **options)
        resumed = train(tmp_path / f"stopped{stop}", mode, files, 6, **options)
        assert resumed.checkpoints.newest_progress() == straight.checkpoints.newest_progress()
        for found, expected in zip(states(resumed), states(straight), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "longest, budget, message",
    [
        (30, 10, "reads at most 6 of its 10 frames: skips of 5 or more leave a video of 30 frames after that."),
        (9, 3, "reads at most 2 of its 3 frames: skips of 5 or more leave a video of 9 frames after that."),
        (11, 3, ""),
    ],
)
def test_a_budget_of_frames_that_cannot_be_reached_is_reported(
    tmp_path, files, monkeypatch, caplog, longest, budget, message
):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(training._Training, "_train_stage", lambda *_: None)
    settings = {"skip_actions": "5-8", "skip_budget": budget, "view": config.FrameView(max_video_frames=longest)}
    network = networks.frame_level("SkipFrameModel", **settings)
    options = {"training": config.TrainingConfig(batch_size=4), "train_data_pattern": files}
    run_config = config.RunConfig(mode="teacher", networks={"teacher": network}, **options)
    run = runs.prepare_run(tmp_path / "run", run_config)
    runs.train_run(run, runs.find_training_files(run_config), make_strategy())
    lines = [line for line in caplog.messages if line.startswith("SkipFrameModel")]
    assert lines == ([f"SkipFrameModel {message} See --skip_actions."] if message else [])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["teacher", "serial", "parallel"])
def test_a_resumed_run_ends_with_the_same_weights_as_an_uninterrupted_one(tmp_path, files, mode, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    assert_same_end(tmp_path, mode, files, stops=[3])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["serial", "parallel"])
def test_a_resumed_run_of_relations_and_best_logits_ends_the_same(tmp_path, files, mode, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    assert_same_end(tmp_path, mode, files, stops=[3], student_loss=("relation", "topk_logit", "ce"))


@pytest.mark.slow
def test_a_resumed_h_rnn_ends_with_the_same_weights_as_an_uninterrupted_one(tmp_path, files):
    assert_same_end(tmp_path, "teacher", files, stops=[3])


@pytest.mark.slow
def test_a_run_of_two_stages_may_be_stopped_between_them_and_in_the_second(tmp_path, files, monkeypatch):
    """14 videos in batches of 4, one epoch: 3 steps match the encoder, then the label loss takes over."""
    commands.use_quick_encoder(monkeypatch)
    assert_same_end(tmp_path, "serial", files, stops=[3, 5], student_loss=("rep",), epochs=1)


@pytest.mark.slow
def test_the_first_of_two_stages_trains_only_the_encoder(tmp_path, files, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    run = train(tmp_path / "run", "serial", files, None, student_loss=("rep",), epochs=1, checkpoint_steps=3, max_to_keep=9)
    first, last = (run.load_network(checkpoint=step)[0] for step in (3, 10))
    teacher, _ = runs.open_run(tmp_path / "teacher").load_network()
    assert run.checkpoints.steps()[0] == 3 and run.checkpoints.steps()[-1] == 3 + 7
    assert not any(tiny_training.differ(tiny_training.weights(first.classifier), tiny_training.weights(teacher.classifier)))
    assert any(tiny_training.differ(tiny_training.weights(first.encoder), tiny_training.weights(teacher.encoder)))
    assert any(tiny_training.differ(tiny_training.weights(last.classifier), tiny_training.weights(teacher.classifier)))
    progress = run.checkpoints.newest_progress()
    assert (progress.step, progress.stage, progress.stage_step, progress.epoch) == (10, 1, 7, 3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two epochs, its configuration and its files: half of 40 videos, with validation."""
    folder = tmp_path_factory.mktemp("finished")
    train_files = commands.write_files(folder / "data", "train", commands.frame_videos(40))
    validation = commands.write_files(folder / "data", "validate", commands.frame_videos(6, seed=1))
    settings = run_config(train_files, batch_size=4, num_epochs=2, train_fraction=0.5, seed=3)
    settings = settings.replace(validation_data_pattern=validation)
    run, found = runs.prepare_run(folder / "run", settings), runs.find_training_files(settings)
    with pytest.MonkeyPatch.context() as monkeypatch:
        commands.use_quick_encoder(monkeypatch)
        runs.train_run(run, found, make_strategy())
    return run, settings, found


def test_a_finished_run_is_not_changed(finished, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    commands.use_quick_encoder(monkeypatch)
    run, settings, found = finished
    before, step = commands.entries(run.folder), run.checkpoints.steps()[-1]
    runs.train_run(runs.prepare_run(run.folder, settings), found, make_strategy())
    assert f"Found step {step} of this run in {run.folder}; resuming from there." in caplog.messages
    assert caplog.messages[-1].startswith("Nothing was left to train: the run had reached its end.")
    assert commands.entries(run.folder) == before


def test_the_history_has_the_validation_of_every_epoch(finished):
    run, _, _ = finished
    epochs = runs.read_history(run)["teacher"]
    assert [row.pop("epoch") for row in epochs] == [1, 2]
    assert all(set(row) == {"gap_at_20", "mean_average_precision", "hit_at_one", "perr", "loss"} for row in epochs)
    assert max(row["gap_at_20"] for row in epochs) == run.checkpoints.newest_progress().best_value


def test_a_run_with_train_fraction_trains_on_no_other_video(finished):
    """Two epochs have the steps of twice that fraction, in batches of 4."""
    run, settings, _ = finished
    assert run.checkpoints.newest_progress().step == 2 * len(chosen(settings.train_data_pattern, 0.5, 0)) // 4


def test_the_cost_of_every_network_is_logged(tmp_path, files, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    commands.use_quick_encoder(monkeypatch)
    monkeypatch.setattr(training._Training, "_train_stage", lambda *_: None)
    train(tmp_path / "run", "parallel", files, 1)
    # 36 multiply-adds per frame; the MoE has 5 * 3 gates and 5 * 2 experts on 4 numbers.
    assert any(line.endswith(f"{36 * 6 + 25 * 4:,} multiply-adds per video of 6 frame(s)") for line in caplog.messages)
    assert any(line.endswith(f"{36 * 3 + 25 * 4:,} multiply-adds per video of 3 frame(s)") for line in caplog.messages)


def test_a_disk_too_small_for_the_checkpoints_is_reported_before_the_first_step(tmp_path, files, monkeypatch, caplog):
    commands.use_quick_encoder(monkeypatch)
    monkeypatch.setattr(training._Training, "_train_stage", lambda *_: None)
    full = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    train(tmp_path / "run", "teacher", files, 1)
    assert "0.0 GB are free" in caplog.text and "lower --max_to_keep" in caplog.text


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_estimated_size_of_a_checkpoint_is_that_of_its_numbers(tmp_path, files, monkeypatch, ema_decay):
    commands.use_quick_encoder(monkeypatch)
    run = train(tmp_path / "run", "teacher", files, 1, ema_decay=ema_decay)
    estimated, _ = training._Training(run, None, make_strategy(), ())._disk_bytes()
    folder = run.checkpoints.step_folder(1)
    with np.load(folder / "training_state.npz") as saved:
        numbers = sum(saved[name].size for name in saved.files) + count_weights(folder / "teacher.weights.h5")
    assert estimated == pytest.approx(4 * numbers, rel=0.05)


def test_checkpoints_without_a_position_in_the_data_are_not_resumed(tmp_path, files):
    run = commands.save_run(tmp_path / "run", TEACHER)  # as an early version wrote them
    training_files = runs.find_training_files(run_config(files, batch_size=4))
    with pytest.raises(ValueError, match="^train_dir=.*run: its checkpoints are from a version that did not record"):
        runs.train_run(run, training_files, make_strategy())


# ---- files


def run_config(files, **training):
    return config.RunConfig(
        mode="teacher",
        networks={"teacher": TEACHER},
        training=config.TrainingConfig(**training),
        distillation=None,
        train_data_pattern=files,
    )


def test_training_files_are_counted(files):
    found = runs.find_training_files(run_config(files, batch_size=14))
    assert (len(found.train), found.validation, found.num_train, found.num_train_is_exact) == (2, (), 14, True)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"batch_size": 15}, "batch_size=15: .* holds only 14 records, and a training batch"),
        ({"batch_size": 8, "train_fraction": 0.5}, "14 records, of which train_fraction=0.5 uses about 7,"),
    ],
)
def test_a_batch_larger_than_the_training_set_is_refused(files, settings, words):
    with pytest.raises(ValueError, match=words):
        runs.find_training_files(run_config(files, **settings))


def test_an_error_in_validation_files_names_their_flag(tmp_path, files):
    other = commands.write_files(tmp_path / "v", "v", commands.video_means(2))
    with pytest.raises(ValueError, match=f"^validation_data_pattern={tmp_path}/v/v"):
        runs.find_training_files(run_config(files, batch_size=4).replace(validation_data_pattern=other))


def chosen(files, fraction, epoch):
    shards = runs.find_shards("files", files)
    parser = VideoParser(TEACHER.features, 5, {"teacher": TEACHER.view}, 3)
    dataset = make_dataset(shards, parser, 1, TrainingOrder(3, epoch + 1, train_fraction=fraction), with_ids=True)
    return [batch["video_id"][0] for batch in dataset.as_numpy_iterator() if batch["epoch"][0] == epoch]


@pytest.mark.slow
def test_a_train_fraction_is_the_same_in_every_epoch_and_part_of_every_larger_one(tmp_path):
    files = commands.write_files(tmp_path / "many", "train", commands.frame_videos(120), files=3)
    shares = [chosen(files, fraction, 0) for fraction in (0.25, 0.5, 1.0)]
    assert [set(chosen(files, fraction, 1)) for fraction in (0.25, 0.5)] == [set(share) for share in shares[:2]]
    assert set(shares[0]) < set(shares[1]) < set(shares[2])
    assert len(shares[2]) == 120 and 15 <= len(shares[0]) <= 45 and 40 <= len(shares[1]) <= 80
    assert chosen(files, 0.5, 1) != shares[1]  # in another order
