import json
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tests import commands, networks, records
from youtube8m_distill import config, runs
from youtube8m_distill.config.export import ExportConfig
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.errors import SettingError
from youtube8m_distill.export import verification
from youtube8m_distill.families.inference import InferenceModel
from youtube8m_distill.runs import export

FOUR_FRAMES = config.FrameView(frame_selection="uniform", frames_per_video=4)
MEAN = networks.frame_level("FrameLevelLogisticModel", view=FOUR_FRAMES)  # the quickest to export


@pytest.fixture(scope="module", autouse=True)
def short_measurements():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "LEAST_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """The pattern of files of 20 labeled videos of 1 to 9 frames."""
    return commands.write_files(tmp_path_factory.mktemp("videos"), "validate", commands.frame_videos(20))


@pytest.fixture(scope="module")
def exported(tmp_path_factory, videos):
    """A run, the folder of its SavedModel, and the Verification."""
    folder = tmp_path_factory.mktemp("exported")
    run = commands.save_run(folder / "run", MEAN)
    return run, folder / "saved", export.export_network(run, folder / "saved", verify_shards=find_files(videos))


def serialized(pattern):
    return [record.numpy() for shard in find_files(pattern) for record in tf.data.TFRecordDataset(shard.path)]


def expected_predictions(run, pattern):
    """What the network predicts for the videos of some files, in the package's own reader."""
    loaded = runs.LoadedNetwork(run, make_strategy(), for_metrics=False, keep_predictions=True)
    return np.concatenate([batch["predictions"] for batch in loaded.predict(find_files(pattern))])


# Runs where this package cannot be imported.
CLIENT = """
import sys

sys.modules["youtube8m_distill"] = sys.modules["keras"] = None
import numpy as np
import tensorflow as tf

folder, records_file, output = sys.argv[1:]
loaded = tf.saved_model.load(folder)
records = np.load(records_file, allow_pickle=True)
found = loaded.signatures["records"](records=tf.constant(list(records)))
frames, num_frames = tf.zeros([1, 4, 9], tf.uint8), tf.constant([2])
assert loaded.signatures["frames"](frames=frames, num_frames=num_frames)["predictions"].shape == (1, 5)
np.savez(output, **{name: values.numpy() for name, values in found.items()})
"""


@pytest.mark.slow
def test_a_saved_model_predicts_from_records_without_this_package(exported, videos, tmp_path):
    run, folder, _ = exported
    np.save(tmp_path / "records.npy", np.array(serialized(videos), object))
    arguments = [sys.executable, "-c", CLIENT, folder, tmp_path / "records.npy", tmp_path / "found.npz"]
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz", allow_pickle=True)
    assert list(found["video_id"]) == [commands.video_id(number) for number in range(20)]
    np.testing.assert_allclose(found["predictions"], expected_predictions(run, videos), rtol=1e-5, atol=1e-6)


def test_the_check_covers_videos_of_all_lengths_and_gap(exported):
    _, folder, found = exported
    assert found.num_frames == (1, 301) and found.num_videos == 20 + 6
    assert found.largest_difference <= 1e-6 and found.gap_at_20 == found.gap_at_20_source > 0
    written = json.loads((folder / "export.json").read_text())
    assert written["verification"]["gap_difference"] == 0 and written["verification"]["latency_ms"] > 0
    assert written["inputs"] == {
        "frames": {"shape": [None, 4, 9], "dtype": "uint8"},
        "num_frames": {"shape": [None], "dtype": "int32"},
    }
    assert written["view"]["frames_per_video"] == 4 and written["checkpoint_step"] == 3
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != "export.json")
    assert written["verification"]["size_bytes"] == size


def test_a_saved_model_stores_each_weight_once(exported):
    run, folder, _ = exported
    shapes = [shape for name, shape in tf.train.list_variables(str(folder / "variables/variables")) if shape]
    assert sum(map(math.prod, shapes)) == run.load_network()[0].count_params()


def test_the_graph_of_a_student_has_no_frame_that_it_does_not_see(exported):
    _, folder, _ = exported
    loaded = tf.saved_model.load(folder)
    shapes = [
        output.shape
        for op in convert_variables_to_constants_v2(loaded.signatures["frames"]).graph.get_operations()
        for output in op.outputs
    ]
    middle = {shape[1] for shape in shapes if shape.rank == 3}
    assert 4 in middle and middle <= {1, 4}


def test_a_saved_model_names_a_record_that_it_cannot_use(exported, videos):
    _, folder, _ = exported
    loaded = tf.saved_model.load(folder)
    signature = loaded.signatures["records"]
    empty = records.frame_record({"rgb": np.zeros((0, 6), np.uint8), "audio": np.zeros((0, 3), np.uint8)}, b"none", [1])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"request, record 1: no frames under .*rgb"):
        signature(records=tf.constant([serialized(videos)[0], empty]))
    short = records.frame_record({"rgb": np.zeros((2, 6), np.uint8), "audio": np.zeros((2, 2), np.uint8)}, b"short", [1])
    with pytest.raises(tf.errors.InvalidArgumentError, match="record 0: frame 0 of .*audio.* holds 2 bytes instead of 3"):
        signature(records=tf.constant([short]))


def test_what_a_runtime_prints_in_its_first_run_is_hidden(exported, tmp_path, monkeypatch, capfd):
    run, folder, _ = exported
    load, lines = export.LOAD["saved_model"], [b"INFO: Created a delegate.\n"]  # as LiteRT, once in a process

    def load_loudly(_):
        predict = load(folder)
        return lambda inputs: (lines and os.write(2, lines.pop()), predict(inputs))[1]

    monkeypatch.setitem(export.LOAD, "saved_model", load_loudly)
    export.export_network(run, tmp_path / "saved")
    assert not lines and "delegate" not in capfd.readouterr().err


