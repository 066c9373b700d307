import dataclasses
import json

import pytest
from hypothesis import given, strategies

from youtube8m_distill import config

FRAMES = config.FrameConfig
NETWORK = config.NetworkConfig()
STUDENT = config.NetworkConfig(frames=FRAMES("uniform", 30))
MEANS = config.FeatureConfig(("mean_rgb", "mean_audio"), (1024, 128), False, "float32")
PAIR = {"teacher": NETWORK, "student": STUDENT}
TRAINING, DISTILLATION = config.TrainingConfig(), config.DistillationConfig()


def video_level(model="MoeModel", **options):
    return config.NetworkConfig(model, features=MEANS, frames=None, **options)


# ---- what is refused, by the words that the user reads --------------------------------------------------------------

@pytest.mark.parametrize("kind, options, message", [
    (config.FeatureConfig, dict(names=()), "feature_names= and feature_sizes=1024,128: give one size for each name"),
    (config.FeatureConfig, dict(names=("rgb",)), "feature_names=rgb and feature_sizes=1024,128: give one size"),
    (config.FeatureConfig, dict(names=("rgb", "rgb")), "feature_names=rgb,rgb: a name stands twice"),
    (config.FeatureConfig, dict(sizes=(1024, 0)), "feature_sizes=1024,0: each must be a whole number above 0"),
    (config.FeatureConfig, dict(sizes=(1024, 1.5)), r"sizes=\(1024, 1.5\): must be a list of whole numbers"),
    (config.FeatureConfig, dict(names="rgb"), "names='rgb': must be a list of names"),
    (config.FeatureConfig, dict(dtype="uint16"), "dtype='uint16' is unknown; choose one of uint8, float32"),
    (config.FeatureConfig, dict(frame_features=False), "dtype='uint8': video-level features are stored as float32"),

    (FRAMES, dict(frame_selection="best"), "frame_selection='best' is unknown; choose one of all, strided, uniform"),
    (FRAMES, dict(frame_selection="uniform"), "frames_per_video=None with frame_selection='uniform'"),
    (FRAMES, dict(frames_per_video=6), "frames_per_video=6 with frame_selection='all'"),
    (FRAMES, dict(frame_selection="strided", frames_per_video=6, every_n=2), "frames_per_video=6 with .*'strided'"),
    (FRAMES, dict(frame_selection="first", frames_per_video=0), "frames_per_video=0: choose 1 to 300"),
    (FRAMES, dict(frame_selection="first", frames_per_video=301), "frames_per_video=301: choose 1 to 300"),
    (FRAMES, dict(frame_selection="first", frames_per_video=True), "frames_per_video=True: must be a whole number"),
    (FRAMES, dict(frame_selection="strided"), "every_n=None with frame_selection='strided'"),
    (FRAMES, dict(frame_selection="strided", every_n=0), "every_n=0: choose 1 to 300"),
    (FRAMES, dict(frame_selection="strided", every_n=301), "every_n=301: choose 1 to 300"),
    (FRAMES, dict(every_n=2), "every_n=2 with frame_selection='all'"),

    (config.NetworkConfig, dict(model="Lstm"), "model='Lstm' is unknown; choose one of HierarchicalLstmModel, "),
    (config.NetworkConfig, dict(classifier="Moe"), "video_level_classifier_model='Moe' is unknown; choose one of Log"),
    (config.NetworkConfig, dict(num_classes=0), "num_classes=0: must be at least 1"),
    (config.NetworkConfig, dict(moe_num_mixtures=0), "moe_num_mixtures=0: must be at least 1"),
    (config.NetworkConfig, dict(lstm_cells=0), "lstm_cells=0: must be at least 1"),
    (config.NetworkConfig, dict(lstm_layers=0), "lstm_layers=0: must be at least 1"),
    (config.NetworkConfig, dict(lstm_cells="6"), "lstm_cells='6': must be a whole number"),
    (config.NetworkConfig, dict(dropout=1), "dropout=1: choose 0 or more, below 1"),
    (config.NetworkConfig, dict(dropout=-0.1), "dropout=-0.1: choose 0 or more"),
    (config.NetworkConfig, dict(frames_per_block=0), "frames_per_block=0: choose 1 to 300"),
    (config.NetworkConfig, dict(frames_per_block=301), "frames_per_block=301: choose 1 to 300"),
    (config.NetworkConfig, dict(frames=None), "model=HierarchicalLstmModel needs a frame selection"),
    (config.NetworkConfig, dict(features=MEANS), "model=HierarchicalLstmModel reads frame-level files"),
    (config.NetworkConfig, dict(model="MoeModel", frames=None), "model=MoeModel reads video-level files"),
    (config.NetworkConfig, dict(model="MoeModel", features=MEANS), "model=MoeModel sees the video's mean"),

    (config.DistillationConfig, dict(student_loss=()), "student_loss is empty; name at least one of rep,pred,ce"),
    (config.DistillationConfig, dict(student_loss=("rep", "kl")), "student_loss='kl' is unknown; choose one of rep"),
    (config.DistillationConfig, dict(student_loss=("ce", "ce")), "student_loss=ce,ce: a name stands twice"),
    (config.DistillationConfig, dict(student_loss="ce"), "student_loss='ce': must be a list of names"),
    (config.DistillationConfig, dict(prediction_distance="l1"), "prediction_distance='l1' is unknown; .*squared"),
    (config.DistillationConfig, dict(intermediate_reduction="max"), "intermediate_reduction='max' is unknown; .*mean"),
    *[(config.DistillationConfig, {f"{name}_weight": -1.0}, f"{name}_weight=-1.0: must be at least 0")
      for name in ("rep", "pred", "ce", "intermediate")],
    (config.DistillationConfig, dict(share_classifier=False, freeze_classifier=True), "it needs share_classifier"),
    (config.DistillationConfig, dict(share_classifier=1), "share_classifier=1: must be true or false"),

    (config.TrainingConfig, dict(optimizer="Adam"), "optimizer='Adam' is unknown; choose one of AdamOptimizer"),
    *[(config.TrainingConfig, {name: 0}, f"{name}=0: must be at least 1")
      for name in ("batch_size", "learning_rate_decay_examples", "num_epochs", "finetune_epochs", "max_to_keep",
                   "max_steps", "checkpoint_steps", "validation_steps")],
    *[(config.TrainingConfig, {name: -1}, f"{name}=-1: must be at least 0")
      for name in ("regularization_penalty", "clip_gradient_norm")],
    (config.TrainingConfig, dict(seed=-1), "seed=-1: choose 0 to 2147483647"),
    (config.TrainingConfig, dict(seed=2 ** 31), "seed=2147483648: choose 0 to 2147483647"),
    (config.TrainingConfig, dict(base_learning_rate=0), "base_learning_rate=0: must be above 0"),
    (config.TrainingConfig, dict(base_learning_rate=float("nan")), "base_learning_rate=nan: must be a finite number"),
    *[(config.TrainingConfig, {name: value}, f"{name}={value}: choose above 0, at most 1")
      for name in ("learning_rate_decay", "train_fraction") for value in (0, 1.01)],
])
def test_what_does_not_fit_is_refused_with_its_name_and_value(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**options)


