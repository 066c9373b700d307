"""Settings of each network family: defaults are the published values, and unknown settings are errors."""

import subprocess
import sys
from typing import get_args

import pytest

from tests import networks
from youtube8m_distill import config
from youtube8m_distill.errors import SettingError
from youtube8m_distill.families import CLASSIFIERS, FAMILIES
from youtube8m_distill.families.dbof import encoder as dbof
from youtube8m_distill.families.dbof.settings import DBoFSettings

# model -> classifier and some published values; the sources are in families/*/settings.py.
PUBLISHED = {
    "HierarchicalLstmModel": (
        "MoeModel",
        {
            "lstm_cells": 1024,
            "lstm_layers": 2,
            "frames_per_block": 20,
            "dropout": 0.5,
            "moe_num_mixtures": 2,
            "moe_l2": 1e-8,
            "moe_prob_gating": False,
        },
    ),
    "NetVLADModelLF": (
        "MoeModel",
        {
            "netvlad_cluster_size": 256,
            "netvlad_hidden_size": 1024,
            "netvlad_relu": False,
            "netvlad_add_batch_norm": True,
            "gating": True,
            "gating_remove_diag": False,
            "lightvlad": False,
            "moe_l2": 1e-6,
            "moe_prob_gating": True,
            "moe_num_mixtures": 2,
        },
    ),
    "NeXtVLADModel": (
        "LogisticModel",
        {
            "nextvlad_cluster_size": 128,
            "nextvlad_hidden_size": 2048,
            "groups": 8,
            "expansion": 2,
            "gating_reduction": 8,
            "dropout": 0.5,
            "l2_penalty": 1e-5,
        },
    ),
    "MixNeXtVladModel": ("LogisticModel", {"mix_number": 3, "cl_temperature": 1.0, "gating_reduction": 16}),
    "MODNeXtVladModel": ("LogisticModel", {"mix_number": 3, "mod_number": 4, "nextvlad_cluster_size": 128}),
    "DbofModel": (
        "MoeModel",
        {
            "dbof_cluster_size": 8192,
            "dbof_hidden_size": 1024,
            "dbof_pooling_method": "max",
            "dbof_activation": "sigmoid",
            "dbof_add_batch_norm": True,
        },
    ),
    "LstmModel": ("MoeModel", {"lstm_cells": 1024, "lstm_layers": 2, "dropout": 0.0}),
    "TransformerModel": (
        "MoeModel",
        {"transformer_layers": 4, "transformer_width": 512, "transformer_heads": 8, "dropout": 0.1, "moe_num_mixtures": 2},
    ),
    "FrameLevelLogisticModel": ("LogisticModel", {"l2_penalty": 1e-8}),
    "SkipFrameModel": ("MoeModel", {"lstm_cells": 1024, "lstm_layers": 2, "skip_budget": 10, "skip_actions": "5-25"}),
    "LogisticModel": ("LogisticModel", {"l2_penalty": 1e-8}),
    "MoeModel": ("MoeModel", {"moe_num_mixtures": 2, "moe_l2": 1e-8}),
}
TRAINING = {  # batch size, learning rate, decay, its examples, epochs, penalty
    "HierarchicalLstmModel": (256, 0.001, 0.95, 4_000_000, 5, 2.0),
    "NetVLADModelLF": (80, 0.0002, 0.8, 4_000_000, 5, 1.0),
    "NeXtVLADModel": (80, 0.0002, 0.8, 2_000_000, 5, 1.0),
    "MixNeXtVladModel": (80, 0.0002, 0.8, 2_500_000, 15, 1.0),
    "MODNeXtVladModel": (80, 0.0002, 0.8, 2_500_000, 15, 1.0),
    "DbofModel": (256, 0.01, 0.95, 4_000_000, 5, 1.0),
    "LstmModel": (256, 0.001, 0.95, 4_000_000, 5, 1.0),
    "TransformerModel": (256, 0.001, 0.95, 4_000_000, 5, 1.0),
    "FrameLevelLogisticModel": (256, 0.01, 0.95, 4_000_000, 5, 1.0),
    "SkipFrameModel": (256, 0.001, 0.95, 4_000_000, 5, 1.0),
    "LogisticModel": (1024, 0.01, 0.95, 4_000_000, 5, 1.0),
    "MoeModel": (1024, 0.01, 0.95, 4_000_000, 5, 1.0),
}


def test_the_tables_cover_every_family():
    assert set(PUBLISHED) == set(TRAINING) == set(config.MODELS)


@pytest.mark.parametrize("model", config.MODELS)
def test_defaults_are_the_published_values(model):
    classifier, settings = PUBLISHED[model]
    network = config.network_config(model)
    assert network.classifier.model == classifier
    assert {name: network.settings()[name] for name in settings} == settings


