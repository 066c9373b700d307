import json

import pydantic
import pytest
from hypothesis import given, strategies

from youtube8m_distill import config
from youtube8m_distill.errors import SettingError

VIEW = config.FrameView
NETWORK = config.network_config()
STUDENT = config.network_config(view=VIEW(frame_selection="uniform", frames_per_video=30))
MEANS = config.FeatureConfig(names=("mean_rgb", "mean_audio"), sizes=(1024, 128), frame_features=False, dtype="float32")
PAIR = {"teacher": NETWORK, "student": STUDENT}
TRAINING, DISTILLATION = config.TrainingConfig(), config.DistillationConfig()


# ---- invalid settings, by the words that the user reads --------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, options, message",
    [
        (config.FeatureConfig, dict(names=()), "feature_sizes=1024,128: give one size for each"),
        (config.FeatureConfig, dict(names=("rgb",)), "feature_sizes=1024,128: give one size for each of feature_names=rgb."),
        (config.FeatureConfig, dict(names=("rgb", "rgb")), "feature_names=rgb,rgb: contains duplicates."),
        (config.FeatureConfig, dict(sizes=(1024, 0)), "feature_sizes=1024,0: each must be a whole number above 0."),
        (config.FeatureConfig, dict(sizes=(1024, 1.5)), "sizes=1.5: must be a whole number."),
        (config.FeatureConfig, dict(names="rgb"), "names=rgb: must be a list."),
        (config.FeatureConfig, dict(dtype="uint16"), "dtype=uint16: is unknown; choose one of uint8, float32."),
        (config.FeatureConfig, dict(frame_features=False), "dtype=uint8: video-level features are stored as float32."),
        (VIEW, dict(frame_selection="best"), "frame_selection=best: is unknown; choose one of all, strided, uniform"),
        (VIEW, dict(frame_selection="uniform"), "frames_per_video=None: with frame_selection=uniform"),
        (VIEW, dict(frames_per_video=6), "frames_per_video=6: with frame_selection=all"),
        (VIEW, dict(frame_selection="strided", frames_per_video=6, every_n=2), "frames_per_video=6: with .*strided"),
        (
            VIEW,
            dict(frame_selection="first", frames_per_video=0),
            "frames_per_video=0: choose a value from 1 to 300 \\(max_video_frames\\).",
        ),
        (
            VIEW,
            dict(frame_selection="first", frames_per_video=301),
            "frames_per_video=301: choose a value from 1 to 300 \\(max_video_frames\\).",
        ),
        (VIEW, dict(frame_selection="first", frames_per_video=True), "frames_per_video=true: must be a whole number."),
        (VIEW, dict(frame_selection="strided"), "every_n=None: with frame_selection=strided"),
        (
            VIEW,
            dict(frame_selection="strided", every_n=301),
            "every_n=301: choose a value from 1 to 300 \\(max_video_frames\\).",
        ),
        (VIEW, dict(every_n=2), "every_n=2: with frame_selection=all"),
        (config.network_config, dict(model="Lstm"), "model=Lstm: is unknown; choose one of HierarchicalLstmModel, "),
        (config.network_config, dict(classifier="Moe"), "video_level_classifier_model=Moe: is unknown; choose one of Log"),
        (config.network_config, dict(num_classes=0), "num_classes=0: choose a value from 1 to 1,048,576"),
        (config.network_config, dict(moe_num_mixtures=0), "moe_num_mixtures=0: choose a value from 1"),
        (config.network_config, dict(lstm_layers=33), "lstm_layers=33: choose a value from 1 to 32."),
        (config.network_config, dict(lstm_cells="6"), "lstm_cells=6: must be a whole number."),
        (config.network_config, dict(dropout=1.0), "dropout=1.0: choose a value from 0, below 1."),
        (config.network_config, dict(frames_per_block=10_001), "frames_per_block=10001: choose a value from 1 to 10,000."),
        (config.network_config, dict(features=MEANS), "model=HierarchicalLstmModel: reads frame-level files."),
        (
            config.network_config,
            dict(model="MoeModel", features=config.FeatureConfig()),
            "model=MoeModel: reads video-level files.",
        ),
        (
            config.network_config,
            dict(model="MoeModel", view=VIEW()),
            "frame_selection: model=MoeModel sees the video's mean",
        ),
        (config.DistillationConfig, dict(student_loss=()), "student_loss: is empty; name at least one of rep,pred,ce"),
        (
            config.DistillationConfig,
            dict(student_loss=("rep", "kl")),
            "student_loss=rep,kl: 'kl' is unknown; choose among rep",
        ),
        (config.DistillationConfig, dict(student_loss=("ce", "ce")), "student_loss=ce,ce: contains duplicates."),
        (config.DistillationConfig, dict(student_loss="ce"), "student_loss=ce: must be a list."),
        (config.DistillationConfig, dict(prediction_distance="l1"), "prediction_distance=l1: is unknown; .*squared"),
        (config.DistillationConfig, dict(relation_weight=-1.0), "relation_weight=-1.0: choose a value from 0."),
        (config.DistillationConfig, dict(topk_temperature=1e-30), "topk_temperature=1e-30: choose a value from 0.001."),
        (
            config.DistillationConfig,
            dict(student_loss=("pred", "ce"), pred_weight=0.0, ce_weight=0.0),
            "pred_weight=0.0: leaves nothing to train: give a term of student_loss=pred,ce a weight above 0.",
        ),
        (config.DistillationConfig, dict(rep_scale="mean"), "rep_scale=mean: is unknown; choose one of none, dimension."),
        (config.DistillationConfig, dict(rep_weight=-1.0), "rep_weight=-1.0: choose a value from 0."),
        (config.DistillationConfig, dict(share_classifier=False, freeze_classifier=True), "so it needs share_classifier."),
        (config.DistillationConfig, dict(share_classifier=1), "share_classifier=1: must be true or false."),
        (config.TrainingConfig, dict(optimizer="Adam"), "optimizer=Adam: is unknown; choose one of AdamOptimizer, Gradient"),
        (config.TrainingConfig, dict(batch_size=0), "batch_size=0: choose a value from 1."),
        (config.TrainingConfig, dict(max_steps=0), "max_steps=0: choose a value from 1."),
        (config.TrainingConfig, dict(seed=2**31), "seed=2147483648: choose a value from 0 to 2,147,483,647"),
        (config.TrainingConfig, dict(base_learning_rate=0), "base_learning_rate=0: choose a value above 0."),
        (config.TrainingConfig, dict(base_learning_rate=float("nan")), "base_learning_rate=nan: must be a finite number."),
        (
            config.TrainingConfig,
            dict(learning_rate_decay=1.01),
            "learning_rate_decay=1.01: choose a value above 0, at most 1.",
        ),
        (config.TrainingConfig, dict(epochs=1), "epochs: TrainingConfig has no such field."),
    ],
)
def test_an_invalid_setting_is_reported_with_its_name_and_value(kind, options, message):
    with pytest.raises(SettingError, match=message):
        kind(**options)