@pytest.mark.slow
def test_beyond_the_tolerance_nothing_is_written(exported, tmp_path, monkeypatch):
    run, folder, _ = exported
    load = export.LOAD["saved_model"]
    monkeypatch.setitem(export.LOAD, "saved_model", lambda _: lambda inputs: load(folder)(inputs) + 0.25)
    with pytest.raises(
        SettingError,
        match=r"tolerance=1e-05: is exceeded: .* is off by 0.25 for a video of \d+ frame\(s\). Nothing was written",
    ):
        export.export_network(run, tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def test_a_conversion_that_fails_leaves_nothing(exported, tmp_path, monkeypatch):
    run, *_ = exported
    monkeypatch.setattr(InferenceModel, "call", lambda *_: 1 / 0)
    with pytest.raises(ValueError, match="FrameLevelLogisticModel cannot be converted to saved_model: .*division by zero"):
        export.export_network(run, tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_video_level_network_takes_means(tmp_path):
    run = commands.save_run(tmp_path / "run", networks.video_level("LogisticModel"))
    pattern = commands.write_files(tmp_path, "validate", commands.video_means(6))
    found = export.export_network(run, tmp_path / "saved", verify_shards=find_files(pattern))
    assert found.num_videos == 6 and found.num_frames is None
    loaded = tf.saved_model.load(tmp_path / "saved")
    assert loaded.signatures["features"].structured_input_signature[1]["features"].shape == (None, 9)
    by_records = loaded.signatures["records"](records=tf.constant(serialized(pattern)))["predictions"]
    np.testing.assert_allclose(by_records, expected_predictions(run, pattern), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dtype, reading", [("float32", {}), ("float32", {"feature_dtype": "float32"})])
def test_networks_that_read_floats_are_checked_on_random_floats(dtype, reading, tmp_path):
    network = networks.frame_level("FrameLevelLogisticModel", view=FOUR_FRAMES, dtype=dtype)
    run = commands.save_run(tmp_path / "run", network)
    found = export.export_network(run, tmp_path / "saved", reading=config.Reading(**reading))
    assert found.num_frames == (1, 301) and found.passed
    kinds = json.loads((tmp_path / "saved/export.json").read_text())["records"]["kinds"]
    assert kinds == ["packed floats" if reading else "floats"] * 2


LITERT = [ExportConfig(format="litert", quantization=name) for name in ("none", "float16", "dynamic_int8", "full_int8")]


@pytest.mark.slow
@pytest.mark.parametrize("model", networks.TINY)
@pytest.mark.parametrize("format", ["saved_model", "litert", "onnx", "openvino"])
def test_every_family_can_be_exported_to_every_format(format, model, tmp_path, monkeypatch):
    monkeypatch.setattr("youtube8m_distill.export.onnx.LARGE", 8)  # as if networks had their published sizes
    network = networks.frame_level(model, view=config.FrameView(frame_selection="uniform", frames_per_video=5))
    run = commands.save_run(tmp_path / "run", network)
    found = export.export_network(run, tmp_path / "out", ExportConfig(format=format))
    assert found.num_frames == (1, 301) and found.passed


@pytest.mark.slow
@pytest.mark.parametrize("model, frames", [("HierarchicalLstmModel", 1), ("LstmModel", 1), ("LstmModel", 65)])
def test_recurrent_networks_of_any_number_of_frames_can_be_exported_to_litert(model, frames, tmp_path):
    view = config.FrameView(frame_selection="uniform", frames_per_video=frames)
    run = commands.save_run(tmp_path / "run", networks.frame_level(model, view=view), deviation=0.2)
    assert export.export_network(run, tmp_path / "out", ExportConfig(format="litert")).passed


@pytest.mark.slow
@pytest.mark.parametrize("settings", LITERT, ids=lambda settings: settings.quantization)
def test_quantization_keeps_predictions_within_its_tolerance(settings, videos, tmp_path):
    network = networks.frame_level(view=FOUR_FRAMES, lstm_cells=96)
    # Weights about as large as a trained LSTM's: far larger ones make it chaotic, so that any rounding changes predictions.
    run, shards = commands.save_run(tmp_path / "run", network, deviation=96**-0.5), find_files(videos)
    found = export.export_network(run, tmp_path / "out", settings, verify_shards=shards, calibration_shards=shards)
    exact = export.export_network(run, tmp_path / "exact", LITERT[0], verify_shards=shards)
    assert (found.largest_difference > exact.largest_difference) == (settings.quantization != "none")
    shares = {"none": 1.0, "float16": 0.6, "dynamic_int8": 0.4, "full_int8": 0.4}
    assert found.size_bytes <= shares[settings.quantization] * exact.size_bytes


@pytest.mark.slow
def test_a_saved_model_runs_where_only_tensorflow_is_installed(exported, videos, tmp_path):
    _, folder, _ = exported
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    constraints = pathlib.Path(__file__).parents[2] / "constraints.txt"
    subprocess.run([python, "-m", "pip", "install", "-q", "-c", constraints, "tensorflow"], check=True)
    np.save(tmp_path / "records.npy", np.array(serialized(videos), object))
    arguments = [python, "-c", CLIENT, folder, tmp_path / "records.npy", tmp_path / "found.npz"]
    subprocess.run(list(map(str, arguments)), check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""})
    assert len(np.load(tmp_path / "found.npz", allow_pickle=True)["predictions"]) == 20
