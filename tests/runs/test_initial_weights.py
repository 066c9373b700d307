import logging

import numpy as np
import pytest

from tests import commands, networks, tiny_training
from youtube8m_distill import config
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.runs import initial_weights
from youtube8m_distill.schemes.build import build_student

LABELS_AND_PREDICTIONS = ("pred", "ce")


@pytest.fixture(autouse=True)
def logged(caplog):
    """Records that are logged at INFO and above."""
    caplog.set_level(logging.INFO)


@pytest.fixture
def quick_encoder(monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    monkeypatch.setattr(config.FAMILY_OF["NeXtVLADModel"], "build_encoder", lambda *_: commands.QuickEncoder())


def run_config(folder, network, mode="teacher", student=None, share=True, **settings):
    """A RunConfig of one network or of a pair, that starts with the weights in a folder."""
    pair = {"teacher": network} if mode == "teacher" else {"teacher": network, "student": student or network}
    distillation = (
        None if mode == "teacher" else config.DistillationConfig(student_loss=LABELS_AND_PREDICTIONS, share_classifier=share)
    )
    return config.RunConfig(
        mode=mode,
        networks=pair,
        training=config.TrainingConfig(),
        distillation=distillation,
        init_from=str(folder or ""),
        **settings,
    )


def start(configuration):
    """Networks of a new run with their initial weights, and without."""
    initial_weights.check_initial_weights(configuration)
    found = build(configuration)
    initial_weights.take_initial_weights(configuration, found)
    return found, build(configuration)


def build(configuration):
    found = {"teacher": networks.build(configuration.networks["teacher"], seed=1)}
    if "student" in configuration.networks:
        found["student"] = build_student(configuration, found["teacher"])
        if not configuration.distillation.share_classifier:
            found["student"].set_weights(tiny_training.weights(networks.build(configuration.networks["student"], seed=2)))
    return found


def source(folder, network):
    """A finished run of one network; returns the network as it was saved."""
    return commands.save_run(folder, network).load_network()[0]


def assert_equal(layers, others):
    found, expected = ([array for layer in part for array in layer.get_weights()] for part in (layers, others))
    assert found and not any(tiny_training.differ(found, expected))


def assert_untouched(layers, before, theirs):
    """The layers are as they were before, and the others' are different ones."""
    assert_equal(layers, before)
    for mine, other in zip(layers, theirs, strict=True):
        pairs = list(zip(mine.get_weights(), other.get_weights()))
        assert pairs and not any(np.array_equal(a, b) for a, b in pairs)


# ---- one network


@pytest.mark.parametrize(
    "network",
    [
        networks.frame_level("NeXtVLADModel", reverse_whitening=True),
        networks.frame_level("MixNeXtVladModel"),
        networks.frame_level("FrameLevelLogisticModel"),
        networks.video_level("MoeModel"),
    ],
    ids=lambda network: network.model,
)
def test_a_network_of_the_same_shape_loads_everything(tmp_path, network, caplog, quick_encoder):
    theirs = source(tmp_path, network)
    found, before = start(run_config(tmp_path, network))
    assert_equal([found["teacher"]], [theirs])
    assert any(tiny_training.differ(tiny_training.weights(found["teacher"]), tiny_training.weights(before["teacher"])))
    count = sum(array.size for array in theirs.get_weights())
    assert caplog.messages == [f"network: starts from {count:,} weights of the network in {tmp_path}, step 3: everything."]


def test_settings_beyond_the_shape_may_differ(tmp_path, quick_encoder, caplog):
    theirs = source(tmp_path, networks.frame_level(dtype="float32"))
    ours = networks.frame_level(
        dtype="uint8",
        view=config.FrameView(frame_selection="uniform", frames_per_video=4),
        frames_per_block=2,
        dropout=0.1,
        moe_l2=1e-3,
    )
    found, _ = start(run_config(tmp_path, ours))
    assert_equal([found["teacher"]], [theirs])
    assert caplog.messages[0].endswith(": everything.")


@pytest.mark.parametrize(
    "options, words",
    [
        ({"num_classes": 6}, "num_classes=5 there, 6 here"),
        ({"classifier": "LogisticModel"}, "video_level_classifier_model=MoeModel there, LogisticModel here"),
        ({"moe_num_mixtures": 3}, "moe_num_mixtures=2 there, 3 here"),
        ({"moe_prob_gating": True}, "moe_prob_gating=False there, True here"),
        (
            {"num_classes": 6, "classifier": "LogisticModel"},
            "num_classes=5 there, 6 here; video_level_classifier_model=MoeModel there, LogisticModel here",
        ),
    ],
)
def test_only_the_encoder_is_loaded_if_the_classifiers_differ(tmp_path, quick_encoder, options, words, caplog):
    theirs = source(tmp_path, networks.frame_level())
    found, before = start(run_config(tmp_path, networks.frame_level(**options)))
    assert_equal([found["teacher"].encoder], [theirs.encoder])
    assert_equal([found["teacher"].classifier], [before["teacher"].classifier])
    assert caplog.messages == [
        f"network: starts from 36 weights of the network in {tmp_path}, step 3: all but the classifier ({words})."
    ]


def test_a_mixture_with_other_classes_also_loads_the_gates(tmp_path, quick_encoder, caplog):
    theirs = source(tmp_path, networks.frame_level("MODNeXtVladModel"))
    found, before = start(run_config(tmp_path, networks.frame_level("MODNeXtVladModel", num_classes=6)))
    ours = found["teacher"]
    assert "all but the classifier (num_classes=5 there, 6 here)." in caplog.messages[0]
    for path, network in ours.submodels().items():
        layer = "gate" if hasattr(network, "gate") else "encoder"
        assert_equal([getattr(network, layer)], [getattr(theirs.submodel(path), layer)])
    assert_equal(ours.classifiers, before["teacher"].classifiers)


@pytest.mark.parametrize(
    "theirs, ours, words",
    [
        (networks.frame_level(), networks.frame_level(lstm_cells=6), "lstm_cells=4 there, 6 here"),
        (networks.frame_level("LstmModel"), networks.frame_level(), "model=LstmModel there, HierarchicalLstmModel here"),
        (
            networks.frame_level("MixNeXtVladModel"),
            networks.frame_level("NeXtVLADModel"),
            "model=MixNeXtVladModel there, NeXtVLADModel here",
        ),
        (
            networks.frame_level("NeXtVLADModel"),
            networks.frame_level("NeXtVLADModel", reverse_whitening=True),
            "without pca_eigenvalues there, with here",
        ),
        (
            networks.frame_level("DbofModel", dbof_activation="relu6"),
            networks.frame_level("DbofModel"),
            "dbof_activation=relu6 there, sigmoid here",
        ),
        (
            networks.frame_level("LstmModel").replace(features=config.FeatureConfig(names=("rgb",), sizes=(9,))),
            networks.frame_level("LstmModel"),
            "feature_names=rgb of 9 there, rgb,audio of 6,3 here",
        ),
        (
            networks.video_level("MoeModel"),
            networks.frame_level(),
            "feature_names=mean_rgb,mean_audio of 6,3 there, rgb,audio of 6,3 here; "
            "model=MoeModel there, HierarchicalLstmModel here",
        ),
    ],
)
def test_another_encoder_is_refused_and_the_difference_named(tmp_path, theirs, ours, words):
    commands.save_run(tmp_path, theirs)
    with pytest.raises(ValueError) as raised:
        start(run_config(tmp_path, ours))
    assert str(raised.value).startswith(f"init_from={tmp_path}: the teacher there is another network ({words}). Both")


@pytest.mark.parametrize(
    "network",
    [networks.video_level("MoeModel"), networks.frame_level("FrameLevelLogisticModel")],
    ids=lambda network: network.model,
)
def test_a_network_that_is_only_a_classifier_cannot_start_from_another_classifier(tmp_path, network):
    commands.save_run(tmp_path, network)
    with pytest.raises(ValueError, match=f"differs .num_classes=5 there, 6 here., and a {network.model} has no"):
        start(run_config(tmp_path, network.replace(num_classes=6)))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.mkdir(), "holds no config.json"),
        (lambda folder: commands.save_run(folder, networks.frame_level(), steps=()), "holds no checkpoint yet"),
    ],
    ids=["nothing", "no run", "no checkpoint"],
)
def test_a_folder_without_weights_is_refused(tmp_path, make, words):
    make(tmp_path / "source")
    with pytest.raises(ValueError, match=f"^init_from={tmp_path}/source: .*{words}"):
        initial_weights.check_initial_weights(run_config(tmp_path / "source", networks.frame_level()))
    with pytest.raises(ValueError, match=f"^init_from={tmp_path}/source: .*{words}"):
        initial_weights.has_eigenvalues(str(tmp_path / "source"))


