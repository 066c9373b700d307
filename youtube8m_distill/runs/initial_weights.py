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
from youtube8m_distill.settings import require

log = logging.getLogger(__name__)


def has_eigenvalues(init_from: str) -> bool:
    """Whether the weights in a training directory include the PCA's eigenvalues; False for "".

    SettingError if it holds no weights.
    """
    if not init_from:
        return False
    run, role = _source(init_from)
    return bool(run.config.networks[role].settings().get("reverse_whitening"))


def check_initial_weights(config: RunConfig) -> None:
    """Raises SettingError for weights and eigenvalues that a run cannot start from, before anything is built."""
    if config.pca_eigenvalues:
        _read_eigenvalues(config)
    if config.init_from:
        for role in config.trained_roles:
            _left_out(config, role, *_source(config.init_from, role))


def take_initial_weights(config: RunConfig, networks: Mapping[str, keras.Model]) -> None:
    """Loads the initial weights of a new run's networks by role, and logs for each what was loaded and what was not."""
    for role in sorted(config.trained_roles, reverse=True):  # the teacher first: the student may share its layers
        if config.init_from:
            _take_weights(config, role, networks[role])
        if role == schema.STUDENT and config.distillation is not None and config.distillation.start_from_teacher:
            _take_encoder(networks[schema.TEACHER], networks[schema.STUDENT])
        if config.pca_eigenvalues and config.networks[role].settings().get("reverse_whitening"):
            networks[role].preprocessing.set_eigenvalues(_read_eigenvalues(config))


def _take_encoder(teacher, student):
    """Copies a teacher's weights into a student, except those of the layers after the encoding."""
    theirs, ours = (_weights(network, "output_layers") for network in (teacher, student))
    for variable, value in zip(ours, theirs, strict=True):
        variable.assign(value)
    log.info("student: its encoder starts from %s weights of the teacher.", f"{sum(math.prod(v.shape) for v in ours):,}")


def _take_weights(config, role, network):
    run, source_role = _source(config.init_from, role)
    left_out, what = _left_out(config, role, run, source_role)
    source, progress = run.load_network(source_role)
    theirs, ours = (_weights(model, left_out) for model in (source, network))
    for variable, value in zip(ours, theirs, strict=True):
        variable.assign(value)
    loaded = f"{sum(math.prod(variable.shape) for variable in ours):,} weights of the {run.config.title(source_role)}"
    log.info("%s: starts from %s in %s, step %d: %s", config.title(role), loaded, run.folder, progress.step, what)


def _weights(network, left_out):
    """The network's variables in their order, without those of the layers in its attribute `left_out`."""
    others = {id(weight) for layer in (getattr(network, left_out) if left_out else ()) for weight in layer.weights}
    return [weight for weight in network.weights if id(weight) not in others]


def _left_out(config, role, run, source_role):
    """The attribute of the network whose layers are not loaded ("" for none), and what is loaded, in words.

    SettingError if the encoder's weights do not fit, or nothing would be loaded.
    """
    ours, theirs = config.networks[role], run.config.networks[source_role]
    differing = differences(ours, theirs)
    if (ours.features.names, ours.features.sizes) == (theirs.features.names, theirs.features.sizes):
        differing.pop("features", None)  # bytes or floats make no difference to weights
    beyond = {name: values for name, values in differing.items() if name not in ours.classifier_settings}
    has_encoder, words = ours.family.encoder_has_weights, _listed(differing)
    shares = role == schema.STUDENT and config.distillation.share_classifier
    reason = f"the {source_role} there is another network ({_listed(beyond)}). Both networks must have the same shape."
    require(not beyond, "init_from", reason, config.init_from)
    reason = f"the classifier of the {source_role} there differs ({words}), and a {ours.model} has no other weights."
    require(has_encoder or not differing, "init_from", reason, config.init_from)
    reason = (
        f"has no effect, since a {ours.model} is only a classifier and the student's comes from the teacher. Omit it, or "
        "add --noshare_classifier."
    )
    require(has_encoder or not shares or config.mode != "serial", "init_from", reason, config.init_from)
    if shares:
        return "output_layers", "the encoder. The classifier comes from the teacher."
    return ("classifiers", f"all but the classifier ({words}).") if differing else ("", "everything.")


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


def _source(init_from, role=None):
    """The run in a folder, and which of its networks a role starts from: the same role, or the main one."""
    try:
        run = open_run(init_from)
        run.weights_folder()
    except (FileNotFoundError, ValueError) as error:
        raise SettingError("init_from", f"{error}", init_from) from error
    return run, role if role in run.config.trained_roles else run.config.main_role


def _read_eigenvalues(config):
    path, features = config.pca_eigenvalues, config.networks[config.main_role].features
    try:
        values = read_eigenvalues(path)
    except (FileNotFoundError, ValueError) as error:
        raise SettingError("pca_eigenvalues", f"{error}", path) from error
    if len(values) < features.sizes[0]:
        reason = (
            f"holds {len(values)} numbers, but {features.names[0]} has {features.sizes[0]}. Use those of the PCA that made "
            "these features."
        )
        raise SettingError("pca_eigenvalues", reason, path)
    return values
