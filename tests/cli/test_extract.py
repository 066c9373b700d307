import pytest

from tests import commands, networks
from tests.commands import FEW_FRAMES, QUICK
from youtube8m_distill import config, runs

MIXTURE = networks.frame_level("MixNeXtVladModel")


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch):
    monkeypatch.setattr(config.FAMILY_OF["NeXtVLADModel"], "build_encoder", lambda *_: commands.QuickEncoder())


@pytest.fixture
def mixture(tmp_path):
    return commands.save_run(tmp_path / "mixture", MIXTURE, steps=(3, 9)).folder


def refusal(tmp_path, *arguments):
    before = commands.entries(tmp_path)
    line = commands.fail("extract", *arguments)
    assert commands.entries(tmp_path) == before
    return line


def test_the_command_says_what_it_took(tmp_path, mixture):
    said = commands.succeed(
        "extract", f"--train_dir={mixture}", "--submodel=1", f"--output_dir={tmp_path}/taken", "--checkpoint=3"
    )
    assert said.out == f"{tmp_path}/taken holds network 1 of the mixture in {mixture}, a NeXtVLADModel.\n"
    assert runs.open_run(tmp_path / "taken").load_network()[1].step == 3


@pytest.mark.slow
def test_what_was_taken_out_is_a_run_for_every_other_command(tmp_path, mixture):
    """It teaches, it is started from, and it predicts."""
    taken = tmp_path / "taken"
    commands.succeed("extract", f"--train_dir={mixture}", "--submodel=0", f"--output_dir={taken}", "--checkpoint=last")
    assert runs.open_run(taken).load_network()[1].step == 9
    files = commands.write_files(tmp_path / "data", "train", commands.frame_videos(8))
    train = ("train", f"--train_data_pattern={files}", *QUICK, *FEW_FRAMES, "--max_steps=1")
    commands.succeed(*train, "--mode=serial", f"--teacher_dir={taken}", f"--train_dir={tmp_path}/student")
    said = commands.succeed(
        *train,
        f"--init_from={taken}",
        f"--train_dir={tmp_path}/more",
        *commands.FEATURES,
        "--model=NeXtVLADModel",
        "--num_classes=5",
        "--nextvlad_cluster_size=4",
        "--nextvlad_hidden_size=6",
        "--groups=2",
        "--gating_reduction=2",
    )
    assert f"teacher: starts with 61 numbers of the teacher in {taken}, step 9: everything." in said.out
    commands.succeed("infer", f"--train_dir={taken}", f"--input_data_pattern={files}", f"--output_file={tmp_path}/p.csv")
    assert len(commands.read_csv(tmp_path / "p.csv")) == 8


@pytest.mark.parametrize("name", ["train_dir", "submodel", "output_dir"])
def test_a_missing_flag_is_named(tmp_path, mixture, name):
    given = {"train_dir": mixture, "submodel": "0", "output_dir": tmp_path / "taken"}
    arguments = [f"--{flag}={value}" for flag, value in given.items() if flag != name]
    assert refusal(tmp_path, *arguments) == f"Error: --{name} is missing; see --helpshort."


@pytest.mark.parametrize(
    "flag, value, words",
    [
        ("submodel", "7", "--submodel='7' is not in this mixture; choose one of 0, 1"),
        ("output_dir", "gs://bucket/taken", "--output_dir=gs://bucket/taken is not on this machine"),
        ("output_dir", "{folder}/mixture", "--output_dir={folder}/mixture is in use; name a new folder."),
        (
            "output_dir",
            "{folder}/mixture/config.json",
            "--output_dir={folder}/mixture/config.json exists and is not a folder",
        ),
        ("train_dir", "{folder}/none", "'{folder}/none' is not a training directory: it does not exist."),
        ("checkpoint", "4", "--checkpoint=4: {folder}/mixture has best, last and the steps 3, 9."),
        ("network", "student", "--network='student': the run in {folder}/mixture has trained teacher."),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(tmp_path, mixture, flag, value, words):
    given = {"train_dir": mixture, "submodel": "0", "output_dir": tmp_path / "taken", flag: value.format(folder=tmp_path)}
    line = refusal(tmp_path, *(f"--{name}={value}" for name, value in given.items()))
    assert line.startswith(f"Error: {words.format(folder=tmp_path)}")


def test_a_single_network_is_no_mixture(tmp_path):
    commands.save_run(tmp_path / "single", networks.frame_level("NeXtVLADModel"))
    line = refusal(tmp_path, f"--train_dir={tmp_path}/single", "--submodel=0", f"--output_dir={tmp_path}/taken")
    assert line.startswith(f"Error: --train_dir={tmp_path}/single: its teacher is a NeXtVLADModel, which is no mixture.")
