import dataclasses
import os
import shutil
import threading

import numpy as np
import pytest

from tests import commands, networks
from youtube8m_distill import config, runs
from youtube8m_distill.runs.start import MAY_CHANGE

TEACHER = config.RunConfig(mode="teacher", networks={"teacher": networks.frame_level()}, training=config.TrainingConfig())


def changed(run_config, **training):
    return run_config.replace(training=run_config.training.replace(**training))


def test_a_new_run_can_be_opened(tmp_path):
    run = runs.prepare_run(tmp_path / "deep" / "run", TEACHER)
    assert runs.open_run(str(tmp_path / "deep" / "run")) == run and run.config == TEACHER


def test_a_run_can_start_in_an_empty_folder(tmp_path):
    assert runs.prepare_run(tmp_path, TEACHER).folder == tmp_path


@pytest.mark.parametrize(
    "name, value",
    [
        ("num_epochs", 9),
        ("finetune_epochs", 9),
        ("max_steps", 9),
        ("checkpoint_steps", 9),
        ("validation_steps", 9),
        ("max_to_keep", 9),
    ],
)
def test_the_length_and_the_bookkeeping_of_a_run_may_change(tmp_path, name, value):
    runs.prepare_run(tmp_path, TEACHER)
    assert runs.prepare_run(tmp_path, changed(TEACHER, **{name: value})).config == changed(TEACHER, **{name: value})
    assert getattr(runs.open_run(tmp_path).config.training, name) == value


def start(folder):
    """A run of TEACHER's settings with a checkpoint."""
    run = runs.prepare_run(folder, TEACHER)
    run.checkpoints.step_folder(1).mkdir(parents=True)
    (run.checkpoints.step_folder(1) / "progress.json").write_text('{"step": 1}')


def test_every_other_setting_may_not_change(tmp_path):
    may = {name.rpartition(".")[2] for name in MAY_CHANGE} | {"batch_size"}
    may |= {"jitter_frames"}  # cannot be set for a network that sees all frames
    start(tmp_path)
    others = {
        "optimizer": "AdagradOptimizer",
        "ema_decay": 0.9,
        "label_loss": "SoftmaxLoss",
        "mixed_precision": True,
        "skip_bad_records": True,
    }
    for name in set(config.TrainingConfig.model_fields) - may:
        value = others.get(name, getattr(TEACHER.training, name))
        now = value if name in others else value // 2 + 1 if isinstance(value, int) else value / 2
        with pytest.raises(ValueError, match=rf"other settings: {name} \(.* there, .* here\)\. Give the same"):
            runs.prepare_run(tmp_path, changed(TEACHER, **{name: now}))
    assert runs.open_run(tmp_path).config == TEACHER


def test_two_changed_settings_are_both_named(tmp_path):
    start(tmp_path)
    message = (
        r"num_readers \(8 there, 3 here\); seed \(0 there, 5 here\)\. .*--init_from starts a new run from these weights"
    )
    with pytest.raises(ValueError, match=message):
        runs.prepare_run(tmp_path, changed(TEACHER, seed=5, num_readers=3))


def test_a_changed_batch_size_is_explained(tmp_path):
    start(tmp_path)
    message = "batch_size=8: the run in .* has batches of 256. .* Give --batch_size=256, or start a new run .*--init_from"
    with pytest.raises(ValueError, match=message):
        runs.prepare_run(tmp_path, changed(TEACHER, batch_size=8))


def test_a_run_without_a_checkpoint_does_not_block_other_settings(tmp_path):
    runs.prepare_run(tmp_path, TEACHER)
    other = changed(TEACHER, seed=5, batch_size=8)
    assert runs.prepare_run(tmp_path, other).config == runs.open_run(tmp_path).config == other