def test_every_replica_starts_from_the_same_weights(tmp_path, quick_encoder):
    theirs = source(tmp_path, networks.frame_level())
    strategy, configuration = make_strategy(devices=tiny_training.TWO_CPUS), run_config(tmp_path, networks.frame_level())
    with strategy.scope():
        found = build(configuration)
    initial_weights.take_initial_weights(configuration, found)
    for replica in range(2):
        ours = [strategy.experimental_local_results(weight.value)[replica].numpy() for weight in found["teacher"].weights]
        tiny_training.assert_same_weights(ours, tiny_training.weights(theirs))


# ---- a student


@pytest.mark.parametrize("classes_there", [5, 6])
def test_a_student_with_its_teachers_classifier_loads_the_encoder(tmp_path, quick_encoder, classes_there, caplog):
    theirs = source(tmp_path, networks.frame_level(num_classes=classes_there))
    found, before = start(run_config(tmp_path, networks.frame_level(), "serial"))
    assert_equal([found["student"].encoder], [theirs.encoder])
    assert_equal([found["student"].classifier], [before["teacher"].classifier])
    assert_equal([found["teacher"]], [before["teacher"]])
    assert caplog.messages == [
        f"student: starts from 36 weights of the network in {tmp_path}, step 3: the encoder. The classifier "
        "comes from the teacher."
    ]


