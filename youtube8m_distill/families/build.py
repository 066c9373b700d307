"""From a NetworkConfig to a network. The only file of this room that knows configurations."""

import concurrent.futures
import math

import keras

from youtube8m_distill import config as configs
from youtube8m_distill.families.dbof.encoder import DeepBagOfFrames
from youtube8m_distill.families.hrnn.encoder import HierarchicalRNN
from youtube8m_distill.families.lstm.encoder import LSTMEncoder
from youtube8m_distill.families.mean_pool.encoder import MeanPool
from youtube8m_distill.families.mixture.network import MixtureGate, NetworkMixture
from youtube8m_distill.families.netvlad.encoder import NetVLAD
from youtube8m_distill.families.nextvlad.encoder import NeXtVLAD
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.layers.initializers import variance_scaling
from youtube8m_distill.layers.logistic import Logistic
from youtube8m_distill.layers.moe import MixtureOfExperts
from youtube8m_distill.layers.preprocessing import L2Preprocessing, ReverseWhitening


def _hierarchical_rnn(network, dtype):
    return HierarchicalRNN(network.frames_per_block, network.lstm_cells, network.lstm_layers, dtype=dtype,
                           name="hierarchical_rnn")


def _netvlad(network, dtype):
    return NetVLAD(network.features.sizes, network.netvlad_cluster_size, network.netvlad_hidden_size,
                   relu=network.netvlad_relu, batch_norm=network.netvlad_add_batch_norm, gating=network.gating,
                   gating_remove_diagonal=network.gating_remove_diag, subtract_centres=not network.lightvlad, dtype=dtype,
                   name="netvlad")


def _nextvlad(network, dtype):
    return NeXtVLAD(network.features.sizes, network.nextvlad_cluster_size, network.nextvlad_hidden_size,
                    groups=network.groups, expansion=network.expansion, gating_reduction=network.gating_reduction,
                    dtype=dtype, name="nextvlad")


def _dbof(network, dtype):
    return DeepBagOfFrames(network.dbof_cluster_size, network.dbof_hidden_size, pooling=network.dbof_pooling_method,
                           activation=network.dbof_activation, batch_norm=network.dbof_add_batch_norm, dtype=dtype,
                           name="dbof")


def _logistic(network):
    if network.nextvlad_hidden_size is None:
        return Logistic(network.num_classes, network.l2_penalty, name="classifier")
    # NeXtVLAD's authors regularise the bias too, and start all their weights alike.
    return Logistic(network.num_classes, network.l2_penalty, regularize_bias=True,
                    initializer=variance_scaling(network.nextvlad_hidden_size), name="classifier")


def _mixture_of_experts(network):
    return MixtureOfExperts(network.num_classes, network.moe_num_mixtures, network.moe_l2, network.moe_prob_gating,
                            bool(network.gating_remove_diag), name="classifier")


# The keys are the values of --model and --video_level_classifier_model that users of the starter code know. A mixture
# (config.MIXTURES) is made of networks of one of these encoders.
ENCODERS = {
    "HierarchicalLstmModel": _hierarchical_rnn,
    "NetVLADModelLF": _netvlad,
    "NeXtVLADModel": _nextvlad,
    "DbofModel": _dbof,
    "LstmModel": lambda network, dtype: LSTMEncoder(network.lstm_cells, network.lstm_layers, dtype=dtype, name="lstm"),
    "FrameLevelLogisticModel": lambda network, dtype: MeanPool(dtype=dtype, name="mean_pool"),
}
CLASSIFIERS = {"LogisticModel": _logistic, "MoeModel": _mixture_of_experts}


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
    if network.reverse_whitening:
        return ReverseWhitening(stored, network.features.sizes, dtype=dtype, name="preprocessing")
    return L2Preprocessing(stored, dtype=dtype, name="preprocessing")


def _assemble(network, preprocessing, dtype, given, name):
    """The network or, level by level, the mixture; output layers come from the iterator `given` where there is one."""
    if network.is_mixture:
        member = configs.member_config(network)
        count = network.mix_number if network.mod_number is None else network.mod_number
        gate = MixtureGate(count, name="gate") if given is None else next(given)
        members = [_assemble(member, preprocessing, dtype, given, f"member_{i}") for i in range(count)]
        return NetworkMixture(preprocessing, members, network.features.size, gate, dtype=dtype, name=name)
    return VideoClassifier(
        preprocessing=preprocessing,
        encoder=None if network.is_video_level else ENCODERS[network.model](network, dtype),
        classifier=CLASSIFIERS[network.classifier](network) if given is None else next(given),
        feature_size=network.features.size,
        dropout=network.dropout or 0.0,
        dtype=dtype,
        name=name,
    )
