"""Builds networks from their NetworkConfigs."""

import concurrent.futures
import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import keras

from youtube8m_distill.config.network import NetworkConfig
from youtube8m_distill.families.classifiers import LogisticSettings
from youtube8m_distill.families.mixture.network import Network, NetworkMixture, on_device_of
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.layers.logistic import Logistic
from youtube8m_distill.layers.moe import MixtureOfExperts
from youtube8m_distill.layers.preprocessing import L2Preprocessing, ReverseWhitening

Result = TypeVar("Result")


def build_model(
    network: NetworkConfig,
    dtype: str = "float32",
    output_layers: Sequence[keras.layers.Layer] | None = None,
    name: str | None = None,
    member_devices: Sequence[str] = (),
) -> Network:
    """Builds the network that a NetworkConfig describes, with its weights.

    >>> import numpy as np
    >>> from youtube8m_distill import config
    >>> model = build_model(config.network_config(lstm_cells=4, num_classes=5))
    >>> batch = {"frames": np.zeros((2, 300, 1152), "uint8"), "num_frames": np.array([300, 20])}
    >>> outputs = model(batch)
    >>> tuple(outputs["encoding"].shape), tuple(outputs["predictions"].shape)
    ((2, 16), (2, 5))

    Args:
        dtype: "float32" or "mixed_bfloat16". The classifier and every loss stay float32.
        output_layers: `output_layers` of another network to share, instead of new ones.
        name: of the model; the paths of its weights start with it.
        member_devices: as for NetworkMixture; without effect for a network that is not a mixture.
    Returns:
        A built network. `keras.utils.set_random_seed` fixes its initial weights. With reverse whitening, call
        `preprocessing.set_eigenvalues` next.
    """
    stored = network.features.dtype
    if getattr(network.family, "reverse_whitening", False):
        preprocessing = ReverseWhitening(stored, network.features.sizes, dtype=dtype, name="preprocessing")
    else:
        preprocessing = L2Preprocessing(stored, dtype=dtype, name="preprocessing")
    given = itertools.repeat(None) if output_layers is None else iter(output_layers)
    model = _assemble(network, preprocessing, dtype, given, name, member_devices)
    model.build()
    return model


def look_at(network: NetworkConfig, look: Callable[[Network], Result]) -> Result:
    """`look(model)` for a network whose weights have shapes but no values, so that it takes no memory."""

    def build_and_look():
        with keras.StatelessScope(initialize_variables=False):
            return look(build_model(network))

    # Keras keeps a list of variables without values for each thread; this one ends with the thread.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(build_and_look).result()


def count_weights(network: NetworkConfig) -> int:
    """How many numbers the weights of a network hold, without creating them."""
    return look_at(network, lambda model: sum(math.prod(weight.shape) for weight in model.weights))


def _assemble(network, preprocessing, dtype, given, name, devices=()):
    """The network, or the mixture and its members. `given` are output layers in order, or None for each new one."""
    family, output_layer = network.family, next(given)
    if family.is_mixture:
        members = []
        for index in range(family.num_members):
            with on_device_of(index, devices):
                members.append(_assemble(network.member(), preprocessing, dtype, given, f"member_{index}"))
        options = {"member_devices": devices, "dtype": dtype, "name": name}
        return NetworkMixture(preprocessing, members, network.features.size, output_layer, **options)
    return VideoClassifier(
        preprocessing=preprocessing,
        encoder=family.build_encoder(network.features, dtype),
        classifier=output_layer or _classifier(network),
        feature_size=network.features.size,
        dropout=getattr(family, "dropout", 0.0),
        dtype=dtype,
        name=name,
    )


def _classifier(network):
    settings, num_classes = network.classifier, network.num_classes
    options = {"name": "classifier", **network.family.classifier_options(settings.model)}
    if isinstance(settings, LogisticSettings):
        return Logistic(num_classes, settings.l2_penalty, **options)
    return MixtureOfExperts(num_classes, settings.moe_num_mixtures, settings.moe_l2, settings.moe_prob_gating, **options)
