"""Settings of each network family: published values fill in what is not given, and what a family has not is refused."""

import dataclasses

import pytest

from tests import networks
from youtube8m_distill import config
from youtube8m_distill.families.dbof import encoder as dbof

MEANS = config.FeatureConfig(("mean_rgb", "mean_audio"), (1024, 128), False, "float32")


def published(model, **options):
    """The family as published."""
    if model in config.VIDEO_LEVEL_MODELS:
        return config.NetworkConfig(model, features=MEANS, frames=None, **options)
    return config.NetworkConfig(model, **options)


# model -> classifier and some published values; sources stand in config/families.py.
PUBLISHED = {
    "HierarchicalLstmModel": ("MoeModel", {"lstm_cells": 1024, "lstm_layers": 2, "frames_per_block": 20, "dropout": 0.5,
                                           "moe_num_mixtures": 2, "moe_l2": 1e-8, "moe_prob_gating": False}),
    "NetVLADModelLF": ("MoeModel", {"netvlad_cluster_size": 256, "netvlad_hidden_size": 1024, "netvlad_relu": False,
                                    "netvlad_add_batch_norm": True, "gating": True, "gating_remove_diag": False,
                                    "lightvlad": False, "moe_l2": 1e-6, "moe_prob_gating": True, "moe_num_mixtures": 2}),
    "NeXtVLADModel": ("LogisticModel", {"nextvlad_cluster_size": 128, "nextvlad_hidden_size": 2048, "groups": 8,
                                        "expansion": 2, "gating_reduction": 8, "dropout": 0.5, "l2_penalty": 1e-5}),
    "MixNeXtVladModel": ("LogisticModel", {"mix_number": 3, "cl_temperature": 1.0, "gating_reduction": 16}),
    "MODNeXtVladModel": ("LogisticModel", {"mix_number": 3, "mod_number": 4, "nextvlad_cluster_size": 128}),
    "DbofModel": ("MoeModel", {"dbof_cluster_size": 8192, "dbof_hidden_size": 1024, "dbof_pooling_method": "max",
                               "dbof_activation": "sigmoid", "dbof_add_batch_norm": True}),
    "LstmModel": ("MoeModel", {"lstm_cells": 1024, "lstm_layers": 2, "dropout": 0.0}),
    "FrameLevelLogisticModel": ("LogisticModel", {"l2_penalty": 1e-8}),
    "LogisticModel": ("LogisticModel", {"l2_penalty": 1e-8, "dropout": None}),
    "MoeModel": ("MoeModel", {"moe_num_mixtures": 2, "moe_l2": 1e-8}),
}
TRAINING = {        # batch size, learning rate, decay, its examples, epochs, penalty
    "HierarchicalLstmModel": (256, 0.001, 0.95, 4_000_000, 5, 2.0),
    "NetVLADModelLF": (80, 0.0002, 0.8, 4_000_000, 5, 1.0),
    "NeXtVLADModel": (80, 0.0002, 0.8, 2_000_000, 5, 1.0),
    "MixNeXtVladModel": (80, 0.0002, 0.8, 2_500_000, 15, 1.0),
    "MODNeXtVladModel": (80, 0.0002, 0.8, 2_500_000, 15, 1.0),
    "DbofModel": (256, 0.01, 0.95, 4_000_000, 5, 1.0),
    "LstmModel": (256, 0.001, 0.95, 4_000_000, 5, 1.0),
    "FrameLevelLogisticModel": (256, 0.01, 0.95, 4_000_000, 5, 1.0),
    "LogisticModel": (1024, 0.01, 0.95, 4_000_000, 5, 1.0),
    "MoeModel": (1024, 0.01, 0.95, 4_000_000, 5, 1.0),
}


def test_every_family_is_told_of_here():
    assert set(PUBLISHED) == set(TRAINING) == set(config.MODELS)


@pytest.mark.parametrize("model", config.MODELS)
def test_what_is_not_given_takes_the_published_value(model):
    classifier, settings = PUBLISHED[model]
    network = published(model)
    assert network.classifier == classifier
    assert {name: getattr(network, name) for name in settings} == settings