@pytest.mark.parametrize("mode, networks, distillation, message", [
    ("student", PAIR, DISTILLATION, "mode='student' is unknown; choose one of teacher, serial, parallel"),
    ("teacher", PAIR, None, "mode=teacher has the networks teacher. Received: student, teacher"),
    ("serial", {"teacher": NETWORK}, DISTILLATION, "mode=serial has the networks student, teacher. Received: teacher"),
    ("teacher", {"teacher": NETWORK}, DISTILLATION, "mode=teacher: a teacher has no distillation settings"),
    ("serial", PAIR, None, "mode=serial: .* a student needs them"),
    ("serial", {"teacher": video_level(), "student": STUDENT}, DISTILLATION, "distillation is over frames"),
    ("parallel", PAIR, config.DistillationConfig(freeze_classifier=True), "freeze_classifier in mode=parallel"),
    ("parallel", PAIR, config.DistillationConfig(("rep",), share_classifier=False), "student_loss=rep without share"),
])
def test_runs_that_cannot_be_are_refused(mode, networks, distillation, message):
    with pytest.raises(ValueError, match=message):
        config.RunConfig(mode, networks, TRAINING, distillation)


@pytest.mark.parametrize("name, value", [
    ("num_classes", 5), ("moe_prob_gating", True), ("moe_num_mixtures", 3), ("lstm_cells", 6), ("lstm_layers", 1),
    ("features", config.FeatureConfig(("audio", "rgb"), (128, 1024)))])
def test_teacher_and_student_are_of_one_family_and_size(name, value):
    with pytest.raises(ValueError, match=f"{name}=.* for the student and .* for the teacher"):
        config.RunConfig("serial", {"teacher": NETWORK, "student": dataclasses.replace(STUDENT, **{name: value})},
                         TRAINING, DISTILLATION)


def test_teacher_and_student_have_classifiers_of_one_kind():
    with pytest.raises(ValueError, match="classifier='LogisticModel' for the student and 'MoeModel' for the teacher"):
        student = config.NetworkConfig(frames=FRAMES("uniform", 30), classifier="LogisticModel")
        config.RunConfig("serial", {"teacher": NETWORK, "student": student}, TRAINING, DISTILLATION)


