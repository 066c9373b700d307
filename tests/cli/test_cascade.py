"""yt8m cascade, and the commands that take a cascade as --train_dir."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from tests import cascades, commands, networks
from youtube8m_distill import config, runs
from youtube8m_distill.cli import cascade as cascade_command
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.runs.cascade_observation import load_networks, observe

NUM_VIDEOS = 150


pytestmark = pytest.mark.usefixtures("quick_hrnn")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cascades")


@pytest.fixture(scope="module")
def trained(folder):
    """Folders of two runs whose networks find the labels of `commands.frame_videos`, the better the more they see."""
    found = cascades.save_runs(folder / "runs", classifier="LogisticModel")
    for run in found:
        network, _ = run.load_network()
        classes, values = np.eye(commands.NUM_CLASSES, 4), {}
        values[9, 4] = 4.0 * np.pad(classes, ((0, 4), (0, 0)))  # a label shows in the first values of the frames
        values[4, 5], values[5,] = 5.0 * classes.T, np.full(5, -2.5)
        for weight in network.weights:
            weight.assign(values[tuple(weight.shape)])
        network.save_weights(next((run.folder / "checkpoints").glob("*/teacher.weights.h5")))
    return [run.folder for run in found]


@pytest.fixture(scope="module")
def files(folder):
    return commands.write_files(folder / "data", "validate", commands.frame_videos(NUM_VIDEOS))


def build(trained, files, output, *arguments, command=commands.succeed):
    return command(
        "cascade",
        f"--train_dirs={','.join(map(str, trained))}",
        f"--validation_data_pattern={files}",
        f"--output_dir={output}",
        *arguments,
    )


@pytest.fixture(scope="module")
def built(trained, files, folder):
    """How `yt8m cascade` ended, with its folder `cascade`."""
    return build(trained, files, folder / "cascade", "--max_gap_loss=0.02")


def test_networks_observe_each_other_on_the_same_videos_and_classes(trained, files):
    found = find_files(files)
    options = config.CascadeOptions(criterion="gate")
    networks_ = load_networks([runs.open_run(folder) for folder in trained], make_strategy(), None, options)
    first, second = observe(networks_, found, batch_size=40)
    alone = [
        [batch for batch in runs.LoadedNetwork(runs.open_run(folder), make_strategy(), keep_predictions=True).predict(found)]
        for folder in trained
    ]
    for seen, batches in zip((first, second), alone):
        for name in ("scores", "losses"):
            values = np.concatenate([batch[name] for batch in batches])
            np.testing.assert_allclose(getattr(seen, name), values, rtol=1e-5)
    classes = np.concatenate([batch["classes"] for batch in alone[1]])
    before = np.concatenate([batch["predictions"] for batch in alone[0]])
    (earlier,) = second.earlier
    np.testing.assert_allclose(earlier, np.take_along_axis(before, classes, axis=1), rtol=1e-5)
    assert first.earlier == () and len(first.encodings) == len(second.encodings) == NUM_VIDEOS


def read(folder):
    return json.loads((folder / "cascade.json").read_text())


def test_a_cascade_keeps_the_gap_and_states_what_was_chosen(built, folder, trained):
    found = read(folder / "cascade")
    chosen, last, frontier = found["chosen"], found["stages"][-1], found["frontier"]
    assert chosen["gap"] >= last["gap"] - 0.02 and chosen in frontier and found["num_videos"] == NUM_VIDEOS
    feasible = [point for point in frontier if point["gap"] >= last["gap"] - 0.02]
    assert chosen["mean_multiply_adds"] == min(point["mean_multiply_adds"] for point in feasible)
    assert frontier[0]["gap"] > last["gap"] and frontier[-1]["gap"] == pytest.approx(found["stages"][0]["gap"], abs=1e-3)
    assert frontier[0]["videos"] == [0, NUM_VIDEOS] and frontier[-1]["videos"] == [NUM_VIDEOS, 0]
    assert [stage["relative_train_dir"] for stage in found["stages"]] == ["../runs/small", "../runs/large"]
    assert f"{trained[0]}: answers {chosen['videos'][0] / NUM_VIDEOS:6.1%}" in built.out
    assert f"together: GAP@20 {chosen['gap']:.4f}" in built.out
    assert built.out.splitlines()[-1] == (
        f"Written to {folder}/cascade; `yt8m eval`, `yt8m infer`, `yt8m predict`, and `yt8m beam` take it as --train_dir."
    )


def test_a_last_network_that_is_not_the_best_is_pointed_out(built, folder):
    cascade = runs.open_cascade(folder / "cascade")
    first, last = cascade.settings.stages
    better = cascade.settings.replace(stages=(first.replace(gap=last.gap + 0.001), last))
    lines = cascade_command.report(dataclasses.replace(cascade, settings=better), ["small", "large"])
    said = "small alone has a higher GAP@20 than the last network. Try without the networks after it."
    assert said in lines and "alone has a higher" not in built.out


def test_evaluation_gives_the_gap_and_the_usage_that_the_search_promised(built, folder, files):
    ended = commands.succeed("eval", f"--train_dir={folder}/cascade", f"--eval_data_pattern={files}", "--batch_size=64")
    found = json.loads((folder / "cascade/eval/cascade/metrics.json").read_text())
    chosen = read(folder / "cascade")["chosen"]
    assert found["gap_at_20"] == pytest.approx(chosen["gap"], abs=0.002)
    assert found["mean_frames"] == pytest.approx(chosen["mean_frames"], rel=0.02)
    assert found["mean_multiply_adds"] == pytest.approx(chosen["mean_multiply_adds"], rel=0.02)
    videos = [stage["videos"] for stage in found["stages"]]
    assert sum(videos) == NUM_VIDEOS and np.abs(np.subtract(videos, chosen["videos"])).max() <= 1
    assert read(folder / "cascade")["stages"][1]["c"] > 0
    assert found["videos_per_second"] > 0 and found["network"] == "cascade"
    assert ended.out.startswith("cascade of 2 networks, 150 videos, ")
    assert f"{videos[0]} videos ({videos[0] / NUM_VIDEOS:.1%}) answered by the network of step 3 in" in ended.out
    assert f"Together, the networks read {found['mean_frames']:.1f} frames and " in ended.out


def test_inference_writes_all_videos_in_the_order_of_the_files(built, folder, files, tmp_path):
    ended = commands.succeed(
        "infer", f"--train_dir={folder}/cascade", f"--input_data_pattern={files}", f"--output_file={tmp_path}/p.csv"
    )
    assert list(commands.read_csv(tmp_path / "p.csv")) == [f"v{number:03d}" for number in range(NUM_VIDEOS)]
    assert ended.out.startswith("150 videos by the cascade of 2 networks in ")
    assert "answered by the network of step 3 in " in ended.out and "answered by the network of step 4 in " in ended.out


@pytest.mark.slow
def test_single_files_are_predicted_by_a_cascade(built, folder, files):
    path = sorted(pathlib.Path(files).parent.glob("*"))[0]
    assert "v000\n  0." in commands.succeed("predict", f"--train_dir={folder}/cascade", path).out


def test_a_cascade_that_leaves_all_videos_to_the_last_network_is_reported(built, folder):
    cascade = runs.open_cascade(folder / "cascade")
    settings, never = cascade.settings, {"threshold": None}
    first = settings.stages[0].replace(**never)
    settings = settings.replace(chosen=settings.frontier[0], stages=(first, *settings.stages[1:]))
    lines = cascade_command.report(dataclasses.replace(cascade, settings=settings), ["small", "large"])
    assert lines[1].startswith("  small: answers   0.0% (none is sure enough); alone GAP@20 ")
    assert lines[4] == (
        "No network but the last answers any video: no cheaper choice keeps GAP@20 within 0.02 of its own. Use large "
        "alone, or allow a larger --max_gap_loss."
    )
    said = "Networks that answer no video still count in the answers of later ones: without them, GAP@20 changes."
    assert said in lines
    last = settings.stages[1].replace(c=0.0)
    settings = settings.replace(stages=(first, last))
    assert said not in cascade_command.report(dataclasses.replace(cascade, settings=settings), ["small", "large"])


@pytest.mark.slow
def test_nocombine_leaves_out_the_answers_of_the_networks_before(trained, files, tmp_path):
    build(trained, files, tmp_path / "cascade", "--nocombine")
    found = read(tmp_path / "cascade")
    assert [stage["c"] for stage in found["stages"]] == [0, 0] and not found["options"]["combine"]
    assert found["frontier"][0]["gap"] == pytest.approx(found["stages"][1]["gap"], abs=1e-3)


@pytest.mark.slow
def test_a_cascade_with_a_gate_is_built_and_used(trained, files, tmp_path):
    ended = build(trained, files, tmp_path / "cascade", "--criterion=gate")
    found = read(tmp_path / "cascade")
    assert 50 < found["num_videos"] < 100 and f"thresholds chosen on {found['num_videos']} videos" in ended.out
    out = commands.succeed("eval", f"--train_dir={tmp_path}/cascade", f"--eval_data_pattern={files}").out
    assert out.startswith("cascade of 2 networks, 150 videos")


# ---- refusals


def test_a_folder_with_something_else_is_not_overwritten(trained, files, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("kept")
    line = build(trained, files, tmp_path / "mine", command=commands.fail)
    assert f"--output_dir={tmp_path}/mine: is not empty and holds no cascade.json, so it does not hold a cascade" in line
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "names, words",
    [
        (("small",), "name two or more runs, the cheapest first."),
        (("small", "large", "small"), "names a run twice."),
        (("small", "none"), "none' is not a training directory: it does not exist."),
    ],
)
def test_runs_that_are_too_few_or_missing_are_refused(trained, files, tmp_path, names, words):
    folders = [trained[0].parent / name for name in names]
    line = build(folders, files, tmp_path / "cascade", command=commands.fail)
    assert line.startswith("Error: --train_dirs=") and words in line
    assert not (tmp_path / "cascade").exists()


def test_runs_from_expensive_to_cheap_are_refused_with_their_costs(trained, files, tmp_path):
    line = build(trained[::-1], files, tmp_path / "cascade", command=commands.fail)
    assert "order the runs by the multiply-adds of their networks, fewest first; all must differ. They are: " in line
    assert f"{trained[1]} (272), {trained[0]} (92)" in line


def save_other(folder, network, **reading):
    training = config.TrainingConfig()
    settings = config.RunConfig(mode="teacher", networks={"teacher": network}, training=training, **reading)
    return runs.prepare_run(folder, settings)


@pytest.mark.parametrize(
    "network, reading, words",
    [
        (networks.frame_level(num_classes=4), {}, "has num_classes 4, and "),
        (networks.frame_level(dtype="float32"), {}, "has input type float32, and "),
        (networks.frame_level(), {"reading": config.Reading(label_key="tags")}, "has label_key tags, and "),
        (networks.frame_level(), {"reading": config.Reading(segment_labels=True)}, "was trained on segments"),
        (networks.video_level("LogisticModel"), {}, "holds a LogisticModel, which reads video-level files"),
    ],
)
def test_networks_that_do_not_belong_together_are_refused(trained, files, tmp_path, network, reading, words):
    other = save_other(tmp_path / "other", network, **reading)
    line = build([trained[0], other.folder], files, tmp_path / "cascade", command=commands.fail)
    assert line.startswith("Error: --train_dirs=") and f"{tmp_path}/other {words}" in line


def test_files_that_a_network_was_trained_on_are_refused(trained, files, tmp_path):
    other = save_other(tmp_path / "other", networks.frame_level(), train_data_pattern=files)
    line = build([trained[0], other.folder], files, tmp_path / "cascade", command=commands.fail)
    assert line.startswith(f"Error: --validation_data_pattern={files}: contains 2 training file(s) of {tmp_path}/other, ")


def test_files_without_labels_are_refused(trained, tmp_path):
    files = commands.write_files(tmp_path / "data", "test", commands.frame_videos(9, labels=False))
    line = build(trained, files, tmp_path / "cascade", command=commands.fail)
    assert f"--validation_data_pattern={files}: " in line and "has labels under 'labels'" in line


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--max_gap_loss=-0.1",), "--max_gap_loss=-0.1: choose a value from 0"),
        (("--gate_margin=0.1",), "--gate_margin=0.1: has an effect only with criterion=gate."),
        (("--criterion=entropy",), "criterion"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_loaded(arguments, words):
    assert words in build(["a", "b"], "none", "/tmp/none", *arguments, command=commands.fail)


@pytest.mark.parametrize(
    "command, flag",
    [
        ("infer", "--checkpoint=last"),
        ("infer", "--network=teacher"),
        ("infer", "--mixed_precision"),
        ("infer", "--segment_labels"),
        ("infer", "--output_model_tgz={folder}/m.tgz"),
        ("infer", "--frames_per_video=4"),
        ("eval", "--segment_labels"),
        ("eval", "--network=student"),
        ("eval", "--run_once --checkpoint=3"),
        ("predict", "--checkpoint=3"),
    ],
)
def test_flags_of_single_networks_are_refused_with_a_cascade(built, folder, files, tmp_path, command, flag):
    arguments = {
        "infer": [f"--input_data_pattern={files}", f"--output_file={tmp_path}/p.csv"],
        "eval": [f"--eval_data_pattern={files}"],
        "predict": [files],
    }[command]
    line = commands.fail(command, f"--train_dir={folder}/cascade", *arguments, *flag.format(folder=tmp_path).split())
    assert f"has no effect on the cascade in {folder}/cascade: " in line and line.endswith(" Leave it out.")


def test_commands_that_need_a_run_name_the_cascade(built, folder, tmp_path):
    line = commands.fail("export", f"--train_dir={folder}/cascade", f"--output_dir={tmp_path}/out")
    assert "is not a training directory" in line and "It is a cascade, which only eval, infer, predict, and beam" in line


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda text: text[:50], "cannot be read: "),
        (lambda text: text.replace('"format": 1', '"format": 7'), "format=7: this version reads only 1."),
        (lambda text: text.replace('"a":', '"a_": 1, "a":', 1), "a_: StageSettings has no such field."),
        (lambda text: text.replace('"num_videos": 150', '"num_videos": "many"'), "num_videos=many: must be a whole number"),
    ],
)
def test_a_damaged_cascade_is_refused(built, folder, files, tmp_path, spoil, words):
    shutil.copytree(folder / "cascade", tmp_path / "cascade")
    path = tmp_path / "cascade/cascade.json"
    path.write_text(spoil(path.read_text()))
    line = commands.fail("eval", f"--train_dir={tmp_path}/cascade", f"--eval_data_pattern={files}")
    assert f"the cascade in {tmp_path}/cascade cannot be read: " in line and words in line
