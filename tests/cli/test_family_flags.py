"""The flags of the families: what they set, and which families refuse them."""

import pytest

from tests import commands, networks
from tests.commands import FEATURES
from youtube8m_distill import config
from youtube8m_distill.cli import run_config


@pytest.fixture
def files(tmp_path):
    return commands.write_files(tmp_path / "data", "train", commands.frame_videos(4))


def asked_for(files, *arguments):
    """The RunConfig of a command line."""
    with commands.parsed("train", f"--train_data_pattern={files}", *FEATURES, *arguments):
        return run_config.from_flags()[0]


def refusal(tmp_path, files, *arguments):
    return commands.fail("train", f"--train_data_pattern={files}", f"--train_dir={tmp_path}/run", *FEATURES, *arguments)


@pytest.mark.parametrize("model", networks.TINY)
def test_the_flags_of_a_family_describe_its_network(files, model):
    sizes = [f"--{name}={value}" for name, value in networks.TINY[model].items()]
    found = asked_for(
        files, f"--model={model}", "--num_classes=5", "--frame_selection=first", "--frames_per_video=7", *sizes
    )
    assert found.networks == {"teacher": networks.frame_level(model)}
    assert found.training == config.TrainingConfig(**config.FAMILY_OF[model].training)


@pytest.mark.parametrize("flag", ["dropout", "drop_rate"])
def test_dropout_has_two_names(files, flag):
    assert asked_for(files, "--model=LstmModel", f"--{flag}=0.125").networks["teacher"].family.dropout == 0.125


def test_an_invalid_drop_rate_is_refused_as_dropout(tmp_path, files):
    assert refusal(tmp_path, files, "--drop_rate=1").startswith("Error: --dropout=1.0: choose a value from 0, below 1.")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--model=NeXtVLADModel", "--mix_number=3"), "--mix_number=3: has no effect with model=NeXtVLADModel"),
        (("--model=MixNeXtVladModel", "--mod_number=3"), "--mod_number=3: has no effect with model=MixNeXtVladModel"),
        (("--model=DbofModel", "--nolightvlad"), "--lightvlad=false: has no effect with model=DbofModel"),
        (("--model=LstmModel", "--frames_per_block=3"), "--frames_per_block=3: has no effect with model=LstmModel"),
        (
            ("--model=LstmModel", "--mode=parallel", "--student_frames_per_block=3"),
            "--student_frames_per_block: has no effect with model=LstmModel; leave it out.",
        ),
        (("--model=NeXtVLADModel", "--moe_l2=1"), "--moe_l2=1.0: has no effect with model=NeXtVLADModel"),
        (("--model=NeXtVLADModel", "--groups=5"), "--groups=5: 5 groups do not divide"),
        (
            ("--model=MoeModel", "--mode=parallel"),
            "--model=MoeModel: reads video-level files, and --mode=parallel selects frames",
        ),
    ],
)
def test_a_flag_of_another_family_is_refused(tmp_path, files, arguments, words):
    assert refusal(tmp_path, files, *arguments).startswith(f"Error: {words}")