def test_a_student_mixture_loads_the_encoders_and_keeps_the_teachers_gates(tmp_path, quick_encoder):
    theirs = source(tmp_path, networks.frame_level("MixNeXtVladModel"))
    found, before = start(run_config(tmp_path, networks.frame_level("MixNeXtVladModel"), "serial"))
    assert_equal([member.encoder for member in found["student"].members], [member.encoder for member in theirs.members])
    assert_untouched(found["student"].output_layers, before["teacher"].output_layers, theirs.output_layers)


def test_a_student_with_its_own_classifier_loads_everything(tmp_path, quick_encoder, caplog):
    theirs = source(tmp_path, networks.frame_level())
    found, before = start(run_config(tmp_path, networks.frame_level(), "serial", share=False))
    assert_equal([found["student"]], [theirs])
    assert_equal([found["teacher"]], [before["teacher"]])
    assert caplog.messages[0].startswith("student: ") and caplog.messages[0].endswith(": everything.")


def test_a_student_with_its_own_classifier_and_other_classes_loads_the_encoder(tmp_path, quick_encoder, caplog):
    theirs = source(tmp_path, networks.frame_level(num_classes=6))
    found, before = start(run_config(tmp_path, networks.frame_level(), "serial", share=False))
    assert_equal([found["student"].encoder], [theirs.encoder])
    assert_equal([found["student"].classifier], [before["student"].classifier])
    assert caplog.messages[0].endswith("all but the classifier (num_classes=6 there, 5 here).")


def test_a_student_that_is_only_a_shared_classifier_has_nothing_to_load(tmp_path):
    network = networks.frame_level("FrameLevelLogisticModel")
    theirs = source(tmp_path, network)
    with pytest.raises(
        ValueError, match="^init_from=.*: has no effect, since a FrameLevelLogisticModel is only a classifier"
    ):
        start(run_config(tmp_path, network, "serial"))
    found, _ = start(run_config(tmp_path, network, "parallel"))
    assert_equal([found["student"]], [theirs])


def parallel_source(folder, network):
    """A finished parallel run; returns its networks by role."""
    run = commands.save_run(folder, network)
    (folder / "config.json").write_text(config.to_json(run_config(None, network, "parallel")))
    student = networks.build(network, seed=4, name="student")
    student.save_weights(run.weights_folder() / "student.weights.h5")
    return {"teacher": run.load_network("teacher")[0], "student": student}


def test_each_network_of_a_parallel_run_starts_from_the_same_role(tmp_path, quick_encoder, caplog):
    theirs = parallel_source(tmp_path, networks.frame_level())
    found, _ = start(run_config(tmp_path, networks.frame_level(), "parallel", share=False))
    for role in ("teacher", "student"):
        assert_equal([found[role]], [theirs[role]])
    assert [line.split(" in ")[0] for line in caplog.messages] == [
        "teacher: starts from 146 weights of the teacher",
        "student: starts from 146 weights of the student",
    ]


def test_a_shared_classifier_of_a_parallel_run_starts_from_the_teachers(tmp_path, quick_encoder, caplog):
    theirs = parallel_source(tmp_path, networks.frame_level())
    found, _ = start(run_config(tmp_path, networks.frame_level(), "parallel"))
    assert_equal([found["teacher"]], [theirs["teacher"]])
    assert_equal([found["student"].encoder], [theirs["student"].encoder])
    assert found["student"].classifier is found["teacher"].classifier
    assert caplog.messages[1].endswith("the encoder. The classifier comes from the teacher.")


