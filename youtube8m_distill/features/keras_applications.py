"""Features of the networks in Keras Applications: their last layer before the classifier, averaged over the frame."""

import difflib
import glob
import os
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from youtube8m_distill.errors import SettingError, in_one_line

# Width and height of the frames that a network was trained on, unless they are 224.
SIZES = {
    "Xception": 299,
    "InceptionV3": 299,
    "InceptionResNetV2": 299,
    "NASNetLarge": 331,
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
}


def load(name: str, folder: str = "") -> Callable[[np.ndarray], np.ndarray]:
    """The function from frames uint8 [N, H, W, 3] to features float32 [N, D] of one network.

    Frames are scaled to the size that the network was trained on, whatever their shape, as in the official extractor.

    Args:
        name: such as "MobileNetV2".
        folder: with one .h5 file, the weights without the classifier; if empty, Keras downloads those of ImageNet.
    Raises:
        SettingError: if there is no such network, or its weights cannot be had.
    """
    known = _networks()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f" Did you mean {near[0]}?" if near else f" It has {', '.join(sorted(known))}."
        raise SettingError("extractor", f"Keras Applications has no such network.{hint}", f"keras:{name}")
    build, preprocess = known[name]
    size = SIZES.get(name, 224)
    model = _built(name, build, (size, size, 3), folder)

    @tf.function(reduce_retracing=True)
    def features(frames):
        return model(preprocess(tf.image.resize(frames, (size, size), antialias=True)), training=False)

    return lambda frames: features(frames).numpy()


def _networks() -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """Name -> (function that builds the network, its preprocess_input)."""
    modules = [module for module in vars(keras.applications).values() if hasattr(module, "preprocess_input")]
    found = {
        name: (build, module.preprocess_input)
        for module in modules
        for name, build in vars(module).items()
        if callable(build) and hasattr(keras.applications, name)
    }
    for name in ("MobileNetV3Large", "MobileNetV3Small"):  # the module of these two does not name them
        found[name] = getattr(keras.applications, name), keras.applications.mobilenet_v3.preprocess_input
    return found


def _built(name, build, shape, folder):
    weights = _weights_file(name, folder) if folder else "imagenet"
    try:
        with warnings.catch_warnings(action="ignore"):  # of Keras, about weights that do not fit, before its error
            return build(weights=weights, include_top=False, input_shape=shape, pooling="avg")
    except Exception as error:  # of urllib, h5py or Keras, of many types
        reason = in_one_line(error)
        if folder:
            raise SettingError("extractor_dir", f"{weights} does not hold weights of {name} ({reason}).", folder) from error
        advice = "Without a network, copy the file from another machine's ~/.keras/models to a folder for --extractor_dir."
        raise SettingError("extractor", f"its weights cannot be downloaded ({reason}). {advice}", f"keras:{name}") from error


def weights_files(folder: str) -> list[str]:
    """The .h5 files in a folder."""
    return glob.glob(os.path.join(glob.escape(folder), "*.h5"))


def _weights_file(name, folder):
    paths = weights_files(folder)
    if len(paths) != 1:
        reason = f"must hold one .h5 file, the weights of {name} without its classifier; it has {len(paths)}."
        raise SettingError("extractor_dir", reason, folder)
    return paths[0]
