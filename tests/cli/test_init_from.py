"""What a training starts from: --init_from and --pca_eigenvalues."""

from unittest import mock

import numpy as np
import pytest

from tests import commands, networks, tiny_training
from tests.commands import FEATURES, FEW_FRAMES, QUICK, SMALL
from youtube8m_distill import config, runs
from youtube8m_distill.engine.progress import Progress

NEXTVLAD_SIZES = ("--nextvlad_cluster_size=4", "--nextvlad_hidden_size=6", "--groups=2", "--gating_reduction=2")
NEXTVLAD = (*FEATURES, "--num_classes=5", "--model=NeXtVLADModel", *NEXTVLAD_SIZES)
NO_CHANGE = "--base_learning_rate=1e-30"  # a step leaves the weights as they are


@pytest.fixture(autouse=True)
def quick_encoders(monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    monkeypatch.setattr(config.FAMILY_OF["NeXtVLADModel"], "build_encoder", lambda *_: commands.QuickEncoder())


@pytest.fixture
def files(tmp_path):
    return commands.write_files(tmp_path / "data", "train", commands.frame_videos(8))


def arguments(tmp_path, files, *more, family=SMALL, folder="run"):
    return (
        "train",
        f"--train_data_pattern={files}",
        f"--train_dir={tmp_path}/{folder}",
        *family,
        *QUICK,
        *FEW_FRAMES,
        *more,
    )


def train(tmp_path, files, *more, **options):
    """Trains; returns the Run and what was printed."""
    ended = commands.succeed(*arguments(tmp_path, files, *more, **options))
    return runs.open_run(tmp_path / options.get("folder", "run")), ended.out


def refusal(tmp_path, files, *more, **options):
    line = commands.fail(*arguments(tmp_path, files, *more, **options))
    assert not (tmp_path / options.get("folder", "run")).exists()
    return line


def weights(run, role=None, checkpoint="last"):
    return tiny_training.weights(run.load_network(role, checkpoint)[0])


# ---- another run's weights


def small(**options):
    return networks.frame_level(
        **{"lstm_layers": 1, "view": config.FrameView(frame_selection="uniform", frames_per_video=4), **options}
    )


def test_a_run_starts_with_the_weights_of_another_and_resumes_only_with_them(tmp_path, files):
    source = commands.save_run(tmp_path / "source", small(dtype="float32"))
    given = (f"--init_from={source.folder}", NO_CHANGE)
    run, printed = train(tmp_path, files, *given)
    assert f"network: starts from 146 weights of the network in {source.folder}, step 3: everything." in printed
    assert "Done: step 2, 1 epoch(s)" in printed
    tiny_training.assert_same_weights(weights(run), weights(source), rounding=1e-12)
    assert run.checkpoints.newest_progress().step == 2 and run.config.init_from == str(source.folder)
    assert run.config.init_weights.startswith("step 3, sha256 ")
    before = commands.entries(run.folder)
    without = commands.fail(*arguments(tmp_path, files, NO_CHANGE))
    assert "init_weights (step 3, sha256" in without and "empty here" in without
    commands.save_checkpoint(source, 5)
    assert "init_weights (step 3, sha256 " in commands.fail(*arguments(tmp_path, files, *given))
    assert commands.entries(run.folder) == before


@pytest.mark.slow
def test_initial_weights_are_read_once(tmp_path, files):
    """A resumed run ends with the weights of an uninterrupted one, and both have changed."""
    source = commands.save_run(tmp_path / "source", small())
    given = f"--init_from={source.folder}"
    straight, _ = train(tmp_path, files, given, "--num_epochs=2", folder="straight")
    train(tmp_path, files, given, "--num_epochs=2", "--max_steps=2", folder="stopped")
    resumed, printed = train(tmp_path, files, given, "--num_epochs=2", folder="stopped")
    assert "Found step 2 of this run" in printed and "starts with" not in printed
    tiny_training.assert_same_weights(weights(resumed), weights(straight))
    assert all(tiny_training.differ(weights(straight), weights(source)))


@pytest.mark.slow
def test_a_student_starts_with_the_sources_encoder_and_the_teachers_classifier(tmp_path, files):
    teacher, source = (
        commands.save_run(tmp_path / name, small(), steps=(step,)) for name, step in (("teacher", 3), ("source", 5))
    )
    run, printed = train(
        tmp_path,
        files,
        "--mode=serial",
        f"--teacher_dir={teacher.folder}",
        f"--init_from={source.folder}",
        NO_CHANGE,
        "--max_steps=1",
    )
    assert (
        "student: starts from 36 weights of the network in" in printed
        and "The classifier comes from the teacher." in printed
    )
    found = run.load_network()[0]
    for ours, theirs in (
        (found.encoder, source.load_network()[0].encoder),
        (found.classifier, teacher.load_network()[0].classifier),
    ):
        tiny_training.assert_same_weights(tiny_training.weights(ours), tiny_training.weights(theirs), rounding=1e-12)


@pytest.mark.parametrize(
    "more, words",
    [
        (("--lstm_cells=6",), "lstm_cells=4 there, 6 here"),
        (("--feature_names=rgb", "--feature_sizes=6"), "feature_names=rgb,audio of 6,3 there, rgb of 6 here"),
    ],
)
def test_a_source_of_another_shape_is_refused_by_name(tmp_path, files, more, words):
    commands.save_run(tmp_path / "source", small())
    line = refusal(tmp_path, files, f"--init_from={tmp_path}/source", *more)
    assert line.startswith(f"Error: --init_from={tmp_path}/source: the teacher there is another network ({words}")


def test_a_source_that_does_not_exist_is_refused(tmp_path, files):
    line = refusal(tmp_path, files, f"--init_from={tmp_path}/source")
    assert line.startswith(f"Error: --init_from={tmp_path}/source: ") and line.endswith("it does not exist.")


@pytest.mark.parametrize("switch", [(), ("--start_new_model",)])
def test_the_source_cannot_be_train_dir(tmp_path, files, switch):
    source = commands.save_run(tmp_path / "run", small())
    before = commands.entries(source.folder)
    line = commands.fail(*arguments(tmp_path, files, f"--init_from={tmp_path}/data/../run", *switch))
    assert line.startswith("Error: --init_from=") and "is the same as --train_dir" in line
    assert commands.entries(source.folder) == before


def test_a_video_level_source_with_another_classifier_is_refused(tmp_path):
    files = commands.write_files(tmp_path / "data", "train", commands.video_means(6))
    commands.save_run(tmp_path / "source", networks.video_level("MoeModel"))
    line = commands.fail(
        "train",
        f"--train_data_pattern={files}",
        f"--train_dir={tmp_path}/run",
        "--model=MoeModel",
        "--feature_names=mean_rgb,mean_audio",
        "--feature_sizes=6,3",
        "--num_classes=6",
        *QUICK,
        f"--init_from={tmp_path}/source",
    )
    assert "differs (num_classes=5 there, 6 here), and a MoeModel has no other weights." in line


# ---- eigenvalues


@pytest.fixture
def eigenvalues(tmp_path):
    np.save(tmp_path / "eigenvals.npy", np.array([4.0, 9.0, 0.0, 1.0, 16.0, 0.25]))
    return tmp_path / "eigenvals.npy"


SCALE = [2.0001, 3.0001, 0.0001, 1.0001, 4.0001, 0.5001, 1.0, 1.0, 1.0]


def assert_scale(run, *roles, checkpoint="last"):
    for role in roles:
        np.testing.assert_allclose(run.load_network(role, checkpoint)[0].preprocessing.scale, SCALE, rtol=1e-6)


@pytest.mark.slow
def test_eigenvalues_are_saved_with_the_weights(tmp_path, files, eigenvalues):
    """Both checkpoints have them. Evaluation, prediction, a student and another run need no file."""
    run, printed = train(
        tmp_path,
        files,
        f"--pca_eigenvalues={eigenvalues}",
        f"--validation_data_pattern={write(tmp_path)}",
        "--max_steps=1",
        family=NEXTVLAD,
    )
    assert run.config.networks["teacher"].family.reverse_whitening is True and "Frames are L2-normalized" not in printed
    eigenvalues.unlink()
    for checkpoint in ("best", "last"):
        assert_scale(run, "teacher", checkpoint=checkpoint)
    commands.succeed("eval", "--run_once", f"--train_dir={run.folder}", f"--eval_data_pattern={files}")
    commands.succeed(
        "infer", f"--train_dir={run.folder}", f"--input_data_pattern={files}", f"--output_file={tmp_path}/p.csv"
    )
    student, printed = train(
        tmp_path, files, "--mode=serial", f"--teacher_dir={run.folder}", "--max_steps=1", folder="student", family=()
    )
    assert_scale(student, "student")
    other, printed = train(tmp_path, files, f"--init_from={run.folder}", "--max_steps=1", folder="other", family=NEXTVLAD)
    assert_scale(other, "teacher")
    assert other.config.networks["teacher"].family.reverse_whitening is True and "Frames are L2-normalized" not in printed


def write(tmp_path):
    return commands.write_files(tmp_path / "data", "validate", commands.frame_videos(4, seed=1))


@pytest.mark.slow
def test_both_networks_of_a_parallel_run_have_the_eigenvalues(tmp_path, files, eigenvalues):
    run, _ = train(tmp_path, files, "--mode=parallel", f"--pca_eigenvalues={eigenvalues}", "--max_steps=1", family=NEXTVLAD)
    assert_scale(run, "teacher", "student")


def test_without_eigenvalues_a_run_prints_what_is_published_and_resumes_without_them(tmp_path, files, eigenvalues):
    with mock.patch.object(runs, "train_run", return_value=Progress()):
        run, printed = train(tmp_path, files, "--max_steps=1", family=NEXTVLAD)
    published = "As published, this family reverses the whitening of the features' PCA instead; --pca_eigenvalues does so."
    assert published in printed and run.config.networks["teacher"].family.reverse_whitening is False
    commands.save_checkpoint(run, 1)
    before, given = commands.entries(run.folder), f"--pca_eigenvalues={eigenvalues}"
    line = commands.fail(*arguments(tmp_path, files, given, "--max_steps=1", family=NEXTVLAD))
    assert "reverse_whitening (false there, true here)" in line
    assert commands.entries(run.folder) == before


@pytest.mark.slow
def test_a_resumed_run_needs_the_file_it_was_given(tmp_path, files, eigenvalues):
    given = f"--pca_eigenvalues={eigenvalues}"
    run, _ = train(tmp_path, files, given, "--max_steps=1", family=NEXTVLAD)
    before = commands.entries(run.folder)
    assert "reverse_whitening (true there, false here)" in commands.fail(*arguments(tmp_path, files, family=NEXTVLAD))
    eigenvalues.unlink()
    line = commands.fail(*arguments(tmp_path, files, given, family=NEXTVLAD))
    assert line.startswith(f"Error: {given}: ") and "Give the eigenvals.npy" in line
    assert commands.entries(run.folder) == before


def test_a_family_that_normalizes_frames_takes_no_eigenvalues(tmp_path, files, eigenvalues):
    line = refusal(tmp_path, files, f"--pca_eigenvalues={eigenvalues}", family=(*FEATURES, "--model=LstmModel"))
    assert line.startswith("Error: --pca_eigenvalues: has no effect with --model=LstmModel")


@pytest.mark.parametrize(
    "student, words", [((), "--mode=serial without --student_model"), (("DbofModel",), "--student_model=DbofModel, which")]
)
def test_only_a_student_that_reverses_the_whitening_takes_eigenvalues(tmp_path, files, eigenvalues, student, words):
    asked = ("--mode=serial", "--teacher_dir=t", *(f"--student_model={model}" for model in student))
    line = refusal(tmp_path, files, *asked, f"--pca_eigenvalues={eigenvalues}", family=())
    assert line.startswith(f"Error: --pca_eigenvalues: has no effect with {words}")


@pytest.mark.slow
def test_a_student_of_another_family_takes_eigenvalues(tmp_path, files, eigenvalues):
    commands.save_run(tmp_path / "teacher", networks.frame_level(view=config.FrameView()))
    teacher = ("--mode=serial", f"--teacher_dir={tmp_path}/teacher", *NEXTVLAD_SIZES)
    more = (*teacher, "--student_model=NeXtVLADModel", f"--pca_eigenvalues={eigenvalues}", "--max_steps=1")
    run, _ = train(tmp_path, files, *more, family=())
    assert run.config.networks["student"].family.reverse_whitening
    assert_scale(run, "student")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "is not a readable .npy file of numbers"),
        (b"1 2 3 4 5 6", "is not a readable .npy file of numbers"),
        (np.ones((6, 6)), "must be of shape [n] or [n, 1]"),
        (np.ones(5), "holds 5 numbers, but rgb has 6"),
    ],
)
def test_an_invalid_file_of_eigenvalues_is_refused(tmp_path, files, eigenvalues, content, words):
    if isinstance(content, bytes):
        eigenvalues.write_bytes(content)
    else:
        np.save(eigenvalues, content)
    line = refusal(tmp_path, files, f"--pca_eigenvalues={eigenvalues}", family=NEXTVLAD)
    assert line.startswith(f"Error: --pca_eigenvalues={eigenvalues}") and words in line