def video_level(model="MoeModel", **options):
    return config.network_config(model, **options)


@pytest.mark.parametrize(
    "mode, networks, distillation, message",
    [
        ("student", PAIR, DISTILLATION, "mode=student: is unknown; choose one of teacher, serial, parallel."),
        ("teacher", PAIR, None, "mode=teacher: has the networks teacher. Received: student, teacher."),
        ("serial", {"teacher": NETWORK}, DISTILLATION, "mode=serial: has the networks student, teacher. Received: teacher."),
        ("teacher", {"teacher": NETWORK}, DISTILLATION, "mode=teacher: a teacher has no distillation settings"),
        ("serial", PAIR, None, "mode=serial: .* a student needs them"),
        ("serial", {"teacher": video_level(), "student": STUDENT}, DISTILLATION, "distillation is over frames"),
        ("parallel", PAIR, config.DistillationConfig(freeze_classifier=True), "freeze_classifier=true: in mode=parallel"),
        (
            "parallel",
            PAIR,
            config.DistillationConfig(student_loss=("rep",), share_classifier=False),
            "student_loss=rep: without share",
        ),
    ],
)
def test_contradictory_runs_are_refused(mode, networks, distillation, message):
    with pytest.raises(SettingError, match=message):
        config.RunConfig(mode=mode, networks=networks, training=TRAINING, distillation=distillation)


