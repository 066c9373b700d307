"""Mixtures of networks: several whole networks, and a gate that weighs them video by video (Mix and MOD of 2019)."""

import keras
from keras import ops

from youtube8m_distill import schema
from youtube8m_distill.errors import SettingError
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.layers.batch_normalization import BatchNormalization
from youtube8m_distill.layers.initializers import variance_scaling
from youtube8m_distill.layers.logistic import Logistic
from youtube8m_distill.layers.pooling import mean_of_real_frames


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class MixtureGate(keras.layers.Layer):
    """How much each member counts for a video: `softmax(W BN(mean of the real frames) + b)`, in float32.

    The release takes the mean over padding too; here a frame that is not there has no say. A video without frames counts
    as a mean of zeros, and leaves the batch's statistics alone.

    Args:
        num_members: int.

    Input: frames float [batch, T, size] and num_frames int [batch]. Output: float32 [batch, num_members], sum 1.
    """

    def __init__(self, num_members, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_members = num_members
        self.normalization = BatchNormalization(dtype="float32", name="normalization")

    def build(self, input_shape):
        self.feature_size = input_shape[-1]
        self.normalization.build((None, self.feature_size))
        self.scores = keras.layers.Dense(
            self.num_members, kernel_initializer=variance_scaling(self.feature_size), dtype="float32", name="scores"
        )
        self.scores.build((None, self.feature_size))

    def call(self, frames, num_frames, training=False):
        mean = mean_of_real_frames(frames, num_frames)  # [B, size]
        return ops.softmax(self.scores(self.normalization(mean, mask=num_frames > 0, training=training)), axis=-1)

    def multiply_adds(self):
        """Multiply-adds of one video, matrix products only."""
        return self.feature_size * self.num_members

    def get_config(self):
        return {**super().get_config(), "num_members": self.num_members}


def mix_logits(gate, logits):
    """`z = sum over m of w_m z_m`.

    Args:
        gate: float32 [batch, M].
        logits: list of M float32 [batch, num_classes].
    Returns:
        float32 [batch, num_classes].
    """
    # Products one by one: a matrix product may be rounded to fewer bits on a GPU.
    return ops.sum(gate[:, :, None] * ops.stack(logits, axis=1), axis=1)


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class NetworkMixture(keras.Model):
    """Several networks under one gate; to everything else, one network with the interface of VideoClassifier.

    A member may be a mixture itself: three networks make a MixNeXtVLAD, four of those a MOD. Every member has weights of
    its own and is a plain network that can be taken out, saved and used alone (`submodel`). The preprocessing is the same
    object in all of them; it runs once.

    The encoding is the members' encodings, one after the other. Between two mixtures of the same shape,
    `representation_loss` is therefore the sum of that loss over corresponding networks.

    Args:
        preprocessing: layer from stored values to floats, the very object that each member holds.
        members: list of VideoClassifiers with a Logistic classifier (logits are what is mixed) or NetworkMixtures, of
            different names: `member_0`, `member_1`, ... Not built, their weights' paths begin with the mixture's name.
        feature_size: int. Numbers in one frame, all features together.
        gate: MixtureGate that another mixture has too, or None for one of its own.

    Call arguments:
        batch: dict with `frames` [batch, T, feature_size] in the stored dtype and `num_frames` int [batch].
        frame_states: bool. Only for the interface's sake: a mixture has no state after each frame.

    Output: dict with `encoding` float [batch, sum of D], `logits` float32 [batch, num_classes], `predictions`, their
    sigmoid, `gate` float32 [batch, M] and `members`, list of M dicts of outputs, nested where a member is a mixture.
    """

    def __init__(self, preprocessing, members, feature_size, gate=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        _check_members(preprocessing, members)
        self.preprocessing = preprocessing
        self.members = list(members)
        self.feature_size = feature_size
        self.gate = MixtureGate(len(members), name="gate") if gate is None else gate

    def build(self, input_shape=None):
        """Creates all weights; sizes are known from the arguments, so no input is needed."""
        if not self.preprocessing.built:
            self.preprocessing.build((None, self.feature_size))
        for member in self.members:
            if not member.built:
                member.build()
        if not self.gate.built:
            self.gate.build((None, None, self.feature_size))
        self.built = True

    @property
    def classifiers(self):
        """The classifiers of all networks that are no mixtures, in order."""
        return [classifier for member in self.members for classifier in member.classifiers]

    @property
    def output_layers(self):
        """The layers from encodings to predictions, gates before what they weigh: what a student may share."""
        return [self.gate] + [layer for member in self.members for layer in member.output_layers]

    @property
    def num_classes(self):
        return self.members[0].num_classes

    def submodels(self) -> dict[str, "VideoClassifier | NetworkMixture"]:
        """dict path -> network of everything in the mixture: "" is the whole, "2" member 2, "2.0" its member 0."""
        found: dict[str, VideoClassifier | NetworkMixture] = {"": self}
        for index, member in enumerate(self.members):
            below = member.submodels() if isinstance(member, NetworkMixture) else {"": member}
            for path, network in below.items():
                found[f"{index}.{path}".rstrip(".")] = network
        return found

    def submodel(self, path):
        """The network at a path as of `submodels`: the very object, a VideoClassifier or NetworkMixture to use alone.

        Raises:
            SettingError: if there is none.
        """
        found = self.submodels()
        if path not in found:
            raise SettingError(
                "submodel",
                f"is not in this mixture; choose one of {', '.join(filter(None, found))}, or an empty path for the whole.",
                path,
            )
        return found[path]

    def call(self, batch, training=False, frame_states=False):
        if frame_states:
            raise ValueError("frame_states=True: a mixture has no state after each frame; match encodings or predictions.")
        # Keras derives signatures with float stand-ins; lengths are whole numbers everywhere below.
        num_frames = ops.cast(batch[schema.NUM_FRAMES], "int32")
        return self.from_frames(self.preprocessing(batch[schema.FRAMES]), num_frames, training)

    def from_frames(self, frames, num_frames, training=False):
        """The part of `call` after the preprocessing.

        Args:
            frames: float [batch, T, feature_size].
            num_frames: int32 [batch].
            training: as for `call`.
        Returns:
            dict as of `call`.
        """
        members = [member.from_frames(frames, num_frames, training) for member in self.members]
        gate = self.gate(frames, num_frames, training=training)
        logits = mix_logits(gate, [outputs["logits"] for outputs in members])
        encoding = ops.concatenate([outputs["encoding"] for outputs in members], axis=-1)
        return {"encoding": encoding, "logits": logits, "predictions": ops.sigmoid(logits), "gate": gate, "members": members}

    def predictions_without_dropout(self, outputs, training=False):
        """As of VideoClassifier: the predictions of `call`'s outputs without dropout. float32 [batch, num_classes]."""
        return ops.sigmoid(_logits_without_dropout(self, outputs, training))

    def multiply_adds(self, num_frames):
        """Multiply-adds of one video of `num_frames` frames, matrix products only. A rate counts 2 FLOPs for each."""
        return sum(member.multiply_adds(num_frames) for member in self.members) + self.gate.multiply_adds()

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "dtype": serialize(self.dtype_policy),
            "preprocessing": _without("build_config", serialize(self.preprocessing)),
            "members": [_config_without_preprocessing(member) for member in self.members],
            "feature_size": self.feature_size,
        }

    @classmethod
    def from_config(cls, config):
        return _network_of(config, keras.saving.deserialize_keras_object(config["preprocessing"]))

    def get_build_config(self):
        return {"input_shape": None}

    def build_from_config(self, config):
        self.build()


def _check_members(preprocessing, members):
    """Refuses what cannot be mixed, and names that two members share."""
    if not members:
        raise ValueError("members=[]: a mixture has at least one.")
    names = [member.name for member in members]
    if len(set(names)) < len(names):
        raise ValueError(f"members are named {', '.join(names)}: give each a name of its own, as member_0, member_1.")
    for member in members:
        if member.preprocessing is not preprocessing:
            raise ValueError(f"{member.name} has another preprocessing object: hand the mixture's to every member.")
        if isinstance(member, VideoClassifier) and member.encoder is None:
            raise ValueError(f"{member.name} has no encoder: members of a mixture read frames.")
        without = [classifier.name for classifier in member.classifiers if not isinstance(classifier, Logistic)]
        if without:
            raise ValueError(f"{member.name}: classifier {without[0]} gives no logits to mix; use Logistic.")
    if len({classifier.num_classes for member in members for classifier in member.classifiers}) > 1:
        raise ValueError(f"members {', '.join(names)} differ in num_classes.")


def _logits_without_dropout(network, outputs, training):
    """Logits from the encodings of `outputs`, which know no dropout. float32 [batch, num_classes]."""
    if isinstance(network, NetworkMixture):
        logits = [_logits_without_dropout(*pair, training) for pair in zip(network.members, outputs["members"])]
        return mix_logits(outputs["gate"], logits)
    return network.classifier(outputs["encoding"], training=training, update_statistics=False)["logits"]


def _config_without_preprocessing(member):
    """A member's configuration but for what all members share."""
    config = _without("preprocessing", member.get_config())
    if isinstance(member, NetworkMixture):
        return config
    return {**config, **{part: _without("build_config", config[part]) for part in ("encoder", "classifier")}}


def _without(left_out, config):
    """A dict less one key. A layer's configuration less `build_config` brings it back without weights.

    Those then get paths that begin with the mixture's name, when the whole is built.
    """
    return {key: value for key, value in config.items() if key != left_out}


def _network_of(config, preprocessing):
    """The network of a configuration: NetworkMixture where it has members, otherwise VideoClassifier."""
    if "members" in config:
        members = [_network_of(member, preprocessing) for member in config["members"]]
        return NetworkMixture(**{**config, "preprocessing": preprocessing, "members": members})
    settings = {key: keras.saving.deserialize_keras_object(value) for key, value in config.items()}
    return VideoClassifier(preprocessing=preprocessing, **settings)
