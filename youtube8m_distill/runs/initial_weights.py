"""What a new run's networks start from besides a seed: another run's weights, the eigenvalues of the features' PCA."""

import logging
import math
from collections.abc import Mapping

import keras

from youtube8m_distill import schema
from youtube8m_distill.config import RunConfig, differences
from youtube8m_distill.errors import SettingError, written
from youtube8m_distill.layers.preprocessing import read_eigenvalues
from youtube8m_distill.runs.run import open_run
from youtube8m_distill.settings import fields_with

log = logging.getLogger(__name__)


def has_eigenvalues(init_from: str) -> bool:
    """Whether the weights in a training directory include the PCA's eigenvalues. False for "".

    Raises:
        SettingError: if there are no weights to start from.
    """
    if not init_from:
        return False
    run = _open(init_from)
    return bool(run.config.networks[run.config.main_role].settings().get("reverse_whitening"))


def check_initial_weights(config: RunConfig) -> None:
    """Refuses weights and eigenvalues that a run cannot start from, before anything is built.

    Raises:
        SettingError: with the setting that is invalid.
    """
    if config.pca_eigenvalues:
        _read_eigenvalues(config)
    if config.init_from:
        for role in config.trained_roles:
            _left_out(config, role, *_source(config.init_from, role))


def take_initial_weights(config: RunConfig, networks: Mapping[str, keras.Model]) -> None:
    """Loads the initial weights of a new run, and logs for each network what was loaded and what was not.

    Args:
        config: one that `check_initial_weights` accepts.
        networks: dict role -> network.
    """
    for role in sorted(config.trained_roles, reverse=True):  # the teacher first: the student may share its layers
        if config.init_from:
            _take_weights(config, role, networks[role])
        if config.pca_eigenvalues and config.networks[role].settings().get("reverse_whitening"):
            networks[role].preprocessing.set_eigenvalues(_read_eigenvalues(config))


def _take_weights(config, role, network):
    run, source_role = _source(config.init_from, role)
    left_out, what = _left_out(config, role, run, source_role)
    source, progress = run.load_network(source_role)
    theirs, ours = (_weights(model, left_out) for model in (source, network))
    for variable, value in zip(ours, theirs, strict=True):
        variable.assign(value)
    count = sum(math.prod(variable.shape) for variable in ours)
    log.info(
        "%s: starts from %s weights of the %s in %s, step %d: %s",
        role,
        f"{count:,}",
        source_role,
        run.folder,
        progress.step,
        what,
    )


def _weights(network, left_out):
    """The network's variables in their order, without those of the layers in the attributes named."""
    others = {id(weight) for name in left_out for layer in getattr(network, name) for weight in layer.weights}
    return [weight for weight in network.weights if id(weight) not in others]


def _left_out(config, role, run, source_role):
    """Attributes of the network whose layers are not loaded, and in words what is.

    Raises:
        SettingError: if the encoder cannot be loaded, or nothing is left to load.
    """
    network = config.networks[role]
    differing = _compare(config, role, run, source_role)
    has_encoder = network.family.encoder_has_weights
    if differing and not has_encoder:
        raise SettingError(
            "init_from",
            f"the classifier of the {source_role} there differs ({differing}), and a {network.model} has no other weights.",
            config.init_from,
        )
    if role == schema.STUDENT and config.distillation.share_classifier:
        if not has_encoder and config.mode == "serial":
            raise SettingError(
                "init_from",
                f"has no effect, since a {network.model} is only a classifier and the student's comes from the teacher. "
                "Omit it, or add --noshare_classifier.",
                config.init_from,
            )
        return ["output_layers"], "the encoder. The classifier comes from the teacher."
    return (["classifiers"], f"all but the classifier ({differing}).") if differing else ([], "everything.")


def _compare(config, role, run, source_role):
    """Why the classifier's weights cannot be loaded, in words; "" if they can.

    Raises:
        SettingError: if the encoder's cannot be loaded either.
    """
    ours, theirs = config.networks[role], run.config.networks[source_role]
    differing = differences(ours, theirs)
    if _names_and_sizes(ours) == _names_and_sizes(theirs):  # bytes or floats make no difference to weights
        differing.pop("features", None)
    of_classifier = {"num_classes", "classifier", *fields_with(type(ours.classifier), shapes_weights=True)}
    beyond = {name: values for name, values in differing.items() if name not in of_classifier}
    if beyond:
        raise SettingError(
            "init_from",
            f"the {source_role} there is another network ({_listed(beyond)}). Both networks must have the same shape.",
            config.init_from,
        )
    return _listed(differing)


def _names_and_sizes(network):
    return network.features.names, network.features.sizes


def _listed(differing):
    return "; ".join(_described(name, there, here) for name, (here, there) in differing.items())


def _described(name, there, here):
    """A difference as a user would write it with flags."""
    if name == "reverse_whitening":
        return f"{'with' if there else 'without'} pca_eigenvalues there, {'with' if here else 'without'} here"
    if name == "features":
        there, here = (f"{written(features.names)} of {written(features.sizes)}" for features in (there, here))
    flag = {"classifier": "video_level_classifier_model", "features": "feature_names"}.get(name, name)
    return f"{flag}={there} there, {here} here"


def _source(init_from, role):
    """The run in a folder, and which of its networks a role starts from: the same role, or the main one."""
    run = _open(init_from)
    return run, role if role in run.config.trained_roles else run.config.main_role


def _open(init_from):
    try:
        run = open_run(init_from)
        run.weights_folder()
        return run
    except (FileNotFoundError, ValueError) as error:
        raise SettingError("init_from", f"{error}", init_from) from error


def _read_eigenvalues(config):
    path, features = config.pca_eigenvalues, config.networks[config.main_role].features
    try:
        values = read_eigenvalues(path)
    except (FileNotFoundError, ValueError) as error:
        raise SettingError("pca_eigenvalues", f"{error}", path) from error
    if len(values) < features.sizes[0]:
        raise SettingError(
            "pca_eigenvalues",
            f"holds {len(values)} numbers, but {features.names[0]} has {features.sizes[0]}. Use those of the PCA that made "
            "these features.",
            path,
        )
    return values