@pytest.mark.parametrize("mode", ["serial", "parallel"])
def test_relations_need_three_videos_in_a_batch(mode):
    distillation = config.DistillationConfig(student_loss=("relation", "ce"))

    def run(batch_size):
        training = TRAINING.replace(batch_size=batch_size)
        return config.RunConfig(mode=mode, networks=PAIR, training=training, distillation=distillation)

    with pytest.raises(SettingError, match="batch_size=2: is too small for the term relation"):
        run(2)
    assert run(3).training.batch_size == 3


@pytest.mark.parametrize(
    "mode, student",
    [("teacher", None), ("serial", STUDENT.with_view(config.FrameView(frame_selection="first", frames_per_video=6)))],
)
def test_jitter_is_refused_if_no_network_that_is_trained_has_spans(mode, student):
    training = TRAINING.replace(jitter_frames=True)
    networks = {"teacher": NETWORK if student is None else STUDENT} | ({"student": student} if student else {})
    with pytest.raises(
        SettingError, match="jitter_frames=true: has an effect only on networks with frame_selection=uniform"
    ):
        config.RunConfig(mode=mode, networks=networks, training=training, distillation=DISTILLATION if student else None)


@pytest.mark.parametrize(
    "name, value", [("moe_prob_gating", True), ("moe_num_mixtures", 3), ("lstm_cells", 6), ("lstm_layers", 1)]
)
def test_parallel_teacher_and_student_have_one_family_and_size(name, value):
    words = f"{name}=.* for the student, and .* for the teacher: in mode=parallel.* use mode=serial"
    with pytest.raises(SettingError, match=words):
        config.RunConfig(
            mode="parallel",
            networks={"teacher": NETWORK, "student": STUDENT.replace(**{name: value})},
            training=TRAINING,
            distillation=DISTILLATION,
        )


@pytest.mark.parametrize(
    "name, value", [("num_classes", 5), ("features", config.FeatureConfig(names=("audio", "rgb"), sizes=(128, 1024)))]
)
def test_teacher_and_student_have_the_same_classes_and_features(name, value):
    with pytest.raises(SettingError, match=f"{name}=.* for the teacher: both must have the same classes and features"):
        config.RunConfig(
            mode="serial",
            networks={"teacher": NETWORK, "student": STUDENT.replace(**{name: value})},
            training=TRAINING,
            distillation=config.DistillationConfig(student_loss=("pred",), share_classifier=False),
        )


def test_a_parallel_teacher_and_student_share_the_kind_of_classifier():
    student = config.network_config(view=VIEW(frame_selection="uniform", frames_per_video=30), classifier="LogisticModel")
    with pytest.raises(SettingError, match="classifier=LogisticModel: for the student, and MoeModel for the teacher"):
        config.RunConfig(
            mode="parallel", networks={"teacher": NETWORK, "student": student}, training=TRAINING, distillation=DISTILLATION
        )


@pytest.mark.parametrize("options", [dict(lstm_cells=6), dict(lstm_layers=1), dict(moe_prob_gating=True)])
def test_a_classifier_is_shared_only_by_equal_classifiers_of_encodings_of_equal_size(options):
    networks = {"teacher": NETWORK, "student": STUDENT.replace(**options)}
    with pytest.raises(SettingError, match="share_classifier=true: needs equal encoding sizes and classifiers: the student"):
        config.RunConfig(mode="serial", networks=networks, training=TRAINING, distillation=DISTILLATION)
    own = config.DistillationConfig(share_classifier=False)
    config.RunConfig(mode="serial", networks=networks, training=TRAINING, distillation=own)


OTHER_FAMILY = config.network_config("DbofModel", view=VIEW(frame_selection="uniform", frames_per_video=30))
OF_MEANS = config.network_config("FrameLevelLogisticModel")