@pytest.mark.parametrize("names", [["model_flags.json"], ["checkpoint", "model.ckpt-7.index"]])
def test_checkpoints_of_tensorflow_1_are_explained(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("")
    message = "checkpoints of TensorFlow 1.*Only weights of an H-RNN can be converted.*assign_original_weights"
    with pytest.raises(ValueError, match=f"train_dir=.*is not a run.*{message}"):
        runs.lock_run(tmp_path)
    with pytest.raises(FileNotFoundError, match=message):
        runs.open_run(tmp_path)


def test_start_new_removes_only_what_a_run_writes(tmp_path):
    run = commands.save_run(tmp_path / "run", networks.frame_level())
    for name in ("best", "tensorboard", "eval", "mine"):
        (run.folder / name).mkdir()
        (run.folder / name / "a").write_text(name)
    (run.folder / "history.csv").write_text("epoch,role,step\n")
    runs.prepare_run(run.folder, changed(TEACHER, seed=5), start_new=True)
    assert commands.entries(run.folder).keys() == {"config.json", "mine/a"}
    assert runs.open_run(run.folder).config.training.seed == 5


def test_start_new_does_not_follow_links(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a").write_text("kept")
    runs.prepare_run(tmp_path / "run", TEACHER)
    os.symlink(tmp_path / "far", tmp_path / "run" / "best")
    runs.prepare_run(tmp_path / "run", TEACHER, start_new=True)
    assert not os.path.lexists(tmp_path / "run" / "best") and (tmp_path / "far" / "a").read_text() == "kept"


@pytest.mark.parametrize(
    "content, words",
    [
        ("", "not JSON"),
        ("{}", "not a run configuration"),
        ('{"format": 2}', "not a run configuration"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_damaged_configuration_is_named(tmp_path, content, words):
    (tmp_path / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=f"config.json cannot be read: .*{words}" if words[0] != "c" else words):
        runs.open_run(tmp_path)


def test_a_role_must_be_trained_by_the_run(tmp_path):
    networks_of = {"teacher": networks.frame_level(), "student": networks.frame_level()}
    serial = config.RunConfig(
        mode="serial", networks=networks_of, training=config.TrainingConfig(), distillation=config.DistillationConfig()
    )
    run = runs.prepare_run(tmp_path, serial)
    assert run.role() == run.role("student") == "student"
    with pytest.raises(ValueError, match="network=teacher: the run in .* has only student"):
        run.role("teacher")
    parallel = dataclasses.replace(run, config=serial.replace(mode="parallel"))
    assert parallel.role() == "student" and parallel.role("teacher") == "teacher"


def test_a_checkpoint_is_chosen_by_name_or_step(tmp_path):
    run = commands.save_run(tmp_path / "run", networks.frame_level(), steps=(2, 10, 9))
    steps = run.folder / "checkpoints"
    assert run.weights_folder("last") == run.weights_folder("best") == steps / "step-00000010"
    assert run.weights_folder(9) == run.weights_folder("9") == steps / "step-00000009"
    with pytest.raises(ValueError, match=r"checkpoint=3: .* has best, last and the steps 2, 9, 10\."):
        run.weights_folder("3")
    (steps / "step-00000002").rename(run.folder / "best")
    assert run.weights_folder() == run.folder / "best" and run.weights_folder("last") == steps / "step-00000010"


def test_a_moved_folder_is_enough_to_rebuild_the_network(tmp_path):
    network = networks.frame_level(classifier="LogisticModel")
    run = commands.save_run(tmp_path / "run", network, steps=(4, 5))
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    model, progress = runs.open_run(moved).load_network(checkpoint="4")
    expected = networks.build(network, seed=4)
    assert progress.step == 4 and run.config.networks["teacher"] == network
    for a, b in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- reading during a training


class Reading:
    """A network whose weights are read; `meanwhile` is called during the first reading."""

    def __init__(self, meanwhile):
        self.meanwhile, self.paths = meanwhile, []

    def load_weights(self, path):
        self.paths.append(path)
        if len(self.paths) == 1:
            self.meanwhile()
        path.read_bytes()


def saved_at(run, folder, step):
    if (run.folder / folder).exists():
        shutil.rmtree(run.folder / folder)
    commands.save_checkpoint(run, step)
    run.checkpoints.step_folder(step).rename(run.folder / folder)


def test_a_best_checkpoint_replaced_while_it_is_read_is_read_again(tmp_path):
    run = commands.save_run(tmp_path, networks.frame_level())
    saved_at(run, "best", 4)
    network = Reading(lambda: saved_at(run, "best", 5))
    assert run.restore_network(network, "teacher", "best").step == 5 and len(network.paths) == 2


def test_a_last_checkpoint_removed_while_it_is_read_gives_the_next_one(tmp_path):
    run = commands.save_run(tmp_path, networks.frame_level())

    def meanwhile():
        commands.save_checkpoint(run, 8)
        shutil.rmtree(run.checkpoints.step_folder(3))

    assert run.restore_network(Reading(meanwhile), "teacher", "last").step == 8


@pytest.mark.parametrize("others", [(), (8,)])
def test_a_best_checkpoint_is_read_although_it_is_missing_for_a_moment(tmp_path, others):
    """Replacing a folder takes two renames; in between, `best` would be the last checkpoint."""
    run = commands.save_run(tmp_path, networks.frame_level(), steps=(2, *others))
    run.checkpoints.step_folder(2).rename(tmp_path / "away")
    network = Reading(lambda: (tmp_path / "away").rename(run.folder / "best"))

    def read(folder):
        network.load_weights(folder / "teacher.weights.h5")

    if not others:
        threading.Timer(0.02, network.meanwhile).start()
        network.meanwhile = lambda: None
    assert run.read_checkpoint("best", read)[1].step == 2


def test_a_step_removed_while_it_is_read_is_reported(tmp_path):
    run = commands.save_run(tmp_path, networks.frame_level(), steps=(3, 8))
    with pytest.raises(ValueError, match="^checkpoint=3: .* has best, last and the steps 8"):
        run.restore_network(Reading(lambda: shutil.rmtree(run.checkpoints.step_folder(3))), "teacher", "3")


def test_a_checkpoint_without_weights_is_named(tmp_path):
    run = commands.save_run(tmp_path, networks.frame_level())
    (run.checkpoints.step_folder(3) / "teacher.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match="step-00000003.*teacher.weights.h5"):
        run.load_network()


def test_leftovers_of_a_killed_first_start_are_removed(tmp_path):
    (tmp_path / ".config.json.abc.partial").mkdir()
    assert runs.prepare_run(tmp_path, TEACHER).config == TEACHER
    assert commands.entries(tmp_path).keys() == {"config.json"}


def test_the_history_is_read_by_network_and_epoch(tmp_path):
    run = commands.save_run(tmp_path / "run", networks.frame_level())
    (run.folder / "history.csv").write_text("epoch,role,step,gap_at_20,loss\n1,teacher,10,0.25,7.5\n2,teacher,20,0.5,6.25\n")
    assert runs.read_history(run) == {
        "teacher": [{"epoch": 1, "gap_at_20": 0.25, "loss": 7.5}, {"epoch": 2, "gap_at_20": 0.5, "loss": 6.25}]
    }


def test_a_run_without_a_history_has_no_epochs(tmp_path):
    assert runs.read_history(commands.save_run(tmp_path / "run", networks.frame_level())) == {"teacher": []}
