"""From a NetworkConfig to a network. The only file of this room that knows configurations."""

from youtube8m_distill.models.hierarchical_rnn import HierarchicalRNN
from youtube8m_distill.models.logistic import Logistic
from youtube8m_distill.models.moe import MixtureOfExperts
from youtube8m_distill.models.preprocessing import L2Preprocessing
from youtube8m_distill.models.video_classifier import VideoClassifier


def _hierarchical_rnn(network, dtype):
    return HierarchicalRNN(network.frames_per_block, network.lstm_cells, network.lstm_layers, dtype=dtype,
                           name="hierarchical_rnn")


# The keys are the values of --model and --video_level_classifier_model that users of the starter code know.
ENCODERS = {"HierarchicalLstmModel": _hierarchical_rnn}
CLASSIFIERS = {
    "LogisticModel": lambda network: Logistic(network.num_classes, name="classifier"),
    "MoeModel": lambda network: MixtureOfExperts(network.num_classes, network.moe_num_mixtures, name="classifier"),
}


def build_model(network, dtype="float32", classifier=None, name=None):
    """Builds the network that a NetworkConfig describes, weights included.

    Args:
        network: NetworkConfig.
        dtype: "float32" or "mixed_bfloat16". The classifier and every loss stay float32.
        classifier: a layer to use in place of a new one, so that two networks share it.
        name: of the model; the weights' names begin with it.
    Returns:
        VideoClassifier, built. Its initial weights follow from `keras.utils.set_random_seed`.
    """
    encoder = None if network.is_video_level else ENCODERS[network.model](network, dtype)
    kind = network.model if network.is_video_level else network.classifier
    model = VideoClassifier(
        preprocessing=L2Preprocessing(network.features.dtype, dtype=dtype, name="preprocessing"),
        encoder=encoder,
        classifier=CLASSIFIERS[kind](network) if classifier is None else classifier,
        feature_size=network.features.size,
        dropout=0.0 if network.is_video_level else network.dropout,
        dtype=dtype,
        name=name,
    )
    model.build()
    return model