@pytest.mark.parametrize(
    "mode, networks, more, words",
    [
        ("parallel", PAIR, {}, "needs a teacher that is trained: choose mode=serial"),
        ("serial", PAIR, {"init_from": "runs/x"}, "contradicts init_from=runs/x: the encoder starts from one of the two"),
        ("serial", {**PAIR, "student": STUDENT.replace(lstm_cells=6)}, {}, "both networks have: lstm_cells is 6 in the stu"),
        ("serial", {**PAIR, "student": OTHER_FAMILY}, {}, "model is DbofModel in the student, Hierarch"),
        (
            "serial",
            {"teacher": OF_MEANS, "student": OF_MEANS},
            {},
            "needs an encoder with weights that both networks have[.]",
        ),
    ],
)
def test_an_encoder_starts_only_from_a_trained_one_of_the_same_shape(mode, networks, more, words):
    same = mode == "parallel" or "init_from" in more or networks["student"] is OF_MEANS
    own = config.DistillationConfig(student_loss=("pred", "ce"), start_from_teacher=True, share_classifier=same)
    with pytest.raises(SettingError, match=f"start_from_teacher=true: .*{words}"):
        config.RunConfig(mode=mode, networks=networks, training=TRAINING, distillation=own, **more)


@pytest.mark.parametrize(
    "options, words", [(dict(lstm_cells=6), "6 in the student, 1024"), (dict(lstm_layers=1), "1 in the")]
)
def test_intermediate_states_match_only_between_networks_of_the_same_sizes(options, words):
    distillation = config.DistillationConfig(share_classifier=False, match_intermediate=True)
    networks = {"teacher": NETWORK, "student": STUDENT.replace(**options)}
    with pytest.raises(SettingError, match=f"match_intermediate=true: needs two HierarchicalLstmModels .*: {words}"):
        config.RunConfig(mode="serial", networks=networks, training=TRAINING, distillation=distillation)


@pytest.mark.parametrize(
    "mode, distillation",
    [
        ("serial", config.DistillationConfig(freeze_classifier=True)),
        ("serial", config.DistillationConfig(student_loss=("rep",), share_classifier=False)),
        ("parallel", config.DistillationConfig(student_loss=("rep",))),
        ("parallel", config.DistillationConfig(student_loss=("ce", "rep"), share_classifier=False)),
    ],
)
def test_similar_runs_are_allowed(mode, distillation):
    student = STUDENT.replace(dropout=0.0, frames_per_block=6)
    assert (
        config.RunConfig(
            mode=mode, networks={"teacher": NETWORK, "student": student}, training=TRAINING, distillation=distillation
        ).mode
        == mode
    )


# ---- what follows from the settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view, max_frames, frames_per_block",
    [
        (VIEW(), 300, 20),
        (VIEW(frame_selection="uniform", frames_per_video=30), 30, 5),
        (VIEW(frame_selection="random", frames_per_video=20), 20, 5),
        (VIEW(frame_selection="first", frames_per_video=6), 6, 3),
        (VIEW(frame_selection="last", frames_per_video=300), 300, 20),
        (VIEW(frame_selection="middle", frames_per_video=1), 1, 3),
        (VIEW(frame_selection="first_middle_last", frames_per_video=9), 9, 3),
        (VIEW(frame_selection="strided", every_n=1), 300, 20),
        (VIEW(frame_selection="strided", every_n=7), 43, 3),
        (VIEW(frame_selection="strided", every_n=300), 1, 3),
    ],
)
def test_padded_length_and_block_length_follow_from_the_selection(view, max_frames, frames_per_block):
    network = config.network_config(view=view)
    assert view.max_frames == network.max_frames == max_frames
    assert network.family.frames_per_block == frames_per_block


def test_a_given_block_length_stays_until_the_view_changes():
    network = STUDENT.replace(frames_per_block=6)
    assert network.family.frames_per_block == 6
    assert network.with_view(VIEW()).family.frames_per_block == 20


@pytest.mark.parametrize("model", config.VIDEO_LEVEL_MODELS)
def test_a_video_level_network_sees_one_mean(model):
    network = video_level(model)
    assert network.is_video_level and network.max_frames == 1 and network.view is None
    assert not NETWORK.is_video_level


