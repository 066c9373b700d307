"""Mixtures of networks: several networks, and a gate that weights them for each video (Mix and MOD, Lin et al. 2019)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import keras
from keras import KerasTensor, ops

from youtube8m_distill import schema
from youtube8m_distill.families.inference import ExportableNetwork
from youtube8m_distill.families.video_classifier import VideoClassifier, deserialized
from youtube8m_distill.layers.base import Layer
from youtube8m_distill.layers.batch_normalization import BatchNormalization
from youtube8m_distill.layers.initializers import variance_scaling
from youtube8m_distill.layers.logistic import Logistic
from youtube8m_distill.layers.masking import mean_of_real_frames
from youtube8m_distill.settings import require


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class MixtureGate(Layer):
    """The weight of each member for a video: `softmax(W BN(mean of the real frames) + b)`, in float32.

    The release takes the mean over padding too. The mean of a video without frames is zeros; such videos are left out of
    the batch statistics.

    Input: frames float [batch, T, size] and num_frames int [batch]. Output: float32 [batch, num_members], sum 1.
    """

    def __init__(self, num_members: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_members = num_members

    def build(self, input_shape: tuple[Any, ...]) -> None:
        size = input_shape[-1]
        self.normalization = self.sublayer(BatchNormalization, "normalization", size)
        options = {"units": self.num_members, "kernel_initializer": variance_scaling(size)}
        self.scores = self.sublayer(keras.layers.Dense, "scores", size, **options)

    def call(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        mean = mean_of_real_frames(frames, num_frames)  # [B, size]
        return ops.softmax(self.scores(self.normalization(mean, mask=num_frames > 0, training=training)), axis=-1)


def mix_logits(gate: KerasTensor, logits: Sequence[KerasTensor]) -> KerasTensor:
    """`z = sum over m of w_m z_m`, float32 [batch, num_classes], from w [batch, M] and M arrays z like the result."""
    # Not a matrix product, which a GPU may round to fewer bits.
    return ops.sum(gate[:, :, None] * ops.stack(logits, axis=1), axis=1)


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class NetworkMixture(ExportableNetwork):
    """Several networks and a gate, with the interface of VideoClassifier.

    A member may be a mixture: three networks make a MixNeXtVLAD, four of those a MOD. Every member has weights of its own
    and is a network that can be saved and used alone (`submodel`). All members hold the mixture's preprocessing object,
    which runs once.

    The encoding is the concatenation of the members' encodings. `representation_loss` of two mixtures of the same shape is
    therefore the sum of that loss over corresponding networks.

    Args:
        members: VideoClassifiers with a Logistic classifier (their logits are mixed) or NetworkMixtures, with different
            names: `member_0`, `member_1`, ... If they are not built, the paths of their weights start with the mixture's
            name.
        gate: another mixture's MixtureGate to share; None for a new one.
        member_devices: names such as `gpu:1` of the devices over which the members are spread in turn (`on_device_of`); the
            gate, the preprocessing and the mixture of the logits stay on the default device. Empty for all on that device.

    Output: dict with `encoding` float [batch, sum of D], `logits` float32 [batch, num_classes], `predictions`, their
    sigmoid, `gate` float32 [batch, M] and `members`, a list of the M members' outputs.
    """

    def __init__(
        self,
        preprocessing: keras.layers.Layer,
        members: Sequence[Network],
        feature_size: int,
        gate: MixtureGate | None = None,
        member_devices: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        _check_members(preprocessing, members)
        self.preprocessing = preprocessing
        self.members = list(members)
        self.feature_size = feature_size
        self.gate = gate or MixtureGate(len(members), name="gate")
        self.member_devices = tuple(member_devices)

    def build(self, input_shape: Any = None) -> None:
        if not self.preprocessing.built:
            self.preprocessing.build((None, self.feature_size))
        for index, member in enumerate(self.members):
            if not member.built:
                with on_device_of(index, self.member_devices):
                    member.build()
        if not self.gate.built:
            self.gate.build((None, None, self.feature_size))

    @property
    def reads_frame_indices(self) -> bool:
        return any(member.reads_frame_indices for member in self.members)

    @property
    def classifiers(self) -> list[keras.layers.Layer]:
        return [classifier for member in self.members for classifier in member.classifiers]

    @property
    def output_layers(self) -> list[keras.layers.Layer]:
        """As in VideoClassifier; each gate comes before its members."""
        return [self.gate, *(layer for member in self.members for layer in member.output_layers)]

    @property
    def encoding_size(self) -> int:
        return sum(member.encoding_size for member in self.members)

    @property
    def num_classes(self) -> int:
        return self.members[0].num_classes

    def submodels(self) -> dict[str, Network]:
        """Path -> network, for all networks in the mixture: "" is the mixture, "2" member 2, "2.0" its member 0."""
        found: dict[str, Network] = {"": self}
        for index, member in enumerate(self.members):
            below = member.submodels() if isinstance(member, NetworkMixture) else {"": member}
            found |= {f"{index}.{path}".rstrip("."): network for path, network in below.items()}
        return found

    def submodel(self, path: str) -> Network:
        """The network at a path of `submodels`, not a copy. Raises SettingError if there is no such path."""
        found = self.submodels()
        choices = ", ".join(filter(None, found))
        require(path in found, "submodel", f"is not in this mixture; choose one of {choices}.", path)
        return found[path]

    def call(self, batch: Mapping[str, KerasTensor], training: bool = False, frame_states: bool = False) -> dict[str, Any]:
        if frame_states:
            raise ValueError("frame_states=True: a mixture has no state after each frame; match encodings or predictions.")
        num_frames = ops.cast(batch[schema.NUM_FRAMES], "int32")  # as in VideoClassifier
        frames = self.preprocessing(batch[schema.FRAMES])
        return self.from_frames(frames, num_frames, training, frame_indices=batch.get(schema.FRAME_INDICES))

    def from_frames(
        self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False, frame_indices: KerasTensor | None = None
    ) -> dict[str, Any]:
        members = []
        for index, member in enumerate(self.members):
            with on_device_of(index, self.member_devices):
                members.append(member.from_frames(frames, num_frames, training, frame_indices=frame_indices))
        gate = self.gate(frames, num_frames, training=training)
        logits = mix_logits(gate, [outputs["logits"] for outputs in members])
        encoding = ops.concatenate([outputs["encoding"] for outputs in members], axis=-1)
        return {"encoding": encoding, "logits": logits, "predictions": ops.sigmoid(logits), "gate": gate, "members": members}

    def classify_without_dropout(self, outputs: Mapping[str, Any], training: bool = False) -> dict[str, KerasTensor]:
        logits = _logits_without_dropout(self, outputs, training)
        return {"logits": logits, "predictions": ops.sigmoid(logits)}

    def multiply_adds(self, num_frames: int) -> int:
        return sum(member.multiply_adds(num_frames) for member in self.members) + self.gate.multiply_adds()

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "dtype": serialize(self.dtype_policy),
            "preprocessing": _unbuilt(serialize(self.preprocessing)),
            "members": [_member_config(member) for member in self.members],
            "feature_size": self.feature_size,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Network:
        shared = {"preprocessing": deserialized(config["preprocessing"])}
        members = [
            (NetworkMixture if "members" in member else VideoClassifier).from_config({**member, **shared})
            for member in config["members"]
        ]
        return cls(**{**config, **shared, "members": members})

    def get_build_config(self) -> dict[str, Any]:
        return {"input_shape": None}

    def build_from_config(self, config: dict[str, Any]) -> None:
        self.build()


Network: TypeAlias = VideoClassifier | NetworkMixture


def on_device_of(member: int, devices: Sequence[str]) -> AbstractContextManager:
    """The context in which a mixture's member is created, built and called: on one of the devices, in turn, if any."""
    return keras.device(devices[member % len(devices)]) if devices else contextlib.nullcontext()


