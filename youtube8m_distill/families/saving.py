"""Networks as `.keras` files."""

import importlib
import os
import pkgutil

import keras

from youtube8m_distill import families, layers
from youtube8m_distill.families.mixture.network import NetworkMixture
from youtube8m_distill.families.video_classifier import VideoClassifier


def load_model(path: str | os.PathLike) -> VideoClassifier | NetworkMixture:
    """Loads a network that `network.save("name.keras")` or `yt8m extract` wrote.

    `keras.saving.load_model` alone knows only the layers that have been imported; this function imports them all. It runs no
    code from the file (`safe_mode`).

    Args:
        path: the `.keras` file.
    Raises:
        ValueError: if there is no such file, or it is not a saved Keras model.
    """
    for package in (layers, families):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return keras.saving.load_model(path, safe_mode=True)