@pytest.mark.parametrize("model", config.MODELS)
def test_settings_of_other_families_are_an_error(model):
    network = config.network_config(model)
    others = {
        name: field.default
        for kind in (*FAMILIES, *CLASSIFIERS)
        for name, field in kind.model_fields.items()
        if name not in network.settings() and name != "model"
    }
    assert others
    for name, value in others.items():
        with pytest.raises(SettingError, match=f"{name}=.*: has no effect with model={model} and the classifier"):
            config.network_config(model, **{name: value})


@pytest.mark.parametrize("model", config.MODELS)
def test_training_defaults_are_the_published_recipe(model):
    training = config.TrainingConfig(**config.FAMILY_OF[model].training)
    assert TRAINING[model] == (
        training.batch_size,
        training.base_learning_rate,
        training.learning_rate_decay,
        training.learning_rate_decay_examples,
        training.num_epochs,
        training.regularization_penalty,
    )


def test_a_classifier_other_than_the_published_one_has_its_own_defaults():
    assert config.network_config("NetVLADModelLF", classifier="LogisticModel").classifier.l2_penalty == 1e-8
    moe = config.network_config("NeXtVLADModel", classifier="MoeModel").classifier
    assert (moe.moe_l2, moe.moe_prob_gating) == (1e-8, False)


@pytest.mark.parametrize(
    "model, options, message",
    [
        ("NetVLADModelLF", {"netvlad_cluster_size": 1}, "netvlad_cluster_size=1: features after the first get half"),
        ("NeXtVLADModel", {"groups": 1}, "groups=1: features after the first get half"),
        ("NeXtVLADModel", {"groups": 6}, r"groups=6: 6 groups do not divide the 2 \* 1024 numbers of rgb"),
        ("NeXtVLADModel", {"gating_reduction": 3}, "gating_reduction=3: must divide nextvlad_hidden_size=2048."),
        ("NeXtVLADModel", {"expansion": 0}, "expansion=0: choose a value from 1"),
        ("MixNeXtVladModel", {"mix_number": 1}, "mix_number=1: choose a value from 2"),
        ("MODNeXtVladModel", {"mod_number": 1}, "mod_number=1: choose a value from 2"),
        ("MixNeXtVladModel", {"cl_temperature": -1}, "cl_temperature=-1: choose a value from 0"),
        ("MixNeXtVladModel", {"classifier": "MoeModel"}, "video_level_classifier_model=MoeModel: .* it mixes logits"),
        ("MoeModel", {"classifier": "LogisticModel"}, "video_level_classifier_model=LogisticModel: .* takes MoeModel only"),
        ("DbofModel", {"dbof_pooling_method": "none"}, "dbof_pooling_method=none: is unknown; choose one of max, average."),
        ("DbofModel", {"dbof_activation": "relu"}, "dbof_activation=relu: is unknown; choose one of sigmoid, relu6."),
        (
            "NetVLADModelLF",
            {"gating": False, "moe_prob_gating": False, "gating_remove_diag": True},
            "gating_remove_diag=true: has no effect without gating",
        ),
        (
            "MixNeXtVladModel",
            {"cl_temperature": 0.0, "stop_mixture_gradient": True},
            "stop_mixture_gradient=true: has no effect",
        ),
        (
            "NeXtVLADModel",
            {"reverse_whitening": True, "features": config.FeatureConfig(names=("audio", "rgb"), sizes=(128, 1024))},
            "feature_names=audio,rgb: .* rgb, which must come first",
        ),
        ("LstmModel", {"frames_per_block": 5}, "frames_per_block=5: has no effect with model=LstmModel"),
    ],
)
def test_contradictory_settings_are_an_error(model, options, message):
    with pytest.raises(SettingError, match=message):
        config.network_config(model, **options)


@pytest.mark.parametrize("model", config.MODELS)
def test_every_family_survives_a_json_round_trip(model):
    run = config.RunConfig(
        mode="teacher", networks={"teacher": config.network_config(model)}, training=config.TrainingConfig()
    )
    assert config.from_json(config.to_json(run)) == run


def test_members_of_a_mixture_inherit_its_settings():
    whole = networks.frame_level("MODNeXtVladModel", cl_temperature=3.0)
    mixture = whole.member()
    assert mixture == networks.frame_level("MixNeXtVladModel", cl_temperature=3.0, gating_reduction=2)
    assert mixture.member() == networks.frame_level("NeXtVLADModel")


def test_settings_load_without_keras_and_tensorflow():
    code = "import sys, youtube8m_distill.config; print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# ---- which networks can teach which ---------------------------------------------------------------------------------

MOD, MIX, SINGLE = (networks.frame_level(model) for model in ("MODNeXtVladModel", "MixNeXtVladModel", "NeXtVLADModel"))
LABELS_AND_PREDICTIONS = config.DistillationConfig(student_loss=("pred", "ce"), share_classifier=False)


