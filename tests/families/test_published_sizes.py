"""Numbers of parameters in the papers' tables. The closed forms are first compared with small networks."""

import math

import pytest

from tests import networks
from youtube8m_distill import config
from youtube8m_distill.families import build


def built(network):
    return build.look_at(network, lambda model: sum(math.prod(weight.shape) for weight in model.trainable_weights))


def nextvlad_parameters(network):
    """Trainable numbers of a NeXtVLAD with a logistic classifier, layer by layer."""
    family = network.family
    hidden, narrow = family.nextvlad_hidden_size, family.nextvlad_hidden_size // family.gating_reduction
    total, pooled = 0, 0
    for index, size in enumerate(network.features.sizes):
        clusters, groups = (n // (1 if index == 0 else 2) for n in (family.nextvlad_cluster_size, family.groups))
        wide = family.expansion * size
        total += (size + 1) * wide + (wide + 1) * groups  # widening, attention
        total += wide * groups * clusters + 2 * groups * clusters  # assignment and its normalization
        total += wide // groups * clusters  # centers
        total += 2 * (wide // groups * clusters)  # normalization of the descriptors
        pooled += wide // groups * clusters
    total += pooled * hidden + 2 * hidden + 2 * hidden * narrow + 2 * narrow  # hidden layer and gate
    return total + (hidden + 1) * network.num_classes


def gate_parameters(network, members):
    return 2 * network.features.size + (network.features.size + 1) * members


def parameters(network):
    """Trainable numbers of a NeXtVLAD, of a mixture, or of a mixture of mixtures."""
    if not network.is_mixture:
        return nextvlad_parameters(network)
    members = network.family.num_members
    return members * parameters(network.member()) + gate_parameters(network, members)


@pytest.mark.parametrize(
    "network",
    [
        networks.frame_level("NeXtVLADModel"),
        networks.frame_level("NeXtVLADModel", groups=2, expansion=4, num_classes=7),
        networks.frame_level("MixNeXtVladModel", mix_number=3),
        networks.frame_level("MODNeXtVladModel"),
    ],
    ids=lambda network: network.model,
)
def test_the_closed_forms_equal_built_networks(network):
    assert parameters(network) == built(network)


@pytest.mark.parametrize("num_classes, expected", [(3862, 88_889_378), (4716, 90_639_224)])
def test_nextvlad_has_the_number_of_parameters_of_its_release(num_classes, expected):
    assert parameters(config.network_config("NeXtVLADModel", num_classes)) == expected


LARGE = {"nextvlad_cluster_size": 256, "expansion": 4, "gating_reduction": 8}


# MOD 2019, tables 1 and 2: networks of 1,000 classes, fine-tuned on segments; millions as printed, so within 1.2 %.
@pytest.mark.parametrize(
    "model, options, millions",
    [
        ("NeXtVLADModel", {}, 83),
        ("NeXtVLADModel", LARGE, 320),
        ("MixNeXtVladModel", {}, 250),
        ("MixNeXtVladModel", {**LARGE, "mix_number": 4}, 1280),
        ("MODNeXtVladModel", {}, 1000),
    ],
)
def test_mixtures_have_the_numbers_of_parameters_of_their_paper(model, options, millions):
    found = parameters(config.network_config(model, 1000, **options)) / 1e6
    assert found == pytest.approx(millions, rel=0.012)


def test_the_bag_of_frames_has_the_number_of_parameters_of_the_mixtures_paper():
    network = config.network_config("DbofModel", 1000, dbof_cluster_size=2048, moe_num_mixtures=5)
    assert built(network) / 1e6 == pytest.approx(16, abs=0.5)