@pytest.mark.parametrize("mode, distillation", [
    ("serial", config.DistillationConfig(freeze_classifier=True)),
    ("serial", config.DistillationConfig(("rep",), share_classifier=False)),
    ("parallel", config.DistillationConfig(("rep",))),
    ("parallel", config.DistillationConfig(("ce", "rep"), share_classifier=False)),
])
def test_their_neighbours_are_allowed(mode, distillation):
    student = dataclasses.replace(STUDENT, dropout=0.0, frames_per_block=6)
    assert config.RunConfig(mode, {"teacher": NETWORK, "student": student}, TRAINING, distillation).mode == mode


# ---- what follows from the settings ---------------------------------------------------------------------------------

@pytest.mark.parametrize("frames, max_frames, frames_per_block", [
    (FRAMES(), 300, 20), (FRAMES("uniform", 30), 30, 5), (FRAMES("random", 20), 20, 5), (FRAMES("first", 6), 6, 3),
    (FRAMES("last", 300), 300, 5), (FRAMES("middle", 1), 1, 3), (FRAMES("first_middle_last", 9), 9, 3),
    (FRAMES("strided", every_n=1), 300, 5), (FRAMES("strided", every_n=10), 30, 5),
    (FRAMES("strided", every_n=7), 43, 3), (FRAMES("strided", every_n=299), 2, 3),
    (FRAMES("strided", every_n=300), 1, 3)])
def test_padded_lengths_and_the_papers_block_lengths_follow_from_the_selection(frames, max_frames, frames_per_block):
    network = config.NetworkConfig(frames=frames)
    assert frames.max_frames == network.max_frames == max_frames
    assert network.frames_per_block == frames_per_block


def test_a_block_length_that_is_given_stays():
    assert config.NetworkConfig(frames_per_block=15).frames_per_block == 15
    assert dataclasses.replace(STUDENT, frames_per_block=6).frames_per_block == 6


@pytest.mark.parametrize("model", config.VIDEO_LEVEL_MODELS)
def test_a_video_level_network_sees_one_mean_and_has_no_blocks(model):
    network = video_level(model)
    assert network.is_video_level and network.max_frames == 1 and network.frames_per_block is None
    assert not NETWORK.is_video_level


def test_the_defaults_are_the_published_recipe():
    assert (NETWORK.model, NETWORK.classifier, NETWORK.moe_num_mixtures) == ("HierarchicalLstmModel", "MoeModel", 2)
    assert (NETWORK.lstm_cells, NETWORK.lstm_layers, NETWORK.dropout, NETWORK.num_classes) == (1024, 2, 0.5, 3862)
    assert NETWORK.features.size == 1152
    assert (TRAINING.optimizer, TRAINING.batch_size, TRAINING.num_epochs) == ("AdamOptimizer", 256, 5)
    assert (TRAINING.base_learning_rate, TRAINING.learning_rate_decay) == (0.001, 0.95)
    assert TRAINING.learning_rate_decay_examples == 4_000_000
    assert (TRAINING.regularization_penalty, TRAINING.clip_gradient_norm) == (2.0, 1.0)
    assert (DISTILLATION.student_loss, DISTILLATION.prediction_distance) == (("rep", "pred", "ce"), "kl")
    assert (DISTILLATION.share_classifier, DISTILLATION.freeze_classifier) == (True, False)


@pytest.mark.parametrize("losses, expected", [
    (("rep",), False), (("pred",), True), (("ce",), True), (("rep", "ce"), True)])
def test_rep_alone_leaves_the_classifier_untrained(losses, expected):
    assert config.DistillationConfig(losses).trains_classifier is expected


@pytest.mark.parametrize("mode, main, trained", [
    ("teacher", "teacher", ("teacher",)), ("serial", "student", ("student",)),
    ("parallel", "student", ("student", "teacher"))])
def test_a_run_knows_what_it_trains(mode, main, trained):
    run = run_of(mode)
    assert (run.main_role, run.trained_roles) == (main, trained)


def test_configurations_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TRAINING.seed = 1


# ---- the round trip to JSON -----------------------------------------------------------------------------------------

def run_of(mode, training=TRAINING, **options):
    if mode == "teacher":
        return config.RunConfig(mode, {"teacher": NETWORK}, training, **options)
    return config.RunConfig(mode, PAIR, training, DISTILLATION, **options)


@pytest.mark.parametrize("run", [
    run_of("teacher"), run_of("serial", teacher_dir="runs/teacher"), run_of("parallel", train_data_pattern="träin*"),
    config.RunConfig("teacher", {"teacher": video_level("LogisticModel")}, TRAINING, validation_data_pattern="v*"),
    config.RunConfig("teacher", {"teacher": config.NetworkConfig(frames=FRAMES("strided", every_n=7))}, TRAINING)])
