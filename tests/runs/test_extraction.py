import json

import numpy as np
import pytest

from tests import commands, networks, tiny_training
from youtube8m_distill import config, runs
from youtube8m_distill.engine.strategy import make_strategy

FRAMES = config.FrameView(frame_selection="first", frames_per_video=4)


def mixture(model="MixNeXtVladModel", **options):
    return networks.frame_level(model, view=FRAMES, **options)


@pytest.fixture
def quick_encoder(monkeypatch):
    monkeypatch.setattr(config.FAMILY_OF["NeXtVLADModel"], "build_encoder", lambda *_: commands.QuickEncoder())


@pytest.fixture
def shards(tmp_path):
    pattern = commands.write_files(tmp_path / "data", "test", commands.frame_videos(6))
    return runs.find_shards("test", pattern, mixture().features)


def predicted(run, shards):
    loaded = runs.LoadedNetwork(run, make_strategy(), keep_predictions=True)
    return np.concatenate([batch["predictions"] for batch in loaded.predict(shards, batch_size=4)])


def inside(run, path, shards):
    """Predictions of the network at a path as a part of the mixture, and of the whole mixture."""
    whole, _ = run.load_network()
    found = [networks.outputs(whole, batch) for _, batch, _ in commands.batches_by_hand(shards, FRAMES.frames_per_video)]
    name = "".join(f"members/{index}/" for index in path.split(".")) + "predictions"
    return [np.concatenate([outputs[key] for outputs in found]) for key in (name, "predictions")]


@pytest.mark.parametrize(
    "network, path, model",
    [
        pytest.param(mixture(reverse_whitening=True), "0", "NeXtVLADModel", id="0 of Mix", marks=pytest.mark.slow),
        pytest.param(mixture("MODNeXtVladModel"), "1", "MixNeXtVladModel", id="1 of MOD", marks=pytest.mark.slow),
        pytest.param(mixture("MODNeXtVladModel"), "1.0", "NeXtVLADModel", id="1.0 of MOD"),
    ],
)
def test_an_extracted_network_predicts_the_same_as_in_the_mixture(tmp_path, shards, quick_encoder, network, path, model):
    run = commands.save_run(tmp_path / "mixture", network)
    before = commands.entries(run.folder)
    taken = runs.extract(run, path, tmp_path / "taken")
    assert taken.config.networks == {"teacher": mixture(model, reverse_whitening=network.family.reverse_whitening)}
    member, whole = inside(run, path, shards)
    np.testing.assert_allclose(predicted(taken, shards), member, rtol=1e-5, atol=1e-6)
    assert np.abs(member - whole).max() > 0.01
    assert sorted(commands.entries(taken.folder)) == ["best/progress.json", "best/teacher.weights.h5", "config.json"]
    assert commands.entries(run.folder) == before


@pytest.mark.parametrize("checkpoint, step", [("best", 9), ("3", 3)])
def test_a_checkpoint_can_be_chosen(tmp_path, quick_encoder, checkpoint, step):
    run = commands.save_run(tmp_path / "mixture", mixture(), steps=(3, 9))
    taken, progress = runs.extract(run, "1", tmp_path / "taken", checkpoint=checkpoint).load_network()
    expected = networks.build(mixture(), seed=step).submodel("1")
    assert progress.step == step
    tiny_training.assert_same_weights(tiny_training.weights(taken), tiny_training.weights(expected))


def test_best_and_last_are_different_checkpoints(tmp_path, quick_encoder):
    run = commands.save_run(tmp_path / "mixture", mixture(), steps=(3, 9))
    run.checkpoints.step_folder(3).rename(run.folder / "best")
    for name, step in (("best", 3), ("last", 9)):
        assert runs.extract(run, "0", tmp_path / name, checkpoint=name).load_network()[1].step == step


def test_a_network_of_a_pair_can_be_chosen(tmp_path, quick_encoder):
    run = commands.save_run(tmp_path / "mixture", mixture())
    networks.build(mixture(), seed=5, name="student").save_weights(run.weights_folder() / "student.weights.h5")
    pair = config.RunConfig(
        mode="parallel",
        networks={"teacher": mixture(), "student": mixture()},
        training=config.TrainingConfig(),
        distillation=config.DistillationConfig(),
    )
    (run.folder / "config.json").write_text(config.to_json(pair))
    for network, seed in ((None, 5), ("student", 5), ("teacher", 3)):
        taken, _ = runs.extract(runs.open_run(run.folder), "0", tmp_path / str(network), network).load_network()
        expected = networks.build(mixture(), seed=seed).submodel("0")
        tiny_training.assert_same_weights(tiny_training.weights(taken), tiny_training.weights(expected))


def test_an_extracted_network_keeps_how_records_are_read_and_its_data(tmp_path, quick_encoder):
    run = commands.save_run(tmp_path / "mixture", mixture())
    data = {"train_data_pattern": "t*", "validation_data_pattern": "v*", "exclude_records": "bad.csv"}
    reading = config.Reading(segment_labels=True, pad_missing_features=True)
    changed = run.config.replace(reading=reading, **data)
    (run.folder / "config.json").write_text(config.to_json(changed))
    taken = runs.extract(runs.open_run(run.folder), "0", tmp_path / "taken")
    assert taken.config == changed.replace(networks=taken.config.networks)


def test_the_validation_gap_of_the_mixture_is_not_that_of_its_network(tmp_path, quick_encoder):
    run = commands.save_run(tmp_path / "mixture", mixture())
    path = run.weights_folder() / "progress.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"best_step": 3, "best_value": 0.8}))
    for folder, expected in ((run.folder, True), (runs.extract(run, "0", tmp_path / "taken").folder, False)):
        card = tmp_path / f"{folder.name}_shared"
        runs.package_run(runs.open_run(folder), card)
        assert ("| GAP@20 | 0.8000 |" in (card / "README.md").read_text()) == expected


def test_the_output_folder_may_exist_if_it_is_empty(tmp_path, quick_encoder):
    (tmp_path / "taken").mkdir()
    runs.extract(commands.save_run(tmp_path / "mixture", mixture()), "0", tmp_path / "taken").load_network()


@pytest.mark.parametrize(
    "path, words",
    [
        ("2", "submodel=2: is not in this mixture; choose one of 0, 1"),
        ("-1", "submodel=-1: is not"),
        ("0.0", "submodel=0.0: is not"),
        ("", "submodel: is missing"),
    ],
)
def test_a_missing_network_is_refused_and_nothing_is_written(tmp_path, quick_encoder, path, words):
    run = commands.save_run(tmp_path / "mixture", mixture())
    with pytest.raises(ValueError, match=words):
        runs.extract(run, path, tmp_path / "taken")
    assert [entry.name for entry in tmp_path.iterdir()] == ["mixture"]


def test_a_network_that_is_not_a_mixture_is_refused(tmp_path):
    run = commands.save_run(tmp_path / "single", mixture("NeXtVLADModel"))
    with pytest.raises(ValueError, match="^train_dir=.*single: its teacher is a NeXtVLADModel, not a mixture"):
        runs.extract(run, "0", tmp_path / "taken")


def test_a_failed_extraction_leaves_nothing(tmp_path, quick_encoder, monkeypatch):
    run = commands.save_run(tmp_path / "mixture", mixture())

    def broken(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("youtube8m_distill.runs.run.write_progress", broken)
    with pytest.raises(OSError, match="disk full"):
        runs.extract(run, "0", tmp_path / "taken")
    assert [entry.name for entry in tmp_path.iterdir()] == ["mixture"]
