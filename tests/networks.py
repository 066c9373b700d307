"""Small networks of every family with random weights, and batches for them."""

import keras
import numpy as np

from youtube8m_distill import config
from youtube8m_distill.families import build as builders

SIZES = (6, 3)
NUM_CLASSES = 5
MAX_FRAMES = 7  # in blocks of 3 the last one is never full
COUNTS = (7, 4, 1, 0)  # full blocks, a started block, one frame, none


NEXTVLAD = {"nextvlad_cluster_size": 4, "nextvlad_hidden_size": 6, "groups": 2, "gating_reduction": 2}
# Small settings of each family; a new family needs a line here and in families.FAMILIES.
TINY = {
    "HierarchicalLstmModel": {"frames_per_block": 3, "lstm_cells": 4},
    "NetVLADModelLF": {"netvlad_cluster_size": 4, "netvlad_hidden_size": 5},
    "NeXtVLADModel": NEXTVLAD,
    "MixNeXtVladModel": {**NEXTVLAD, "mix_number": 2},
    "MODNeXtVladModel": {**NEXTVLAD, "mix_number": 2, "mod_number": 2},
    "DbofModel": {"dbof_cluster_size": 40, "dbof_hidden_size": 5},
    "LstmModel": {"lstm_cells": 4},
    "TransformerModel": {"transformer_layers": 2, "transformer_width": 8, "transformer_heads": 2},
    "FrameLevelLogisticModel": {},
    "SkipFrameModel": {"lstm_cells": 4, "skip_actions": "1-3"},
}
# Families for which the order of frames matters.
IN_ORDER = ("HierarchicalLstmModel", "LstmModel", "SkipFrameModel", "TransformerModel")


def frame_level(model="HierarchicalLstmModel", classifier=None, dtype="uint8", **options):
    """NetworkConfig of a frame-level family."""
    options = {
        "num_classes": NUM_CLASSES,
        "view": config.FrameView(frame_selection="first", frames_per_video=MAX_FRAMES),
        **TINY[model],
        **options,
    }
    return config.network_config(
        model, features=config.FeatureConfig(sizes=SIZES, dtype=dtype), classifier=classifier, **options
    )


def video_level(model):
    """NetworkConfig of a model that reads the video's mean."""
    features = config.FeatureConfig(names=("mean_rgb", "mean_audio"), sizes=SIZES, frame_features=False, dtype="float32")
    return config.network_config(model, NUM_CLASSES, features)


def every_network():
    """dict name -> NetworkConfig: every family, both classifiers, other preprocessing, video-level models."""
    return {
        **{model: frame_level(model) for model in TINY},
        "HierarchicalLstmModel-logistic": frame_level(classifier="LogisticModel"),
        "NeXtVLADModel-moe": frame_level("NeXtVLADModel", "MoeModel"),
        "NeXtVLADModel-whitened": frame_level("NeXtVLADModel", reverse_whitening=True),
        **{model: video_level(model) for model in config.VIDEO_LEVEL_MODELS},
    }


def build(network, seed=0, deviation=0.5, **options):
    """The network with random weights and biases, so that tests notice a missing one; variances are above 0."""
    model = builders.build_model(network, **options)
    random = np.random.default_rng(seed)
    for variable in model.weights:
        values = random.normal(0, deviation, variable.shape)
        variable.assign(np.abs(values) + 0.1 if variable.name in ("moving_variance", "scale") else values)
    return model


def batch(network, counts=COUNTS, seed=0):
    """A batch for a network; padding is random too."""
    random = np.random.default_rng(seed)
    if network.is_video_level:
        return {"features": random.normal(size=(len(counts), network.features.size)).astype(np.float32)}
    shape = len(counts), network.max_frames, network.features.size
    frames = random.integers(0, 256, shape, dtype=np.uint8)
    if network.features.dtype == "float32":
        frames = random.normal(size=shape).astype(np.float32)
    return {"frames": frames, "num_frames": np.array(counts, np.int32)}


def outputs(model, batch, **options):
    """The network's outputs as numpy, bfloat16 as float32; a mixture's members' as `members/0/logits`."""
    return as_numpy(model(batch, **options))


def as_numpy(found, path=""):
    if isinstance(found, dict):
        return {name: value for key, part in found.items() for name, value in as_numpy(part, f"{path}/{key}").items()}
    if isinstance(found, list):
        return as_numpy(dict(enumerate(found)), path)
    return {path[1:]: keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))}
