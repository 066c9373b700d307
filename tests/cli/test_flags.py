import pytest

from tests import commands
from youtube8m_distill import config, schema
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli import run_config, setting_flags
from youtube8m_distill.errors import SettingError

COMMANDS = ("train", "eval", "inference", "demo", "extract")
FLAGS = commands.FLAGS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_of_ours_stands_in_exactly_one_group(command):
    with commands.fresh_flags():
        before = set(FLAGS)
        commands.defined(command)
        refused = {name for name in set(FLAGS) - before if FLAGS[name].help.startswith("Not served: ")}
        grouped = [name for names in our_flags.GROUPS.values() for name in names]
        assert sorted(grouped) == sorted(set(FLAGS) - before - refused)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_explains_itself(command):
    with commands.fresh_flags():
        commands.defined(command)
        for name in (name for names in our_flags.GROUPS.values() for name in names):
            assert FLAGS[name].help.rstrip().endswith("."), name


def test_flags_that_are_not_given_leave_the_recipe_to_the_configuration():
    with commands.parsed("train"):
        assert config.TrainingConfig(**our_flags.given(*setting_flags.training_flags())) == config.TrainingConfig()
        assert our_flags.given(*run_config.NETWORK_FLAGS) == {}
        assert our_flags.feature_config() == config.FeatureConfig()


@pytest.mark.parametrize(
    "name, given, field",
    [
        ("batch_size", 8, "batch_size"),
        ("num_epochs", 2, "num_epochs"),
        ("finetune_epochs", 3, "finetune_epochs"),
        ("max_steps", 9, "max_steps"),
        ("optimizer", "AdagradOptimizer", "optimizer"),
        ("base_learning_rate", 0.5, "base_learning_rate"),
        ("learning_rate_decay", 0.5, "learning_rate_decay"),
        ("learning_rate_decay_examples", 11, "learning_rate_decay_examples"),
        ("regularization_penalty", 0.25, "regularization_penalty"),
        ("clip_gradient_norm", 0.75, "clip_gradient_norm"),
        ("seed", 7, "seed"),
        ("mixed_precision", True, "mixed_precision"),
        ("train_fraction", 0.125, "train_fraction"),
        ("checkpoint_steps", 12, "checkpoint_steps"),
        ("validation_steps", 13, "validation_steps"),
        ("max_to_keep", 14, "max_to_keep"),
    ],
)
def test_a_training_flag_sets_its_own_field_alone(name, given, field):
    with commands.parsed("train", f"--{name}={given}"):
        found = config.TrainingConfig(**our_flags.given(*setting_flags.training_flags()))
    assert found == config.TrainingConfig(**{field: given})


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
        assert our_flags.frame_view("all") == config.FrameView(*expected)


def test_a_student_sees_30_frames_unless_told_otherwise():
    with commands.parsed("train"):
        assert our_flags.frame_view("uniform") == config.FrameView("uniform", 30)


def test_video_level_models_read_the_means():
    with commands.parsed("train", "--model=MoeModel"):
        assert our_flags.feature_config() == config.FeatureConfig(schema.VIDEO_FEATURES, (1024, 128), False, "float32")


def test_sizes_follow_from_known_names_in_their_order():
    with commands.parsed("train", "--feature_names=audio, rgb"):
        assert our_flags.feature_config().sizes == (128, 1024)


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
def test_features_that_cannot_be_are_refused_by_flag(arguments, words):
    with commands.parsed("train", *arguments), pytest.raises(ValueError) as raised:
        our_flags.feature_config()
    assert str(raised.value).startswith(words)


def test_an_error_about_a_flag_is_shown_with_its_dashes():
    with commands.parsed("train"):
        assert our_flags.flag_of(SettingError("batch_size", "is odd.", 3)) == "--batch_size=3: is odd."
        assert our_flags.flag_of(SettingError("network_size", "is odd.", 3)) == "network_size=3: is odd."
        assert our_flags.flag_of(OSError("/data/x is empty")) == "/data/x is empty"


def test_video_level_models_start_from_the_starters_recipe_and_given_flags_win():
    with commands.parsed("train", "--model=MoeModel", "--train_data_pattern=x", "--regularization_penalty=3"):
        training = run_config.config_from_flags().training
    assert (training.batch_size, training.base_learning_rate, training.regularization_penalty) == (1024, 0.01, 3.0)