@pytest.mark.parametrize("model", config.MODELS)
def test_a_family_has_its_own_settings_and_no_other(model):
    network = published(model)
    own = {name for name in config.SETTINGS if getattr(network, name) is not None}
    assert own == set(config.published_settings(model, network.classifier))
    for name in set(config.SETTINGS) - own:
        kind = next(field.type for field in dataclasses.fields(config.NetworkConfig) if field.name == name)
        value = {int | None: 2, float | None: 0.5, bool | None: True, str | None: "max"}[kind]
        with pytest.raises(ValueError, match=f"{name} has no effect with model={model} and the classifier"):
            published(model, **{name: value})


@pytest.mark.parametrize("model", config.MODELS)
def test_a_training_starts_from_the_published_recipe(model):
    training = config.TrainingConfig(**config.published_training(model))
    assert TRAINING[model] == (training.batch_size, training.base_learning_rate, training.learning_rate_decay,
                               training.learning_rate_decay_examples, training.num_epochs, training.regularization_penalty)


def test_a_classifier_that_is_not_the_familys_own_has_its_own_values():
    network = config.NetworkConfig("NetVLADModelLF", classifier="LogisticModel")
    assert (network.l2_penalty, network.moe_l2) == (1e-8, None)
    network = config.NetworkConfig("NeXtVLADModel", classifier="MoeModel")
    assert (network.l2_penalty, network.moe_l2, network.moe_prob_gating) == (None, 1e-8, False)


@pytest.mark.parametrize("model, options, words", [
    ("NetVLADModelLF", {"netvlad_cluster_size": 1}, "netvlad_cluster_size=1: features after the first get half"),
    ("NeXtVLADModel", {"groups": 1}, "groups=1: features after the first get half"),
    ("NeXtVLADModel", {"groups": 6}, r"groups=6 with expansion=2: rgb has 2 \* 1024 numbers, which 6 groups do not divide"),
    ("NeXtVLADModel", {"gating_reduction": 3}, "gating_reduction=3: must divide nextvlad_hidden_size=2048"),
    ("NeXtVLADModel", {"expansion": 0}, "expansion=0: must be at least 1"),
    ("MixNeXtVladModel", {"mix_number": 1}, "mix_number=1: must be at least 2"),
    ("MODNeXtVladModel", {"mod_number": 1}, "mod_number=1: must be at least 2"),
    ("MixNeXtVladModel", {"cl_temperature": -1}, "cl_temperature=-1: must be at least 0"),
    ("MixNeXtVladModel", {"classifier": "MoeModel"}, "video_level_classifier_model=MoeModel: .* mixes logits"),
    ("MoeModel", {"classifier": "LogisticModel"}, "video_level_classifier_model=LogisticModel: .* has MoeModel for itself"),
    ("DbofModel", {"dbof_pooling_method": "none"}, "dbof_pooling_method='none' is unknown; choose one of max, average"),
    ("DbofModel", {"dbof_activation": "relu"}, "dbof_activation='relu' is unknown; choose one of sigmoid, relu6"),
    ("NetVLADModelLF", {"gating": False, "moe_prob_gating": False, "gating_remove_diag": True},
     "gating_remove_diag has no effect without gating"),
    ("MixNeXtVladModel", {"cl_temperature": 0.0, "stop_mixture_gradient": True}, "stop_mixture_gradient has no effect with"),
    ("NeXtVLADModel", {"reverse_whitening": True, "features": config.FeatureConfig(("audio", "rgb"), (128, 1024))},
     "reverse_whitening with feature_names=audio,rgb: .* rgb, which must come first"),
    ("LstmModel", {"frames_per_block": 5}, "frames_per_block has no effect with model=LstmModel"),
])
def test_settings_that_cannot_be_are_refused(model, options, words):
    with pytest.raises(ValueError, match=words):
        published(model, **options)


@pytest.mark.parametrize("model", config.MODELS)
def test_every_family_comes_back_from_json(model):
    run = config.RunConfig("teacher", {"teacher": published(model)}, config.TrainingConfig())
    assert config.from_json(config.to_json(run)) == run


