"""From a NetworkConfig to a network. The only file of this room, beside the settings, that knows configurations."""

import concurrent.futures
import math

import keras

from youtube8m_distill.families.mixture.network import MixtureGate, NetworkMixture
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.layers.preprocessing import L2Preprocessing, ReverseWhitening


def build_model(network, dtype="float32", output_layers=None, name=None):
    """Builds the network that a NetworkConfig describes, weights included.

    Args:
        network: NetworkConfig.
        dtype: "float32" or "mixed_bfloat16". The classifier and every loss stay float32.
        output_layers: another network's `output_layers`, to be used in place of new ones, so that both share them.
        name: of the model; the weights' names begin with it.
    Returns:
        VideoClassifier, or NetworkMixture where the model is one; built. Its initial weights follow from
        `keras.utils.set_random_seed`. With reverse whitening, its preprocessing still wants its eigenvalues.
    """
    given = None if output_layers is None else iter(output_layers)
    model = _assemble(network, _preprocessing(network, dtype), dtype, given, name)
    model.build()
    return model


def look_at(network, look):
    """`look(model)` for the network of a NetworkConfig, whose weights have shapes and no values: it takes no memory."""

    def build_and_look():
        with keras.StatelessScope(initialize_variables=False):
            return look(build_model(network))

    # In a thread of its own: the variables without values, which Keras keeps a list of, go with it.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(build_and_look).result()


def count_weights(network):
    """How many numbers the network of a NetworkConfig has as weights. Takes no memory for them."""
    return look_at(network, lambda model: sum(math.prod(weight.shape) for weight in model.weights))


def _preprocessing(network, dtype):
    stored = network.features.dtype
    if getattr(network.family, "reverse_whitening", False):
        return ReverseWhitening(stored, network.features.sizes, dtype=dtype, name="preprocessing")
    return L2Preprocessing(stored, dtype=dtype, name="preprocessing")


def _assemble(network, preprocessing, dtype, given, name):
    """The network or, level by level, the mixture; output layers come from the iterator `given` where there is one."""
    family = network.family
    if family.is_mixture:
        member, count = network.member(), family.num_members
        gate = MixtureGate(count, name="gate") if given is None else next(given)
        members = [_assemble(member, preprocessing, dtype, given, f"member_{i}") for i in range(count)]
        return NetworkMixture(preprocessing, members, network.features.size, gate, dtype=dtype, name=name)
    return VideoClassifier(
        preprocessing=preprocessing,
        encoder=family.build_encoder(network.features, dtype),
        classifier=_classifier(network) if given is None else next(given),
        feature_size=network.features.size,
        dropout=getattr(family, "dropout", 0.0),
        dtype=dtype,
        name=name,
    )


def _classifier(network):
    options = network.family.classifier_options(network.classifier.model)
    return network.classifier.build(network.num_classes, **options)
