"""Flags that several commands share, and the settings they stand for."""

import pytest

from tests import commands
from youtube8m_distill import config, schema
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli import networks, run_config, starter_flags, values
from youtube8m_distill.cli.main import COMMANDS

FLAGS = commands.FLAGS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_in_exactly_one_group(command):
    with commands.fresh_flags():
        before = set(FLAGS)
        commands.defined(command)
        unsupported = {name for name in set(FLAGS) - before if FLAGS[name].help.startswith("Not supported: ")}
        grouped = [name for names in our_flags.GROUPS.values() for name in names]
        assert sorted(grouped) == sorted(set(FLAGS) - before - unsupported - set(starter_flags.REPEATED))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_flag_is_a_sentence(command):
    with commands.fresh_flags():
        commands.defined(command)
        for name in (name for names in our_flags.GROUPS.values() for name in names):
            assert FLAGS[name].help.rstrip().endswith("."), name


def test_flags_that_are_not_given_keep_the_defaults():
    with commands.parsed("train"):
        assert values.settings_given(config.TrainingConfig) == config.TrainingConfig()
        assert values.given(*networks.NETWORK_FLAGS) == {}
        assert values.feature_config() == config.FeatureConfig()


OTHER_VALUES = {
    "batch_size": 8,
    "num_epochs": 2,
    "finetune_epochs": 3,
    "max_steps": 9,
    "optimizer": "AdagradOptimizer",
    "base_learning_rate": 0.5,
    "learning_rate_decay": 0.25,
    "learning_rate_decay_examples": 11,
    "regularization_penalty": 0.125,
    "clip_gradient_norm": 0.75,
    "seed": 7,
    "mixed_precision": True,
    "train_fraction": 0.375,
    "checkpoint_steps": 12,
    "validation_steps": 13,
    "max_to_keep": 14,
    "num_readers": 15,
}


def test_a_training_flag_sets_the_field_of_its_name():
    assert len(set(OTHER_VALUES.values())) == len(OTHER_VALUES), "a swap of two flags would show"
    with commands.parsed("train", *(f"--{name}={value}" for name, value in OTHER_VALUES.items())):
        found = values.settings_given(config.TrainingConfig)
    assert found == config.TrainingConfig(**OTHER_VALUES)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ((), ("all", None, None)),
        (("--frames_per_video=9",), ("uniform", 9, None)),
        (("--every_n=4",), ("strided", None, 4)),
        (("--frame_selection=middle",), ("middle", 30, None)),
        (("--frame_selection=first", "--frames_per_video=6"), ("first", 6, None)),
    ],
)
def test_frame_flags_complete_each_other(arguments, expected):
    with commands.parsed("train", *arguments):
        view = values.frame_view("all")
        assert (view.frame_selection, view.frames_per_video, view.every_n) == expected


def test_a_student_sees_30_frames_by_default():
    with commands.parsed("train"):
        assert values.frame_view("uniform") == config.FrameView(frame_selection="uniform", frames_per_video=30)


def test_video_level_models_read_mean_features():
    with commands.parsed("train", "--model=MoeModel"):
        assert values.feature_config() == config.FeatureConfig(
            names=schema.VIDEO_FEATURES, sizes=(1024, 128), frame_features=False, dtype="float32"
        )


def test_feature_sizes_follow_from_known_names():
    with commands.parsed("train", "--feature_names=audio, rgb"):
        assert values.feature_config().sizes == (128, 1024)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--feature_names=rgb,depth",), "feature_sizes: is needed for depth"),
        (("--feature_sizes=big,128",), "feature_sizes=big,128: give whole numbers"),
        (("--feature_sizes=1024",), "feature_sizes=1024: give one size for each"),
        (("--frame_features", "--model=MoeModel"), "frame_features=true: MoeModel reads video-level files"),
        (("--noframe_features",), "frame_features=false: HierarchicalLstmModel reads frame-level files"),
    ],
)
def test_invalid_features_are_refused_by_flag(arguments, words):
    with commands.parsed("train", *arguments), pytest.raises(ValueError) as raised:
        values.feature_config()
    assert str(raised.value).startswith(words)


def test_flags_override_the_published_recipe_of_a_model():
    with commands.parsed("train", "--model=MoeModel", "--train_data_pattern=x", "--regularization_penalty=3"):
        training = run_config.from_flags()[0].training
    assert (training.batch_size, training.base_learning_rate, training.regularization_penalty) == (1024, 0.01, 3.0)
