"""What a new run's networks start with besides a seed: another run's weights, the eigenvalues of the features' PCA."""

import math

from youtube8m_distill import schema
from youtube8m_distill.config import differences
from youtube8m_distill.models.preprocessing import read_eigenvalues
from youtube8m_distill.runs.folder import open_run

# Fields whose difference leaves the encoders alike. The features are compared apart: bytes or floats make no difference.
OF_THE_CLASSIFIER = ("num_classes", "classifier", "moe_num_mixtures", "moe_prob_gating")


def has_eigenvalues(init_from):
    """Whether the network in a training directory carries the PCA's eigenvalues with its weights; "" has none.

    Raises:
        FileNotFoundError, ValueError: beginning with the name of the flag.
    """
    if not init_from:
        return False
    run = _open(init_from)
    return bool(run.config.networks[run.config.main_role].reverse_whitening)


def check_initial_weights(config):
    """Refuses weights and eigenvalues that a run cannot start with, before anything is built.

    Args:
        config: RunConfig.
    Raises:
        FileNotFoundError, ValueError: beginning with the name of the flag that is to blame.
    """
    if config.pca_eigenvalues:
        _read_eigenvalues(config.pca_eigenvalues)
    if config.init_from:
        for role in config.trained_roles:
            _compare(config, role, *_source(config.init_from, role))


def take_initial_weights(config, networks, say):
    """Fills the networks of a run that begins.

    Args:
        config: RunConfig that `check_initial_weights` has passed.
        networks: dict role -> network.
        say: where a line for each network goes: what was taken, and what was not.
    """
    for role in sorted(config.trained_roles, reverse=True):         # the teacher first: the student may share its layers
        if config.init_from:
            _take_weights(config, role, networks[role], say)
        if config.pca_eigenvalues and config.networks[role].reverse_whitening:
            networks[role].preprocessing.set_eigenvalues(_read_eigenvalues(config.pca_eigenvalues))


def _take_weights(config, role, network, say):
    run, source_role = _source(config.init_from, role)
    missing = _compare(config, role, run, source_role)
    source, progress = run.load_network(source_role)
    left_out, why = [], "everything."
    if role == schema.STUDENT and config.distillation.share_classifier:
        left_out, why = ["output_layers"], "the encoder. The classifier comes from the teacher."
    elif missing:
        left_out, why = ["classifiers"], f"all but the classifier, which has {missing} there."
    theirs, ours = (_weights(model, left_out) for model in (source, network))
    for variable, value in zip(ours, theirs, strict=True):
        variable.assign(value)
    count = sum(math.prod(variable.shape) for variable in ours)
    say(f"{role}: starts with {count:,} numbers of the {source_role} in {run.folder}, step {progress.step}: {why}")


def _weights(network, left_out):
    """The network's variables in their order, without those of the layers in the attributes named."""
    others = {id(weight) for name in left_out for layer in getattr(network, name) for weight in layer.weights}
    return [weight for weight in network.weights if id(weight) not in others]


def _compare(config, role, run, source_role):
    """What keeps the classifier's weights from being taken, in words; "" if nothing does.

    Raises:
        ValueError: if the encoder's cannot be taken either.
    """
    ours, theirs = config.networks[role], run.config.networks[source_role]
    where = f"init_from={config.init_from}: the {source_role} there"
    differing = [name for name in differences(ours, theirs) if name != "features"]
    if (ours.features.names, ours.features.sizes) != (theirs.features.names, theirs.features.sizes):
        differing.append("features")
    beyond = [name for name in differing if name not in OF_THE_CLASSIFIER]
    if beyond:
        raise ValueError(f"{where} is another network: {_listed(beyond, ours, theirs)}. Weights are taken between networks "
                         "of one shape.")
    if differing and ours.is_video_level:
        raise ValueError(f"{where} has another classifier ({_listed(differing, ours, theirs)}), and nothing else.")
    return _listed(differing, ours, theirs)


def _listed(names, ours, theirs):
    return ", ".join(f"{name}={getattr(theirs, name)} (here {getattr(ours, name)})" for name in names)


def _source(init_from, role):
    """The run in a folder, and which of its networks a network of this role starts with: the same, or the main one."""
    run = _open(init_from)
    return run, role if role in run.config.trained_roles else run.config.main_role


def _open(init_from):
    try:
        run = open_run(init_from)
        run.weights_folder()
        return run
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"init_from={init_from}: {error}") from error


def _read_eigenvalues(path):
    try:
        return read_eigenvalues(path)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"pca_eigenvalues={path}: {error}") from error