def test_the_defaults_are_the_published_recipe():
    assert (NETWORK.model, NETWORK.classifier.model, NETWORK.classifier.moe_num_mixtures) == (
        "HierarchicalLstmModel",
        "MoeModel",
        2,
    )
    family = NETWORK.family
    assert (family.lstm_cells, family.lstm_layers, family.dropout, NETWORK.num_classes) == (1024, 2, 0.5, 3862)
    assert NETWORK.features.size == 1152
    assert (TRAINING.optimizer, TRAINING.batch_size, TRAINING.num_epochs) == ("AdamOptimizer", 256, 5)
    assert (TRAINING.base_learning_rate, TRAINING.learning_rate_decay) == (0.001, 0.95)
    assert TRAINING.learning_rate_decay_examples == 4_000_000
    assert (TRAINING.regularization_penalty, TRAINING.clip_gradient_norm) == (2.0, 1.0)
    assert (DISTILLATION.student_loss, DISTILLATION.prediction_distance) == (("rep", "pred", "ce"), "kl")
    assert (DISTILLATION.share_classifier, DISTILLATION.freeze_classifier) == (True, False)


@pytest.mark.parametrize(
    "losses, expected",
    [
        (("rep",), False),
        (("relation",), False),
        (("rep", "relation"), False),
        (("pred",), True),
        (("ce",), True),
        (("topk_logit",), True),
        (("rep", "ce"), True),
    ],
)
def test_terms_of_encodings_alone_leave_the_classifier_untrained(losses, expected):
    assert config.DistillationConfig(student_loss=losses).trains_classifier is expected


@pytest.mark.parametrize(
    "mode, main, trained",
    [
        ("teacher", "teacher", ("teacher",)),
        ("serial", "student", ("student",)),
        ("parallel", "student", ("student", "teacher")),
    ],
)
def test_a_run_knows_which_networks_it_trains(mode, main, trained):
    run = run_of(mode)
    assert (run.main_role, run.trained_roles) == (main, trained)


def test_settings_are_frozen():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        TRAINING.seed = 1


# ---- the round trip to JSON -----------------------------------------------------------------------------------------


def run_of(mode, training=TRAINING, **options):
    if mode == "teacher":
        return config.RunConfig(mode=mode, networks={"teacher": NETWORK}, training=training, **options)
    return config.RunConfig(mode=mode, networks=PAIR, training=training, distillation=DISTILLATION, **options)


@pytest.mark.parametrize(
    "run",
    [
        run_of("teacher"),
        run_of("serial", teacher_dir="runs/teacher"),
        run_of("parallel", train_data_pattern="träin*"),
        config.RunConfig(
            mode="teacher",
            networks={"teacher": video_level("LogisticModel")},
            training=TRAINING,
            validation_data_pattern="v*",
        ),
        config.RunConfig(
            mode="teacher",
            networks={"teacher": config.network_config(view=VIEW(frame_selection="strided", every_n=7))},
            training=TRAINING,
        ),
    ],
)
def test_a_run_round_trips_through_json(run):
    again = config.from_json(config.to_json(run))
    assert again == run
    assert all(isinstance(network.features.sizes, tuple) for network in again.networks.values())


@given(
    seed=strategies.integers(0, config.MAX_SEED),
    mixed=strategies.booleans(),
    rate=strategies.floats(0, exclude_min=True, allow_nan=False, allow_infinity=False),
    steps=strategies.none() | strategies.integers(1),
    losses=strategies.permutations(config.STUDENT_LOSSES),
)
def test_every_number_survives_json_exactly(seed, mixed, rate, steps, losses):
    training = config.TrainingConfig(seed=seed, mixed_precision=mixed, base_learning_rate=rate, max_steps=steps)
    run = config.RunConfig(
        mode="serial",
        networks=PAIR,
        training=training,
        distillation=config.DistillationConfig(student_loss=tuple(losses), rep_weight=rate),
    )
    assert config.from_json(config.to_json(run)) == run


