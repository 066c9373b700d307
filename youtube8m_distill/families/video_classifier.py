"""A network: preprocessing, encoder, classifier. Teacher and student are both of this class."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill import schema
from youtube8m_distill.families.base import Encoder
from youtube8m_distill.families.inference import ExportableNetwork
from youtube8m_distill.layers.dropout import Dropout


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class VideoClassifier(ExportableNetwork):
    """Frames (or a video's mean features) in, class probabilities out.

    Teacher and student differ in the frames they see and in the encoder's block length, not in code. They can share the
    classifier.

    Args:
        preprocessing: layer from stored values to floats.
        encoder: None if the preprocessed mean features of a video-level file are the encoding.
        classifier: layer `encoding -> {"predictions": ...}`, a logistic one with `logits` too.
        feature_size: numbers in one frame, all features together.
        dropout: share dropped between the encoder's two parts, in training only; for most families that is right before
            the classifier. Distillation reads the encoding without dropout.

    Input: one role's part of a batch: `frames` [batch, T, feature_size] in the stored dtype, `num_frames` int [batch], and
    `frame_indices` int [batch, T], without which the frames are taken for the first ones of the video; without encoder,
    `features` float32 [batch, feature_size].
    Output: dict with `encoding` float [batch, D], `predictions` float32 [batch, num_classes] from 0 to 1, `logits` of a
    logistic classifier, with frame_states=True H-RNN's `frame_states` float [batch, T, state size], and of an encoder that
    chooses frames `decisions`, a dict (`Encoder.pool_with_decisions`).
    """

    member_devices: tuple[str, ...] = ()  # of a mixture

    def __init__(
        self,
        preprocessing: keras.layers.Layer,
        encoder: Encoder | None,
        classifier: keras.layers.Layer,
        feature_size: int,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.preprocessing = preprocessing
        self.encoder = encoder
        self.classifier = classifier
        self.feature_size = feature_size
        self.dropout = Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights. Sizes follow from the arguments, so no input shape is needed."""
        if not self.preprocessing.built:
            self.preprocessing.build((None, self.feature_size))
        if self.encoder is not None and not self.encoder.built:
            self.encoder.build((None, None, self.feature_size))
        if not self.classifier.built:
            size = self.feature_size if self.encoder is None else self.encoder.encoding_size
            self.classifier.build((None, size))

    @property
    def reads_frames(self) -> bool:
        return self.encoder is not None

    @property
    def reads_frame_indices(self) -> bool:
        return self.encoder is not None and self.encoder.reads_frame_indices

    @property
    def classifiers(self) -> list[keras.layers.Layer]:
        """The classifier in a list, as a mixture has several."""
        return [self.classifier]

    @property
    def output_layers(self) -> list[keras.layers.Layer]:
        """The layers from encoding to predictions, which a student can share with its teacher."""
        return [self.classifier]

    @property
    def encoding_size(self) -> int:
        return self.classifier.encoding_size

    @property
    def num_classes(self) -> int:
        return self.classifier.num_classes

    def call(
        self, batch: Mapping[str, KerasTensor], training: bool = False, frame_states: bool = False
    ) -> dict[str, KerasTensor]:
        if self.encoder is None:
            encoding = self.preprocessing(batch[schema.FEATURES])
            return {"encoding": encoding, **self.classifier(encoding, training=training)}
        # Keras derives signatures with float placeholders; the code below needs integers.
        num_frames = ops.cast(batch[schema.NUM_FRAMES], "int32")
        frames = self.preprocessing(batch[schema.FRAMES])
        return self.from_frames(frames, num_frames, training, frame_states, batch.get(schema.FRAME_INDICES))

    def from_frames(
        self,
        frames: KerasTensor,
        num_frames: KerasTensor,
        training: bool = False,
        frame_states: bool = False,
        frame_indices: KerasTensor | None = None,
    ) -> dict[str, KerasTensor]:
        """`call` after the preprocessing, from frames float [batch, T, feature_size] and num_frames int32 [batch]."""
        assert self.encoder is not None, "a network without an encoder reads features"
        frames, more = self.encoder.embed(frames, frame_indices), {}
        if frame_states:
            pooled, more["frame_states"] = self.encoder.pool_with_frame_states(frames, num_frames)
        elif self.encoder.makes_decisions:
            pooled, decisions = self.encoder.pool_with_decisions(frames, num_frames, training)
            more["decisions"] = self._with_predictions(decisions, training)
        else:
            pooled = self.encoder.pool(frames, num_frames, training)
        encoding = dropped = self.encoder.project(pooled, training)
        if training and self.dropout.rate:
            # Moving statistics come from the pass without dropout, like evaluation: dropout increases the variance.
            dropped = self.encoder.project(self.dropout(pooled, training=True), training, update_statistics=False)
        return {"encoding": encoding, **more, **self.classifier(dropped, training=training)}

    def _with_predictions(self, decisions, training):
        """Decisions with the predictions after each frame, [batch, budget, num_classes], in place of the states."""
        decisions = dict(decisions)
        states = decisions.pop("states", None)
        if states is None or not training:
            return decisions
        flat = ops.reshape(ops.stop_gradient(states), (-1, states.shape[-1]))
        found = self.classifier(flat, training=training, update_statistics=False)["predictions"]
        return {**decisions, "predictions": ops.reshape(found, (-1, states.shape[1], self.num_classes))}

    def classify_without_dropout(self, outputs: Mapping[str, Any], training: bool = False) -> dict[str, KerasTensor]:
        """What a student matches: predictions and logits (if any) of `outputs`, a result of `call`, but without dropout."""
        return self.classifier(outputs["encoding"], training=training, update_statistics=False)

    def multiply_adds(self, num_frames: int) -> int:
        """Multiply-adds of one video of `num_frames` frames, matrix products only. Each is 2 FLOPs."""
        encoder = 0 if self.encoder is None else self.encoder.multiply_adds(num_frames)
        return encoder + self.classifier.multiply_adds()

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "dtype": serialize(self.dtype_policy),
            "preprocessing": serialize(self.preprocessing),
            "encoder": serialize(self.encoder),
            "classifier": serialize(self.classifier),
            "feature_size": self.feature_size,
            "dropout": self.dropout.rate,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "VideoClassifier":
        return cls(**{key: deserialized(value) for key, value in config.items()})

    def get_build_config(self) -> dict[str, Any]:
        return {"input_shape": None}

    def build_from_config(self, config: dict[str, Any]) -> None:
        self.build()


def deserialized(value: Any) -> Any:
    """The object that a part of a configuration describes; anything else is returned unchanged."""
    return keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
