import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from tests import commands, faults, tiny_training
from youtube8m_distill.engine.checkpoints import Checkpoints, read_progress
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.serial import SerialDistiller
from youtube8m_distill.schemes.supervised import Supervised

DATA = tiny_training.videos()


def supervised():
    return Supervised(tiny_training.network(dropout=0.5), clip_gradient_norm=0.1, regularization_penalty=1e7)


def parallel():
    teacher = tiny_training.network("teacher", dropout=0.5)
    student = tiny_training.network("student", teacher.classifier, dropout=0.5)
    return ParallelDistiller(student, teacher, StudentTerms(tiny_training.ALL_TERMS))


def projected():
    student, teacher = tiny_training.network("student", encoding_size=3), tiny_training.network("teacher")
    teacher.set_weights([np.full(weight.shape, 0.1 * i - 0.05) for i, weight in enumerate(teacher.weights)])  # of any seed
    terms = StudentTerms({"representation_loss": 1.5, "label_loss": 1.0})
    return SerialDistiller(student, teacher, terms, tiny_training.projection(student, teacher))


def adam():
    return keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.05, 2, 0.7))


class SaveAtThree(keras.callbacks.Callback):
    """Saves what a run killed after step 3 leaves behind."""

    def __init__(self, checkpoints, progress):
        super().__init__()
        self.checkpoints, self.progress = checkpoints, progress

    def on_train_batch_end(self, step, logs=None):
        if step == 3:
            self.checkpoints.save(self.model, self.progress)


@pytest.mark.parametrize(
    "make, devices",
    [
        pytest.param(supervised, None, id="supervised", marks=pytest.mark.slow),
        pytest.param(parallel, None, id="parallel"),
        pytest.param(projected, None, id="projected encoding"),
        pytest.param(supervised, tiny_training.TWO_CPUS, id="supervised on two replicas", marks=pytest.mark.slow),
    ],
)
def test_a_resumed_run_ends_with_the_same_weights_as_an_uninterrupted_one(tmp_path, make, devices):
    data = tiny_training.flat(DATA) if make is supervised else DATA
    strategy, checkpoints = make_strategy(devices=devices), Checkpoints(tmp_path)
    straight, progress = tiny_training.compiled(make, strategy, adam), Progress()
    with tiny_training.eagerly():
        tiny_training.train(straight, data, strategy, 5, [SaveAtThree(checkpoints, progress)], progress)
    resumed = tiny_training.compiled(make, strategy, adam, seed=99)  # other weights, another dropout seed
    progress = Checkpoints(tmp_path).newest_progress()
    assert progress.step == 3
    Checkpoints(tmp_path).restore(resumed)
    assert all(tiny_training.differ(tiny_training.weights(resumed), tiny_training.weights(straight)))
    with tiny_training.eagerly():
        tiny_training.train(resumed, data, strategy, 2, progress=progress)

    assert (progress.step, progress.stage_step) == (5, 5)
    tiny_training.assert_same_weights(tiny_training.weights(resumed), tiny_training.weights(straight))
    for a, b in zip(resumed.optimizer.variables, straight.optimizer.variables):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))


@pytest.fixture(scope="module")
def scheme():
    return tiny_training.compiled(supervised, make_strategy(), adam)


def test_progress_is_saved_and_restored(tmp_path, scheme):
    progress = Progress(step=12, stage=1, stage_step=4, epoch=3, stage_epoch=1, best_step=8, best_value=0.25)
    Checkpoints(tmp_path).save(scheme, progress)
    assert Checkpoints(tmp_path).newest_progress() == progress
    assert read_progress(tmp_path / "checkpoints" / "step-00000012") == progress
    assert sorted(path.name for path in (tmp_path / "checkpoints" / "step-00000012").iterdir()) == [
        "progress.json",
        "teacher.weights.h5",
        "training_state.npz",
    ]


def test_progress_without_a_checkpoint_is_zero(tmp_path):
    assert Checkpoints(tmp_path / "none").newest_progress() == Progress()
    assert Checkpoints(tmp_path / "none").steps() == []


