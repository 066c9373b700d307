"""Small networks of every family, batches for them, and weights that are far from their start."""

import keras
import numpy as np

from youtube8m_distill import config
from youtube8m_distill.models import builders

SIZES = (6, 3)
NUM_CLASSES = 5
MAX_FRAMES = 7                              # with blocks of 3: the last one is never full
COUNTS = (7, 4, 1, 0)                       # all blocks, a block begun, one frame, none


def frame_level(model="HierarchicalLstmModel", classifier="MoeModel", dtype="uint8", **options):
    """NetworkConfig of a frame-level family."""
    options = {"num_classes": NUM_CLASSES, "frames": config.FrameConfig("first", MAX_FRAMES), "frames_per_block": 3,
               "lstm_cells": 4, **options}
    return config.NetworkConfig(model, features=config.FeatureConfig(sizes=SIZES, dtype=dtype), classifier=classifier,
                                **options)


def video_level(model):
    """NetworkConfig of a model that reads the video's mean."""
    features = config.FeatureConfig(("mean_rgb", "mean_audio"), SIZES, False, "float32")
    return config.NetworkConfig(model, NUM_CLASSES, features, None)


def every_network():
    """dict name -> NetworkConfig: each encoder with each classifier, and each video-level model."""
    pairs = {f"{model}-{classifier}": frame_level(model, classifier)
             for model in sorted(builders.ENCODERS) for classifier in sorted(builders.CLASSIFIERS)}
    return {**pairs, **{model: video_level(model) for model in config.VIDEO_LEVEL_MODELS}}


def build(network, seed=0, **options):
    """The network with random weights, biases too, so that none can be left out unnoticed."""
    model = builders.build_model(network, **options)
    random = np.random.default_rng(seed)
    for variable in model.trainable_weights:
        variable.assign(random.normal(0, 0.5, variable.shape))
    return model


def batch(network, counts=COUNTS, seed=0):
    """A batch for a network; what lies past `num_frames` is as random as the rest."""
    random = np.random.default_rng(seed)
    if network.is_video_level:
        return {"features": random.normal(size=(len(counts), network.features.size)).astype(np.float32)}
    shape = len(counts), network.max_frames, network.features.size
    frames = random.integers(0, 256, shape, dtype=np.uint8)
    if network.features.dtype == "float32":
        frames = random.normal(size=shape).astype(np.float32)
    return {"frames": frames, "num_frames": np.array(counts, np.int32)}


def outputs(model, batch, **options):
    """The network's outputs as numpy; bfloat16 as float32."""
    return {name: keras.ops.convert_to_numpy(keras.ops.cast(value, "float32"))
            for name, value in model(batch, **options).items()}