def run_of(teacher, student, distillation, mode="serial"):
    return config.RunConfig(
        mode=mode,
        networks={"teacher": teacher, "student": student},
        training=config.TrainingConfig(),
        distillation=distillation,
    )


@pytest.mark.parametrize("teacher, student, mode", [(MOD, MIX, "serial"), (MIX, SINGLE, "parallel")])
def test_a_mixture_and_its_kind_of_member_have_no_common_classifier(mode, teacher, student):
    run_of(teacher, student, LABELS_AND_PREDICTIONS, mode)
    neither = config.DistillationConfig(student_loss=("relation", "topk_logit"), share_classifier=False)
    run_of(teacher, student, neither, mode)
    with pytest.raises(SettingError, match="share_classifier=true: needs equal encoding sizes and classifiers"):
        run_of(teacher, student, config.DistillationConfig(student_loss=("pred",)), mode)


def test_a_mixtures_encoding_is_matched_by_a_member_only_in_serial_training():
    distillation = config.DistillationConfig(student_loss=("rep", "ce"), share_classifier=False)
    run_of(MIX, SINGLE, distillation)
    with pytest.raises(SettingError, match="student_loss=rep,ce: no encoding is common between a MixNeXtVladModel and"):
        run_of(MIX, SINGLE, distillation, "parallel")


@pytest.mark.parametrize("teacher", sorted(networks.TINY))
@pytest.mark.parametrize("student", sorted(networks.TINY))
def test_every_family_can_teach_every_family(teacher, student):
    pair = networks.frame_level(teacher), networks.frame_level(student)
    run_of(*pair, config.DistillationConfig(student_loss=("rep", "pred", "ce"), share_classifier=False))


def test_video_level_networks_are_neither_teachers_nor_students():
    means = networks.video_level("MoeModel")
    with pytest.raises(SettingError, match="student_model=MoeModel: reads video-level files"):
        run_of(SINGLE, means, LABELS_AND_PREDICTIONS)


@pytest.mark.parametrize("network", [MOD, MIX, SINGLE], ids=lambda network: network.model)
def test_a_network_can_teach_its_own_kind_with_every_loss(network):
    student = network.replace(cl_temperature=5.0) if network.is_mixture else network
    run_of(network, student, config.DistillationConfig())


@pytest.mark.parametrize(
    "teacher, student, name",
    [
        (SINGLE, MIX, "model"),
        (MIX, MOD, "model"),
        (MIX, networks.frame_level("LstmModel"), "model"),
        (MIX, networks.frame_level("MixNeXtVladModel", mix_number=3), "mix_number"),
        (MIX, networks.frame_level("NeXtVLADModel", groups=3, expansion=1, nextvlad_cluster_size=4), "groups"),
        (SINGLE, networks.frame_level("NeXtVLADModel", reverse_whitening=True), "reverse_whitening"),
    ],
)
def test_other_parallel_pairs_are_an_error_that_names_the_differing_setting(teacher, student, name):
    with pytest.raises(SettingError, match=f"{name}=.* for the student, and .* for the teacher.* use mode=serial"):
        run_of(teacher, student, LABELS_AND_PREDICTIONS, "parallel")


@pytest.mark.parametrize("model", sorted(set(networks.TINY) - {"HierarchicalLstmModel"}))
def test_only_the_hierarchical_rnn_can_match_frame_states(model):
    network = networks.frame_level(model)
    with pytest.raises(SettingError, match=f"match_intermediate=true: has no meaning with model={model}"):
        run_of(network, network, config.DistillationConfig(match_intermediate=True))


def test_matching_an_encoding_without_weights_alone_is_an_error():
    network = networks.frame_level("FrameLevelLogisticModel")
    run_of(network, network, config.DistillationConfig(student_loss=("rep", "ce")))
    run_of(network, network, config.DistillationConfig(student_loss=("relation", "topk_logit")))
    for losses in (("rep",), ("relation",), ("rep", "relation")):
        name = f"student_loss={','.join(losses)}"
        with pytest.raises(SettingError, match=f"{name}: trains nothing: .*FrameLevelLogisticModel"):
            run_of(network, network, config.DistillationConfig(student_loss=losses))
    with pytest.raises(SettingError, match="freeze_classifier=true: leaves nothing to train: .*FrameLevelLogisticModel"):
        run_of(network, network, config.DistillationConfig(student_loss=("ce",), freeze_classifier=True))


def test_dbof_implements_every_choice_of_its_settings():
    choices = {
        name: set(get_args(DBoFSettings.model_fields[name].annotation))
        for name in ("dbof_pooling_method", "dbof_activation")
    }
    assert choices == {"dbof_pooling_method": set(dbof.POOLINGS), "dbof_activation": set(dbof.ACTIVATIONS)}