def test_terms_with_weight_0_need_one_with_another_weight():
    assert config.DistillationConfig(student_loss=("pred", "ce"), pred_weight=0.0).ce_weight
    assert config.DistillationConfig(student_loss=("pred",), pred_weight=0.0, match_intermediate=True)
    with pytest.raises(SettingError, match="^pred_weight=0.0: leaves nothing to train"):
        config.DistillationConfig(student_loss=("pred",), pred_weight=0.0, intermediate_weight=0.0, match_intermediate=True)


def test_every_field_is_written():
    written = json.loads(config.to_json(run_of("serial")))
    assert written.pop("format") == config.FORMAT
    student = written["networks"]["student"]
    for settings, values in (
        (run_of("serial"), written),
        (TRAINING, written["training"]),
        (DISTILLATION, written["distillation"]),
        (STUDENT, student),
        (STUDENT.features, student["features"]),
        (STUDENT.view, student["view"]),
        (STUDENT.family, student["family"]),
        (STUDENT.classifier, student["classifier"]),
    ):
        assert set(values) == set(type(settings).model_fields) - {"max_video_frames"}  # written if it is not 300


def test_a_field_that_is_missing_takes_its_default():
    written = json.loads(config.to_json(run_of("serial")))
    del written["training"]["max_to_keep"], written["networks"]["teacher"]["view"]["every_n"]
    for name in ("relation_weight", "topk_weight", "topk_temperature", "rep_scale"):
        del written["distillation"][name]
    assert config.from_json(json.dumps(written)) == run_of("serial")


FORMAT_2 = {
    "format": 2,
    "mode": "serial",
    "train_data_pattern": "train*",
    "validation_data_pattern": "",
    "teacher_dir": "runs/teacher",
    "pca_eigenvalues": "",
    "init_from": "",
    "teacher_targets_dir": "",
    "train_files": "2 file(s)",
    "teacher_weights": "step 7",
    "init_weights": "",
    "teacher_targets": "",
    "training": {"batch_size": 32, "seed": 3, "max_steps": None},
    "distillation": {"student_loss": ["rep", "ce"], "match_intermediate": True},
    "networks": {
        role: {
            "model": "HierarchicalLstmModel",
            "num_classes": 7,
            "features": {"names": ["rgb", "audio"], "sizes": [6, 3], "frame_features": True, "dtype": "uint8"},
            "frames": {"frame_selection": selection, "frames_per_video": k, "every_n": None},
            "classifier": "MoeModel",
            "dropout": 0.5,
            "moe_num_mixtures": 3,
            "moe_l2": 1e-8,
            "moe_prob_gating": False,
            "lstm_cells": 4,
            "lstm_layers": 1,
            "frames_per_block": block,
        }
        for role, selection, k, block in (("teacher", "all", None, 15), ("student", "uniform", 4, 3))
    },
}


def test_a_configuration_of_format_2_is_read():
    run = config.from_json(json.dumps(FORMAT_2))
    student = config.network_config(
        num_classes=7,
        features=config.FeatureConfig(sizes=(6, 3)),
        view=VIEW(frame_selection="centered", frames_per_video=4),  # called uniform then
        lstm_cells=4,
        lstm_layers=1,
        moe_num_mixtures=3,
    )
    assert run.networks == {"student": student, "teacher": student.replace(view=VIEW(), frames_per_block=15)}
    assert run.training == config.TrainingConfig(batch_size=32, seed=3)
    assert run.distillation == config.DistillationConfig(student_loss=("rep", "ce"), match_intermediate=True)
    assert (run.teacher_dir, run.teacher_weights) == ("runs/teacher", "step 7")
    assert config.from_json(config.to_json(run)) == run


def test_uniform_frames_of_format_3_are_those_that_are_now_called_centered():
    written = json.loads(config.to_json(run_of("serial")))
    assert written["networks"]["student"]["view"]["frame_selection"] == "uniform"
    run = config.from_json(json.dumps({**written, "format": 3}))
    assert run.networks["student"].view.frame_selection == "centered"
    assert run.networks["teacher"] == run_of("serial").networks["teacher"]