@pytest.mark.parametrize("max_to_keep, kept", [(1, [1000]), (3, [90, 700, 1000])])
def test_the_checkpoints_of_the_last_steps_are_kept(tmp_path, scheme, max_to_keep, kept):
    checkpoints = Checkpoints(tmp_path, max_to_keep)
    checkpoints.save_best(scheme, Progress(step=5))
    for step in (5, 90, 700, 1000):
        checkpoints.save(scheme, Progress(step=step))
    assert checkpoints.steps() == kept
    assert read_progress(tmp_path / "best").step == 5 and checkpoints.newest_progress().step == 1000


def test_steps_of_more_than_eight_digits_sort_as_numbers(tmp_path, scheme):
    checkpoints = Checkpoints(tmp_path)
    for step in (99_999_999, 100_000_000):
        checkpoints.save(scheme, Progress(step=step))
    assert checkpoints.newest_progress().step == 100_000_000


def test_the_best_checkpoint_is_replaced_as_a_whole(tmp_path):
    checkpoints, strategy = Checkpoints(tmp_path), make_strategy()
    scheme = tiny_training.compiled(supervised, strategy, adam)
    checkpoints.save_best(scheme, Progress(step=1))
    best = [weight + 1 for weight in tiny_training.weights(scheme)]
    scheme.networks["teacher"].set_weights(best)
    checkpoints.save_best(scheme, Progress(step=2, best_step=2))
    scheme.networks["teacher"].set_weights([weight + 1 for weight in best])
    scheme.networks["teacher"].load_weights(tmp_path / "best" / "teacher.weights.h5")
    tiny_training.assert_same_weights(tiny_training.weights(scheme), best)
    assert read_progress(tmp_path / "best") == Progress(step=2, best_step=2)
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["progress.json", "teacher.weights.h5"]


