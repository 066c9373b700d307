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


def test_the_command_reports_what_it_extracted(tmp_path, mixture):
    ended = commands.succeed(
        "extract", f"--train_dir={mixture}", "--submodel=1", f"--output_dir={tmp_path}/extracted", "--checkpoint=3"
    )
    assert ended.out == f"{tmp_path}/extracted holds network 1 of the mixture in {mixture}, a NeXtVLADModel.\n"
    assert runs.open_run(tmp_path / "extracted").load_network()[1].step == 3


@pytest.mark.slow
def test_an_extracted_network_works_with_every_other_command(tmp_path, mixture):
    """It teaches a student, initializes another run, and predicts."""
    extracted = tmp_path / "extracted"
    commands.succeed("extract", f"--train_dir={mixture}", "--submodel=0", f"--output_dir={extracted}", "--checkpoint=last")
    assert runs.open_run(extracted).load_network()[1].step == 9
    files = commands.write_files(tmp_path / "data", "train", commands.frame_videos(8))
    train = ("train", f"--train_data_pattern={files}", *QUICK, *FEW_FRAMES, "--max_steps=1")
    commands.succeed(*train, "--mode=serial", f"--teacher_dir={extracted}", f"--train_dir={tmp_path}/student")
    ended = commands.succeed(
        *train,
        f"--init_from={extracted}",
        f"--train_dir={tmp_path}/more",
        *commands.FEATURES,
        "--model=NeXtVLADModel",
        "--num_classes=5",
        "--nextvlad_cluster_size=4",
        "--nextvlad_hidden_size=6",
        "--groups=2",
        "--gating_reduction=2",
    )
    assert f"network: starts from 61 weights of the network in {extracted}, step 9: everything." in ended.out
    commands.succeed("infer", f"--train_dir={extracted}", f"--input_data_pattern={files}", f"--output_file={tmp_path}/p.csv")
    assert len(commands.read_csv(tmp_path / "p.csv")) == 8


@pytest.mark.parametrize(
    "flag, value, words",
    [
        ("submodel", "7", "--submodel=7: is not in this mixture; choose one of 0, 1"),
        ("output_dir", "gs://bucket/extracted", "--output_dir=gs://bucket/extracted: is not on this machine"),
        ("output_dir", "{folder}/mixture", "--output_dir={folder}/mixture: is in use; name a new folder."),
        (
            "output_dir",
            "{folder}/mixture/config.json",
            "--output_dir={folder}/mixture/config.json: exists and is not a folder",
        ),
        ("train_dir", "{folder}/none", "'{folder}/none' is not a training directory: it does not exist."),
        ("checkpoint", "4", "--checkpoint=4: {folder}/mixture has best, last and the steps 3, 9."),
        ("network", "student", "--network=student: the run in {folder}/mixture has only teacher."),
    ],
)
def test_an_invalid_request_is_refused_in_one_line(tmp_path, mixture, flag, value, words):
    given = {
        "train_dir": mixture,
        "submodel": "0",
        "output_dir": tmp_path / "extracted",
        flag: value.format(folder=tmp_path),
    }
    line = refusal(tmp_path, *(f"--{name}={value}" for name, value in given.items()))
    assert line.startswith(f"Error: {words.format(folder=tmp_path)}")


def test_a_single_network_is_refused(tmp_path):
    commands.save_run(tmp_path / "single", networks.frame_level("NeXtVLADModel"))
    line = refusal(tmp_path, f"--train_dir={tmp_path}/single", "--submodel=0", f"--output_dir={tmp_path}/extracted")
    assert line.startswith(f"Error: --train_dir={tmp_path}/single: its teacher is a NeXtVLADModel, not a mixture.")
