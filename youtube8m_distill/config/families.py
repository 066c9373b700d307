"""The network families: which settings each has, at which published values, and how it was trained.

A field of NetworkConfig that is not given takes its family's value here; one that the family does not have is refused.
Sources: "CVPR" is Bhardwaj et al. 2019; "starter" Google's youtube-8m repository; "WILLOW" Miech et al. 2017 with their
published best single model; "NeXtVLAD" Lin et al. 2018, best single model; "MOD" Lin et al. 2019 with its release.
"""

import dataclasses

VIDEO_LEVEL_MODELS = ("LogisticModel", "MoeModel")
CLASSIFIERS = ("LogisticModel", "MoeModel")
MIXTURES = ("MixNeXtVladModel", "MODNeXtVladModel")
WITHOUT_WEIGHTS = ("FrameLevelLogisticModel",)          # families whose encoder learns nothing

_CLASSIFIER_SETTINGS = {
    "LogisticModel": {"l2_penalty": 1e-8},
    "MoeModel": {"moe_num_mixtures": 2, "moe_l2": 1e-8, "moe_prob_gating": False},
}


@dataclasses.dataclass(frozen=True)
class Family:
    """One family as published.

    Attributes:
        settings: dict, NetworkConfig field -> value: the fields that the encoder has.
        classifier: name of its classifier.
        classifier_settings: dict, as `settings`: where that classifier was trained with other values than its own.
        training: dict, TrainingConfig field -> value, where it differs from the H-RNN's.
    """

    settings: dict
    classifier: str = "MoeModel"
    classifier_settings: dict = dataclasses.field(default_factory=dict)
    training: dict = dataclasses.field(default_factory=dict)


_STARTER = {"base_learning_rate": 0.01, "regularization_penalty": 1.0}
_STARTER_VIDEO_LEVEL = {"batch_size": 1024, **_STARTER}
_NEXTVLAD = {"nextvlad_cluster_size": 128, "nextvlad_hidden_size": 2048, "groups": 8, "expansion": 2,
             "gating_reduction": 8, "dropout": 0.5, "reverse_whitening": False}
# MOD's release trains its mixtures at T = 1 on videos and at 20 on segments, and narrows the gates to a 16th.
_MIXTURE = {**_NEXTVLAD, "gating_reduction": 16, "mix_number": 3, "cl_temperature": 1.0, "stop_mixture_gradient": False}
_NEXTVLAD_TRAINING = {"batch_size": 80, "base_learning_rate": 0.0002, "learning_rate_decay": 0.8,
                      "learning_rate_decay_examples": 2_000_000, "regularization_penalty": 1.0}
_MIXTURE_TRAINING = {**_NEXTVLAD_TRAINING, "learning_rate_decay_examples": 2_500_000, "num_epochs": 15}

FAMILIES = {
    # CVPR, section 5.2.
    "HierarchicalLstmModel": Family({"lstm_cells": 1024, "lstm_layers": 2, "frames_per_block": None, "dropout": 0.5}),
    # WILLOW; clusters, hidden layer and schedule as in CVPR, section 5.2.
    "NetVLADModelLF": Family(
        {"netvlad_cluster_size": 256, "netvlad_hidden_size": 1024, "netvlad_relu": False, "netvlad_add_batch_norm": True,
         "gating": True, "gating_remove_diag": False, "lightvlad": False, "dropout": 0.0},
        classifier_settings={"moe_l2": 1e-6, "moe_prob_gating": True},
        training={"batch_size": 80, "base_learning_rate": 0.0002, "learning_rate_decay": 0.8,
                  "regularization_penalty": 1.0}),
    # NeXtVLAD; number of epochs as in CVPR.
    "NeXtVLADModel": Family(_NEXTVLAD, "LogisticModel", {"l2_penalty": 1e-5}, _NEXTVLAD_TRAINING),
    # MOD.
    "MixNeXtVladModel": Family(_MIXTURE, "LogisticModel", {"l2_penalty": 1e-5}, _MIXTURE_TRAINING),
    "MODNeXtVladModel": Family({**_MIXTURE, "mod_number": 4}, "LogisticModel", {"l2_penalty": 1e-5}, _MIXTURE_TRAINING),
    # Starter; batch size of its README's frame-level command.
    "DbofModel": Family({"dbof_cluster_size": 8192, "dbof_hidden_size": 1024, "dbof_pooling_method": "max",
                         "dbof_activation": "sigmoid", "dbof_add_batch_norm": True, "dropout": 0.0}, training=_STARTER),
    "LstmModel": Family({"lstm_cells": 1024, "lstm_layers": 2, "dropout": 0.0},
                        training={**_STARTER, "base_learning_rate": 0.001}),
    "FrameLevelLogisticModel": Family({"dropout": 0.0}, "LogisticModel", training=_STARTER),
    # Starter, on video-level files.
    "LogisticModel": Family({}, "LogisticModel", training=_STARTER_VIDEO_LEVEL),
    "MoeModel": Family({}, "MoeModel", training=_STARTER_VIDEO_LEVEL),
}
MODELS = tuple(FAMILIES)


def published_settings(model, classifier):
    """dict, NetworkConfig field -> published value, of a family with a classifier."""
    family = FAMILIES[model]
    settings = dict(_CLASSIFIER_SETTINGS[classifier])
    if classifier == family.classifier:
        settings.update(family.classifier_settings)
    return {**settings, **family.settings}


def published_training(model):
    """dict, TrainingConfig field -> published value, where a family was trained otherwise than the H-RNN."""
    return FAMILIES[model].training
