"""Models from strangers: loading one runs no code from it, writes nowhere but where the user says, and fails in one line."""

import ast
import contextlib
import json
import os
import pathlib
import pickle

import h5py
import numpy as np
import pytest

from tests import commands, networks
from youtube8m_distill import config, runs
from youtube8m_distill.engine import weights_file
from youtube8m_distill.families import build

ROOT = pathlib.Path(__file__).parent.parent
SOURCES = sorted((ROOT / "youtube8m_distill").rglob("*.py"))
NETWORK = networks.frame_level("FrameLevelLogisticModel", "LogisticModel")


class Evil:
    """Leaves a file behind for anyone who unpickles it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


@pytest.fixture
def run(tmp_path):
    return commands.save_run(tmp_path / "run", NETWORK)


@pytest.fixture
def weights(run):
    return run.weights_folder() / "teacher.weights.h5"


@pytest.fixture
def pattern(tmp_path):
    return commands.write_files(tmp_path / "data", "test", commands.frame_videos(3))


def refused(run, pattern, command="infer"):
    """The one line with which a command refuses a run. Nothing is written anywhere."""
    outside = run.folder.parent
    before = commands.entries(outside)
    output = {
        "infer": [f"--input_data_pattern={pattern}", f"--output_file={outside}/out.csv"],
        "eval": [f"--eval_data_pattern={pattern}", f"--output_dir={outside}/out", "--run_once"],
    }[command]
    line = commands.fail(command, f"--train_dir={run.folder}", *output)
    assert commands.entries(outside) == before and len(line) < 1000 and line.isprintable()
    return line


# ---- nothing in the package that runs code from data -----------------------------------------------------------------

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "yaml"}
FORBIDDEN_FUNCTIONS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_METHODS = {
    "Lambda",
    "system",
    "popen",
    "load_model",
    "model_from_json",
    "model_from_config",
    "enable_unsafe_deserialization",
    "extractall",
    "py_function",
    "numpy_function",
}
FORBIDDEN_ARGUMENTS = {"allow_pickle": True, "safe_mode": False, "shell": True}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_package_never_asks_for_code_from_data(path):
    # load_model is called with safe_mode=True, py_function and numpy_function with functions of this package, and yaml only
    # writes.
    allowed = {
        "saving.py": ["load_model"],
        "bad_records.py": ["py_function"],
        "copy_ahead.py": ["numpy_function"] * 2,
        "model_card.py": ["yaml"],
    }
    assert list(_dangers(path.read_text(encoding="utf-8"))) == allowed.get(path.name, [])


def test_what_is_forbidden_is_found():
    source = (
        "import pickle, os\nfrom yaml import load\nnp.load(f, allow_pickle=True)\nkeras.layers.Lambda(f)\n"
        "keras.models.load_model(f, safe_mode=False)\neval('1')\nos.system('ls')\narchive.extractall()\nnp.load(f)"
    )
    assert len(list(_dangers(source))) == 9


def _dangers(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            yield from (name for name in names if name.split(".")[0] in FORBIDDEN_MODULES)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_FUNCTIONS | FORBIDDEN_METHODS:
                yield node.func.id
            if isinstance(node.func, ast.Attribute) and node.func.attr in FORBIDDEN_METHODS:
                yield node.func.attr
            for argument in node.keywords:
                if (
                    argument.arg in FORBIDDEN_ARGUMENTS
                    and getattr(argument.value, "value", None) is FORBIDDEN_ARGUMENTS[argument.arg]
                ):
                    yield argument.arg


# ---- weights ---------------------------------------------------------------------------------------------------------


def _replace(path, make, where="layers/classifier/dense/vars/0"):
    """Puts something else in the place of one array; `make(group, name)`."""
    with h5py.File(path, "a") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        group, name = file[names[0]].parent, names[0].rpartition("/")[2]
        del group[name]
        make(group, name)


def _external_link(group, name):
    group[name] = h5py.ExternalLink("elsewhere.h5", "/a")


def _soft_link(group, name):
    group[name] = h5py.SoftLink("/layers")


def _external_storage(group, name):
    group.create_dataset(name, (9, 5), "f4", external=[("/etc/passwd", 0, 180)])


def _virtual(group, name):
    layout = h5py.VirtualLayout((9, 5), "f4")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "/a", (9, 5))
    group.create_virtual_dataset(name, layout)


def _huge(group, name):
    group.create_dataset(name, (2**40, 2**10), "f4", chunks=(2**10, 2**10))


def _huge_in_one_piece(group, name):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((2**20, 2**20)), plist)


def _compressed(group, name):
    group.create_dataset(name, data=np.zeros((9, 5), "f4"), compression="gzip")


def _texts(group, name):
    group[name] = [pickle.dumps(Evil("/tmp/evil")).hex()]


def _nothing(group, name):
    group[name] = h5py.Empty("f4")


def _itself(group, name):
    group[name] = group.file["/"]


HOSTILE_WEIGHTS = {
    _external_link: "is a link to another place",
    _soft_link: "is a link to another place",
    _external_storage: "is not stored in one piece, as weights are",
    _virtual: "is not stored in one piece",
    _huge: "is not stored in one piece",
    _huge_in_one_piece: "its arrays are larger than the file",
    _compressed: "is not stored in one piece",
    _texts: "is not an array of floating-point numbers",
    _nothing: "is not an array of floating-point numbers|not stored",
    _itself: "do not belong together",
}


@pytest.mark.parametrize("make", HOSTILE_WEIGHTS, ids=lambda make: make.__name__)
def test_weights_that_keras_would_not_write_are_refused(run, weights, pattern, make):
    _replace(weights, make)
    with pytest.raises(ValueError, match=f"teacher.weights.h5.* {HOSTILE_WEIGHTS[make]}"):
        run.load_network()
    with pytest.raises(ValueError, match="teacher.weights.h5"):
        weights_file.load_weights(build.build_model(NETWORK, name="teacher"), weights)


@pytest.mark.parametrize("command", ["infer", "eval"])
def test_a_command_refuses_hostile_weights_in_one_line(run, weights, pattern, command):
    _replace(weights, _external_link)
    assert "is a link to another place" in refused(run, pattern, command)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"x" + data[1:],
        lambda data: data[:600] + bytes(600) + data[1200:],
        lambda data: pickle.dumps(Evil(pathlib.Path("evil"))),
    ],
)
def test_damaged_weights_are_refused_by_name(run, weights, change, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    weights.write_bytes(change(weights.read_bytes()))
    with pytest.raises(ValueError, match="teacher.weights.h5"):
        run.load_network()
    assert not (tmp_path / "evil").exists()


def test_pickled_attributes_stay_bytes(run, weights, tmp_path):
    with h5py.File(weights, "a") as file:
        names = ["/"]
        file.visit(names.append)
        for name in names:
            file[name].attrs["name"] = file[name].attrs["dtype"] = np.void(pickle.dumps(Evil(tmp_path / "evil")))
    with contextlib.suppress(ValueError):
        run.load_network()
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "name",
    ["HierarchicalLstmModel", "NetVLADModelLF", "NeXtVLADModel-whitened", "MixNeXtVladModel", "DbofModel", "LogisticModel"],
)
def test_a_networks_size_is_known_before_it_is_built(tmp_path, name):
    network = networks.every_network()[name]
    model = networks.build(network)
    model.save_weights(tmp_path / "a.weights.h5")
    assert build.count_weights(network) == model.count_params() == weights_file.count_weights(tmp_path / "a.weights.h5")


@pytest.mark.parametrize("setting", [{"num_classes": 2**20}, {"features": {"sizes": [2**20, 3]}}])
def test_a_configuration_that_asks_for_more_than_was_saved_is_refused_before_it_is_built(run, pattern, setting):
    change_config(run, setting)
    assert "they do not belong together" in refused(run, pattern)


# ---- state of a training ---------------------------------------------------------------------------------------------


def test_a_pickle_in_the_training_state_is_not_run(tmp_path):
    from youtube8m_distill.engine import checkpoints

    np.savez(tmp_path / "state.npz", a=np.array([Evil(tmp_path / "evil")], object))
    with pytest.raises(ValueError, match="state.npz is damaged, or was not .*: Object arrays cannot be loaded"):
        checkpoints._read_state(tmp_path / "state.npz")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: b"x" + data[1:],
        lambda data: data[:60] + b"xxxx" + data[64:],
        lambda data: pickle.dumps(Evil(pathlib.Path("evil"))),
    ],
)
def test_a_damaged_training_state_is_refused_by_name(tmp_path, change, monkeypatch):
    from youtube8m_distill.engine import checkpoints

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "state.npz"
    np.savez(path, a=np.arange(10))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match="state.npz is damaged, or was not written by this program"):
        checkpoints._read_state(path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"step": "3"}',
        '{"step": 3, "x": 1}',
        '{"step": null}',
        "[" * 10**5,
        '{"best_value": NaN}',
        '{"pending": 1}',
    ],
)
def test_an_invalid_progress_file_is_refused_by_name(run, pattern, content):
    (run.weights_folder() / "progress.json").write_text(content)
    with pytest.raises(ValueError, match="progress.json cannot be read"):
        run.load_network()


# ---- configurations --------------------------------------------------------------------------------------------------


def change_config(run, changes, network=True):
    """Changes values in a run's config.json, of its network or at the top."""
    path = run.folder / "config.json"
    values = json.loads(path.read_text())
    place = values["networks"]["teacher"] if network else values
    for name, value in changes.items():
        place[name] = {**place[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"num_classes": 10**12}, "num_classes=1000000000000: choose a value from 1 to 1,048,576"),
        ({"num_classes": 10**400}, "num_classes=1000"),
        ({"num_classes": 1e6}, "must be a whole number"),
        ({"family": {"dropout": 10**400}}, "dropout=10"),
        ({"classifier": {"l2_penalty": float("nan")}}, "l2_penalty=nan: must be a finite number"),
        ({"classifier": {"l2_penalty": float("-inf")}}, "l2_penalty=-inf: must be"),
        ({"family": {"model": "../../evil"}}, "model=../../evil: is unknown"),
        ({"family": {"model": "Lambda\n\x1b[2J"}}, "is unknown"),
        ({"features": {"sizes": [10**12, 3]}}, "feature_sizes=1000000000000,3: each must be at most"),
        ({"features": {"names": ["\x1b[2J\nError", "\x1b[2J\nError"]}}, "contains duplicates"),
        ({"features": {"names": [f"f{i}" for i in range(99)], "sizes": [1] * 99}}, "at most 32 can be read"),
        ({"mix_number": 10**6}, "mix_number"),
        ({"import": "os"}, "import: NetworkConfig has no such field"),
        ({"module": "builtins", "class_name": "eval"}, "module: NetworkConfig has no such field"),
    ],
)
def test_hostile_settings_of_a_network_are_refused_in_one_line(run, pattern, changes, words):
    change_config(run, changes)
    assert words in refused(run, pattern)