def test_a_run_comes_back_from_json(run):
    again = config.from_json(config.to_json(run))
    assert again == run
    assert all(isinstance(network.features.sizes, tuple) for network in again.networks.values())


@given(seed=strategies.integers(0, config.MAX_SEED), mixed=strategies.booleans(),
       rate=strategies.floats(0, exclude_min=True, allow_nan=False, allow_infinity=False),
       steps=strategies.none() | strategies.integers(1), losses=strategies.permutations(config.STUDENT_LOSSES))
def test_every_number_survives_json_exactly(seed, mixed, rate, steps, losses):
    training = config.TrainingConfig(seed=seed, mixed_precision=mixed, base_learning_rate=rate, max_steps=steps)
    run = config.RunConfig("serial", PAIR, training, config.DistillationConfig(tuple(losses), rep_weight=rate))
    assert config.from_json(config.to_json(run)) == run


def test_every_field_is_written():
    written = json.loads(config.to_json(run_of("serial")))
    assert written.pop("format") == config.FORMAT
    for kind, values in ((config.RunConfig, written), (config.TrainingConfig, written["training"]),
                         (config.DistillationConfig, written["distillation"]),
                         (config.FeatureConfig, written["networks"]["student"]["features"]),
                         (FRAMES, written["networks"]["teacher"]["frames"])):
        assert set(values) == {field.name for field in dataclasses.fields(kind)}
    network = {name: value for name, value in vars(STUDENT).items() if value is not None}
    assert set(written["networks"]["student"]) == set(network)


def test_a_field_that_an_older_file_lacks_takes_its_default():
    written = json.loads(config.to_json(run_of("serial")))
    del written["training"]["max_to_keep"], written["networks"]["teacher"]["frames"]["every_n"]
    assert config.from_json(json.dumps(written)) == run_of("serial")


def damaged(*path, **values):
    """The JSON of a serial run with some values of one object replaced; `...` takes them out."""
    written = json.loads(config.to_json(run_of("serial")))
    place = written
    for key in path:
        place = place[key]
    for key, value in values.items():
        if value is ...:
            del place[key]
        else:
            place[key] = value
    return json.dumps(written)


@pytest.mark.parametrize("text, message", [
    ("", "not JSON"), ("{", "not JSON"), ("[]", 'expected "format": 2'), ("{}", 'expected "format": 2'),
    (damaged(format=1), 'expected "format": 2'),
    (damaged(colour=1), "RunConfig has no field colour"),
    (damaged(mode=...), "RunConfig lacks mode"),
    (damaged(training=..., networks=...), "RunConfig lacks networks, training"),
    (damaged(training=None), "training=None: must be TrainingConfig"),
    (damaged(training=[]), r"training=\[\]: must be TrainingConfig"),
    (damaged(networks=[]), r"networks=\[\]: must be dict"),
    (damaged("networks", student=5), "networks=.*must be dict"),
    (damaged("networks", student=...), "mode=serial has the networks student, teacher. Received: teacher"),
    (damaged("networks", "student", cells=6), "NetworkConfig has no field cells"),
    (damaged("networks", "student", lstm_cells="1024"), "lstm_cells='1024': must be a whole number"),
    (damaged("networks", "student", lstm_cells=1024.0), "lstm_cells=1024.0: must be a whole number"),
    (damaged("networks", "student", lstm_cells=True), "lstm_cells=True: must be a whole number"),
    (damaged("networks", "student", dropout="0.5"), "dropout='0.5': must be a finite number"),
    (damaged("networks", "student", features="rgb"), "features='rgb': must be FeatureConfig"),
    (damaged("networks", "student", "features", sizes=[1024, "128"]), "sizes=.*must be a list of whole numbers"),
    (damaged("networks", "student", "features", kind="x"), "FeatureConfig has no field kind"),
    (damaged("networks", "student", "frames", frames_per_video="30"), "frames_per_video='30': must be a whole"),
    (damaged("networks", "student", "frames", stride=2), "FrameConfig has no field stride"),
    (damaged("training", seed="0"), "seed='0': must be a whole number"),
    (damaged("training", mixed_precision=0), "mixed_precision=0: must be true or false"),
    (damaged("training", base_learning_rate=float("inf")), "base_learning_rate=inf: must be a finite number"),
    (damaged("distillation", student_loss="rep"), "student_loss='rep': must be a list of names"),
    (damaged(distillation=None), "mode=serial: .* a student needs them"),
    (damaged(teacher_dir=None), "teacher_dir=None: must be text"),
])
def test_json_that_is_no_run_is_refused_by_name(text, message):
    with pytest.raises(ValueError, match=message):
        config.from_json(text)
