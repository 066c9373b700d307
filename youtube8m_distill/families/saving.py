"""Networks as `.keras` files."""

import importlib
import os
import pkgutil

import keras

from youtube8m_distill import families, layers
from youtube8m_distill.families.mixture.network import NetworkMixture
from youtube8m_distill.families.video_classifier import VideoClassifier


def load_keras_file(path: str | os.PathLike) -> VideoClassifier | NetworkMixture:
    """Loads a `.keras` file that `network.save` or `yt8m extract` wrote. Runs no code from it (`safe_mode`).

    Raises ValueError if there is no such file, or it is not a saved Keras model.
    """
    # Keras alone knows only the layers that have been imported.
    for package in (layers, families):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return keras.saving.load_model(path, safe_mode=True)