@pytest.mark.parametrize(
    "text, words",
    [
        ("[" * 10**5, "it is nested too deep"),
        ('{"a":' * 10**5, "it is nested too deep"),
        (" " * 2**21, "are more than any has"),
        ('{"format": 2, "format": 2}', "contains duplicates"),
        ('{"format": 2, "mode": "teacher", "networks": {"../../evil": {}}, "training": {}}', "has the networks teacher"),
        ('{"format": 1' + "0" * 5000 + "}", "cannot be read"),
        ("\ufeff{}", "not JSON"),
        (b"\xff\xfe{\x00", "cannot be read"),
        (b'{"format": "\xff"}', "cannot be read"),
        ('{"format": 2, "mode": "\\ud800"}', "its networks are missing or malformed"),
        ("null", "not a run configuration"),
    ],
)
def test_hostile_texts_are_refused_in_one_line(run, pattern, text, words):
    (run.folder / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert words in refused(run, pattern)


def test_paths_in_a_configuration_lead_nowhere(run, pattern, tmp_path):
    names = (
        "train_data_pattern",
        "validation_data_pattern",
        "teacher_dir",
        "pca_eigenvalues",
        "init_from",
        "train_files",
        "teacher_weights",
        "init_weights",
        "teacher_targets",
    )
    (tmp_path / "victim").mkdir()
    change_config(run, {name: str(tmp_path / "victim" / name) for name in names}, network=False)
    before = commands.entries(run.folder)
    commands.succeed(
        "infer", f"--train_dir={run.folder}", f"--input_data_pattern={pattern}", f"--output_file={tmp_path}/out/out.csv"
    )
    assert commands.entries(run.folder) == before and not os.listdir(tmp_path / "victim")
    assert sorted(os.listdir(tmp_path)) == ["data", "out", "run", "victim"]


def test_targets_are_not_written_where_a_teachers_configuration_says(run):
    change_config(run, {"teacher_targets_dir": "/tmp/evil"}, network=False)
    with pytest.raises(ValueError, match="teacher_targets_dir=/tmp/evil: has no effect with mode=teacher"):
        runs.open_run(run.folder)


def test_names_of_features_are_looked_up_and_nothing_else():
    features = config.FeatureConfig(names=("../../evil", "/etc/passwd"), sizes=(6, 3))
    network = config.network_config("NetVLADModelLF", 5, features, netvlad_cluster_size=4, netvlad_hidden_size=5)
    assert build.build_model(network).count_params() == build.count_weights(network)