def _check_members(preprocessing, members):
    if not members:
        raise ValueError("members=[]: a mixture needs at least one.")
    names = [member.name for member in members]
    if len(set(names)) < len(names):
        raise ValueError(f"members have the names {', '.join(names)}: give each a different one, such as member_0.")
    for member in members:
        if member.preprocessing is not preprocessing:
            raise ValueError(f"{member.name} has another preprocessing object: pass the mixture's object to every member.")
        if isinstance(member, VideoClassifier) and member.encoder is None:
            raise ValueError(f"{member.name} has no encoder: members of a mixture read frames.")
        without = [classifier.name for classifier in member.classifiers if not isinstance(classifier, Logistic)]
        if without:
            raise ValueError(f"{member.name}: classifier {without[0]} has no logits to mix; use Logistic.")
    if len({classifier.num_classes for member in members for classifier in member.classifiers}) > 1:
        raise ValueError(f"members {', '.join(names)} differ in num_classes.")


def _logits_without_dropout(network, outputs, training):
    """Logits from the encodings of `outputs`, which are without dropout. float32 [batch, num_classes]."""
    if isinstance(network, NetworkMixture):
        logits = []
        for index, (member, of_member) in enumerate(zip(network.members, outputs["members"], strict=True)):
            with on_device_of(index, network.member_devices):
                logits.append(_logits_without_dropout(member, of_member, training))
        return mix_logits(outputs["gate"], logits)
    return network.classifier(outputs["encoding"], training=training, update_statistics=False)["logits"]


def _member_config(member):
    """A member's configuration without the preprocessing, which all members share."""
    config = member.get_config()
    del config["preprocessing"]
    return {key: _unbuilt(value) if key in ("encoder", "classifier") else value for key, value in config.items()}


def _unbuilt(config):
    """The configuration of a layer that has no weights yet: the mixture builds it, so that their paths have its name."""
    return {key: value for key, value in config.items() if key != "build_config"}