def test_a_mixture_is_made_of_mixtures_and_these_of_networks():
    whole = networks.frame_level("MODNeXtVladModel", cl_temperature=3.0)
    mixture = config.member_config(whole)
    assert mixture == networks.frame_level("MixNeXtVladModel", cl_temperature=3.0, gating_reduction=2)
    assert config.member_config(mixture) == networks.frame_level("NeXtVLADModel")


# ---- who may learn from whom ----------------------------------------------------------------------------------------

MOD, MIX, SINGLE = (networks.frame_level(model) for model in ("MODNeXtVladModel", "MixNeXtVladModel", "NeXtVLADModel"))
LABELS_AND_PREDICTIONS = config.DistillationConfig(("pred", "ce"), share_classifier=False)


def run_of(teacher, student, distillation, mode="serial"):
    return config.RunConfig(mode, {"teacher": teacher, "student": student}, config.TrainingConfig(), distillation)


@pytest.mark.parametrize("mode", ["serial", "parallel"])
@pytest.mark.parametrize("teacher, student", [(MOD, MIX), (MOD, SINGLE), (MIX, SINGLE)])
def test_a_mixture_teaches_what_it_is_made_of_by_its_predictions(mode, teacher, student):
    run_of(teacher, student, LABELS_AND_PREDICTIONS, mode)
    with pytest.raises(ValueError, match=f"student_loss=rep,ce: there is no one encoding between a {teacher.model} and"):
        run_of(teacher, student, config.DistillationConfig(("rep", "ce"), share_classifier=False), mode)
    with pytest.raises(ValueError, match=f"share_classifier is set, .* no one classifier between a {teacher.model} and"):
        run_of(teacher, student, config.DistillationConfig(("pred",)), mode)


@pytest.mark.parametrize("network", [MOD, MIX, SINGLE], ids=lambda network: network.model)
def test_a_network_teaches_its_own_kind_with_everything(network):
    run_of(network, dataclasses.replace(network, cl_temperature=network.cl_temperature and 5.0), config.DistillationConfig())


@pytest.mark.parametrize("teacher, student, name", [
    (SINGLE, MIX, "model"), (MIX, MOD, "model"), (MIX, networks.frame_level("LstmModel"), "model"),
    (MIX, networks.frame_level("MixNeXtVladModel", mix_number=3), "mix_number"),
    (MIX, networks.frame_level("NeXtVLADModel", groups=3, expansion=1, nextvlad_cluster_size=4), "groups"),
    (SINGLE, networks.frame_level("NeXtVLADModel", reverse_whitening=True), "reverse_whitening")])
def test_other_pairs_are_refused_by_the_setting_that_differs(teacher, student, name):
    with pytest.raises(ValueError, match=f"{name}=.* for the student and .* for the teacher"):
        run_of(teacher, student, LABELS_AND_PREDICTIONS)


@pytest.mark.parametrize("model", sorted(set(networks.TINY) - {"HierarchicalLstmModel"}))
def test_only_the_hierarchical_rnn_has_states_to_match(model):
    network = networks.frame_level(model)
    with pytest.raises(ValueError, match=f"match_intermediate has no meaning with model={model}"):
        run_of(network, network, config.DistillationConfig(match_intermediate=True))


def test_an_encoding_without_weights_cannot_be_matched_alone():
    network = networks.frame_level("FrameLevelLogisticModel")
    run_of(network, network, config.DistillationConfig(("rep", "ce")))
    with pytest.raises(ValueError, match="student_loss=rep has nothing to train: .*FrameLevelLogisticModel"):
        run_of(network, network, config.DistillationConfig(("rep",)))
    with pytest.raises(ValueError, match="freeze_classifier leaves nothing to train: .*FrameLevelLogisticModel"):
        run_of(network, network, config.DistillationConfig(("ce",), freeze_classifier=True))


def test_tables_of_options_and_of_what_serves_them_agree():
    assert set(config.POOLING_METHODS) == set(dbof.POOLINGS) and set(config.ACTIVATIONS) == set(dbof.ACTIVATIONS)