def test_a_video_level_configuration_of_format_2_is_read():
    network = {
        "model": "MoeModel",
        "num_classes": 5,
        "frames": None,
        "classifier": "MoeModel",
        "moe_num_mixtures": 2,
        "features": {"names": ["mean_rgb"], "sizes": [6], "frame_features": False, "dtype": "float32"},
    }
    run = config.from_json(json.dumps({"format": 2, "mode": "teacher", "networks": {"teacher": network}, "training": {}}))
    assert run.networks["teacher"].view is None and run.networks["teacher"].features.size == 6


def damaged(*path, **values):
    """The JSON of a serial run with some values of one object replaced; `...` removes them."""
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


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", 'expected "format": 4'),
        ("{}", 'expected "format": 4'),
        (damaged(format=1), 'expected "format": 4'),
        (damaged(format=True), 'expected "format": 4'),
        ('{"format": 3, "format": 3}', "contains duplicates"),
        ('{"format": 2}', "its networks are missing or malformed"),
        ('{"format": 2, "networks": {"teacher": 5}}', "its networks are missing or malformed .*not int"),
        ('{"format": 2, "networks": {"teacher": {"features": 5}}}', "not a run configuration"),
        ('{"format": 2, "networks": {"teacher": {"cells": 5}}}', "cells=5: has no effect with"),
        (damaged(color=1), "color: RunConfig has no such field."),
        (damaged(mode=...), "mode: is missing in RunConfig."),
        (damaged(training=...), "training: is missing in RunConfig."),
        (damaged(training=None), "training=None: must be an object."),
        (damaged(networks=[]), r"networks=: must be an object."),
        (damaged("networks", student=5), "student=5: must be an object."),
        (damaged("networks", student=...), "mode=serial: has the networks student, teacher. Received: teacher."),
        (damaged("networks", "student", cells=6), "cells: NetworkConfig has no such field."),
        (damaged("networks", "student", "family", cells=6), "cells: HRNNSettings has no such field."),
        (damaged("networks", "student", "family", model="Lstm"), "model=Lstm: is unknown; choose one of Hier"),
        (damaged("networks", "student", "family", model=...), "family=.*: must be"),
        (damaged("networks", "student", "family", lstm_cells="1024"), "lstm_cells=1024: must be a whole number."),
        (damaged("networks", "student", "family", lstm_cells=1024.0), "lstm_cells=1024.0: must be a whole number."),
        (damaged("networks", "student", "family", dropout="0.5"), "dropout=0.5: must be a finite number."),
        (damaged("networks", "student", features="rgb"), "features=rgb: must be an object."),
        (damaged("networks", "student", "features", sizes=[1024, "128"]), "sizes=128: must be a whole number."),
        (damaged("networks", "student", "view", frames_per_video="30"), "frames_per_video=30: must be a whole"),
        (damaged("training", mixed_precision=0), "mixed_precision=0: must be true or false."),
        (damaged("training", base_learning_rate=float("inf")), "base_learning_rate=inf: must be a finite number."),
        (damaged("distillation", student_loss="rep"), "student_loss=rep: must be a list."),
        (damaged(distillation=None), "mode=serial: .* a student needs them"),
        (damaged(teacher_dir=None), "teacher_dir=None: must be text."),
        (damaged(mode="x" * 1000), "mode=x{100}[.]{3}: is unknown"),
    ],
)
def test_invalid_json_is_refused_by_the_name_of_the_field(text, message):
    with pytest.raises(ValueError, match=message):
        config.from_json(text)


def test_settings_of_views_are_written_as_before_max_video_frames_existed():
    assert VIEW().to_dict() == {"frame_selection": "all", "frames_per_video": None, "every_n": None}
    longer = config.network_config(view=VIEW(max_video_frames=600))
    assert longer.to_dict()["view"]["max_video_frames"] == longer.max_frames == 600
    assert (
        longer.settings()["frames_per_block"] == 20
        and VIEW(frame_selection="strided", every_n=7, max_video_frames=600).max_frames == 86
    )
    assert set(config.Reading().to_dict()) == {"label_key", "pad_missing_features", "feature_dtype"}
    assert config.Reading(segment_labels=True).to_dict()["segment_labels"]