def test_an_unfinished_checkpoint_does_not_count(tmp_path, scheme, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(scheme, Progress(step=1))
    complete = checkpoints.step_folder(1)

    def killed(*args, **kwargs):
        monkeypatch.setattr(shutil, "rmtree", lambda *args, **kwargs: None)  # a killed process cleans nothing up
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(scheme, Progress(step=2))
    monkeypatch.undo()
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2  # what it left behind, and the complete one
    assert checkpoints.steps() == [1] and checkpoints.newest_progress().step == 1
    assert json.loads((complete / "progress.json").read_text()) == dataclasses.asdict(Progress(step=1))
    checkpoints.restore(scheme)


def test_a_disk_that_becomes_full_at_any_page_keeps_earlier_checkpoints(tmp_path, scheme):
    disk = faults.Disk(tmp_path / "disk")
    checkpoints, outcomes = Checkpoints(disk.folder), []
    for save in (checkpoints.save, checkpoints.save_best):
        save(scheme, Progress(step=1))
    before = commands.entries(disk.folder)
    for pages in range(0, 30, 2):
        for save in (checkpoints.save, checkpoints.save_best):
            with disk.full(pages * faults.PAGE):
                try:
                    save(scheme, Progress(step=2))
                except OSError as error:
                    assert str(error).startswith(str(disk.folder)) and str(error).endswith("No space left on device.")
                    assert commands.entries(disk.folder) == {**before, ".filler": (disk.folder / ".filler").read_bytes()}
                    outcomes.append("error")
                    continue
            outcomes.append("saved")
            shutil.rmtree(checkpoints.step_folder(2), ignore_errors=True)
            checkpoints.restore(scheme)
            checkpoints.save_best(scheme, Progress(step=1))
            before = commands.entries(disk.folder)
    disk.close()
    assert outcomes.count("error") > 5 and outcomes.count("saved") > 5, outcomes


def test_a_removed_run_folder_is_not_recreated(tmp_path, scheme):
    checkpoints = Checkpoints(tmp_path / "run")
    for save in (checkpoints.save, checkpoints.save_best):
        with pytest.raises(OSError, match="cannot be written: No such file or directory"):
            save(scheme, Progress(step=2))
    assert not (tmp_path / "run").exists()


def test_nothing_is_saved_into_a_folder_that_another_process_holds(tmp_path, scheme):
    def check():
        raise OSError("not ours")

    checkpoints = Checkpoints(tmp_path, check=check)
    for save in (checkpoints.save, checkpoints.save_best):
        with pytest.raises(OSError, match="not ours"):
            save(scheme, Progress(step=2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "other",
    [
        lambda: tiny_training.compiled(lambda: Supervised(tiny_training.network(dropout=0.0)), make_strategy(), adam),
        lambda: tiny_training.compiled(supervised, make_strategy()),
    ],
    ids=["without dropout", "another optimizer"],
)
def test_a_checkpoint_with_other_variables_is_refused(tmp_path, scheme, other):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(scheme, Progress(step=3))
    with pytest.raises(ValueError, match="step-00000003/training_state.npz does not fit this run"):
        checkpoints.restore(other())


def test_a_checkpoint_with_other_weights_is_refused_before_anything_changes(tmp_path, scheme):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(scheme, Progress(step=3))
    other = tiny_training.compiled(lambda: Supervised(tiny_training.hierarchical_rnn(dropout=0.5)), make_strategy(), adam)
    before = tiny_training.weights(other)
    with pytest.raises(ValueError, match="does not fit this run"):
        checkpoints.restore(other)
    tiny_training.assert_same_weights(tiny_training.weights(other), before)


@pytest.mark.parametrize(
    "content, words",
    [
        ("{", "Invalid JSON"),
        ("[]", "must be"),
        ('{"steps": 1}', "steps"),
        ('{"step": "1"}', "step=1: must be a whole number"),
    ],
)
def test_an_invalid_progress_file_is_named(tmp_path, content, words):
    (tmp_path / "progress.json").write_text(content)
    with pytest.raises(ValueError, match=f"^{tmp_path}/progress.json cannot be read: .*{words}"):
        read_progress(tmp_path)


# ---- averages of the weights


def averaging():
    return keras.optimizers.SGD(0.2, use_ema=True, ema_momentum=0.7)


def after_each_step(steps, devices=None):
    """A scheme that keeps averages, and its trainable weights after each step."""
    strategy, found = make_strategy(devices=devices), []
    scheme = tiny_training.compiled(supervised, strategy, averaging)
    for _ in range(steps):
        tiny_training.step_eagerly(scheme, tiny_training.flat(DATA), strategy)
        found.append([np.asarray(variable) for variable in scheme.trainable_variables])
    return scheme, found


def test_saved_weights_are_the_exponential_moving_average(tmp_path):
    scheme, steps = after_each_step(4)
    expected = steps[0]
    for weights in steps[1:]:
        expected = [0.7 * average + 0.3 * weight for average, weight in zip(expected, weights)]
    Checkpoints(tmp_path).save_best(scheme, Progress())
    tiny_training.assert_same_weights([np.asarray(v) for v in scheme.trainable_variables], steps[-1])  # training goes on
    saved = tiny_training.network(dropout=0.5)
    saved.load_weights(tmp_path / "best" / "teacher.weights.h5")
    tiny_training.assert_same_weights(saved.get_weights(), expected, 1e-5)
    with scheme.averaged_weights():
        tiny_training.assert_same_weights([np.asarray(v) for v in scheme.trainable_variables], expected, 1e-5)


def test_weights_are_put_back_after_an_error_with_their_averages():
    scheme, steps = after_each_step(2)
    with pytest.raises(OSError, match="full"), scheme.averaged_weights():
        raise OSError("the disk is full")
    tiny_training.assert_same_weights([np.asarray(v) for v in scheme.trainable_variables], steps[-1])


@pytest.mark.parametrize("devices", [None, tiny_training.TWO_CPUS], ids=["one replica", "two replicas"])
def test_a_run_with_averages_resumes_with_weights_and_averages(tmp_path, devices):
    scheme, _ = after_each_step(2, devices)
    Checkpoints(tmp_path).save(scheme, Progress())
    other, _ = after_each_step(1, devices)
    Checkpoints(tmp_path).restore(other)
    tiny_training.assert_same_weights(tiny_training.weights(other), tiny_training.weights(scheme))
    with scheme.averaged_weights(), other.averaged_weights():
        tiny_training.assert_same_weights(tiny_training.weights(other), tiny_training.weights(scheme))