def test_both_networks_of_a_parallel_run_start_from_a_single_network(tmp_path, quick_encoder):
    theirs = source(tmp_path, networks.frame_level())
    found, _ = start(run_config(tmp_path, networks.frame_level(), "parallel", share=False))
    assert_equal(found.values(), [theirs, theirs])


@pytest.mark.parametrize("mode, role, title", [("teacher", "teacher", "network"), ("serial", "student", "student")])
def test_a_network_starts_from_the_same_role_of_a_pair(tmp_path, quick_encoder, mode, role, title, caplog):
    theirs = parallel_source(tmp_path, networks.frame_level())
    found, _ = start(run_config(tmp_path, networks.frame_level(), mode, share=False))
    assert_equal([found[role]], [theirs[role]])
    assert caplog.messages[0].startswith(f"{title}: ") and f"weights of the {role} in" in caplog.messages[0]


# ---- eigenvalues


EIGENVALUES = np.array([4.0, 9.0, 0.0, 1.0, 16.0, 0.25, 7.0])  # one more than rgb has numbers
SCALE = [2.0001, 3.0001, 0.0001, 1.0001, 4.0001, 0.5001, 1.0, 1.0, 1.0]


@pytest.fixture
def eigenvalues(tmp_path):
    np.save(tmp_path / "eigenvals.npy", EIGENVALUES)
    return str(tmp_path / "eigenvals.npy")


@pytest.mark.parametrize(
    "model, mode", [("NeXtVLADModel", "teacher"), ("NeXtVLADModel", "parallel"), ("MixNeXtVladModel", "teacher")]
)
def test_eigenvalues_reach_the_preprocessing_of_every_network(eigenvalues, model, mode, quick_encoder):
    network = networks.frame_level(model, reverse_whitening=True)
    found, _ = start(run_config(None, network, mode, pca_eigenvalues=eigenvalues))
    for trained in found.values():
        np.testing.assert_allclose(trained.preprocessing.scale, SCALE, rtol=1e-6)


def test_given_eigenvalues_replace_those_of_the_source(tmp_path, eigenvalues, quick_encoder):
    network = networks.frame_level("NeXtVLADModel", reverse_whitening=True)
    theirs = source(tmp_path / "source", network)
    found, _ = start(run_config(tmp_path / "source", network, pca_eigenvalues=eigenvalues))
    np.testing.assert_allclose(found["teacher"].preprocessing.scale, SCALE, rtol=1e-6)
    assert_equal([found["teacher"].encoder], [theirs.encoder])


@pytest.mark.parametrize("whitened", [False, True])
def test_whether_a_source_has_eigenvalues(tmp_path, whitened):
    commands.save_run(tmp_path, networks.frame_level("NeXtVLADModel", reverse_whitening=whitened))
    assert initial_weights.has_eigenvalues(str(tmp_path)) is whitened
    assert initial_weights.has_eigenvalues("") is False


@pytest.mark.parametrize(
    "array, words",
    [
        (np.ones(5), "holds 5 numbers, but rgb has 6"),
        (np.ones((6, 6)), "must be of shape"),
        (-np.ones(6), "must be finite and not negative"),
        (np.array(["a"]), "must hold real numbers"),
    ],
)
def test_invalid_eigenvalues_are_refused(tmp_path, array, words):
    path = tmp_path / "eigenvals.npy"
    np.save(path, array)
    network = networks.frame_level("NeXtVLADModel", reverse_whitening=True)
    with pytest.raises(ValueError, match=f"^pca_eigenvalues={path}.*{words}"):
        initial_weights.check_initial_weights(run_config(None, network, pca_eigenvalues=str(path)))


def test_a_missing_file_of_eigenvalues_is_refused(tmp_path):
    network = networks.frame_level("NeXtVLADModel", reverse_whitening=True)
    with pytest.raises(ValueError, match=f"^pca_eigenvalues={tmp_path}/none.npy: .* is not a file"):
        initial_weights.check_initial_weights(run_config(None, network, pca_eigenvalues=f"{tmp_path}/none.npy"))


# ---- a student that starts from its teacher


@pytest.mark.parametrize("share", [True, False])
def test_a_student_starts_from_the_weights_of_its_teacher(caplog, quick_encoder, share):
    configuration = run_config("", networks.frame_level(), "serial", share=share)
    changed = configuration.distillation.replace(start_from_teacher=True)
    found, before = start(configuration.replace(distillation=changed))
    student, teacher = found["student"], found["teacher"]
    assert_equal([student.encoder], [teacher.encoder])
    if share:
        assert_equal([student], [teacher])
    else:
        assert_untouched([student.classifier], [before["student"].classifier], [teacher.classifier])
    assert caplog.messages == ["student: its encoder starts from 36 weights of the teacher."]
