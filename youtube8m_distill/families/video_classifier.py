"""A network: preprocessing, encoder, classifier. Teacher and student are both this class."""

import keras
from keras import ops

from youtube8m_distill import schema


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class VideoClassifier(keras.Model):
    """Frames (or a video's mean features) in, class probabilities out.

    Teacher and student differ in the frames they are given and in the encoder's block length, not in code. The
    classifier is an object handed in, so that two networks may share it.

    Args:
        preprocessing: layer from stored values to floats.
        encoder: models.encoder.Encoder, `(frames, num_frames) -> encoding`, or None where the preprocessed mean features
            of a video-level file are the encoding.
        classifier: layer `encoding -> {"predictions": ...}`, with `logits` too where there are such.
        feature_size: int. Numbers in one frame, all features together.
        dropout: float. Share dropped between the encoder's two parts, in training only; for most families that is right
            before the classifier. Distillation always reads the encoding without it.

    Call arguments:
        batch: dict with `frames` [batch, T, feature_size] in the stored dtype and `num_frames` int [batch]; or, without
            encoder, `features` float32 [batch, feature_size].
        frame_states: bool. Ask for the encoder's state after each frame too (H-RNN).

    Output: dict with `encoding` float [batch, D], `predictions` float32 [batch, num_classes] in 0 .. 1, `logits` of a
    logistic classifier, and `frame_states` float [batch, T, state size] where asked.
    """

    def __init__(self, preprocessing, encoder, classifier, feature_size, dropout=0.0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.preprocessing = preprocessing
        self.encoder = encoder
        self.classifier = classifier
        self.feature_size = feature_size
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape=None):
        """Creates all weights; sizes are known from the arguments, so no input is needed."""
        if not self.preprocessing.built:
            self.preprocessing.build((None, self.feature_size))
        if self.encoder is not None and not self.encoder.built:
            self.encoder.build((None, None, self.feature_size))
        if not self.classifier.built:
            size = self.feature_size if self.encoder is None else self.encoder.encoding_size
            self.classifier.build((None, size))
        self.built = True

    @property
    def classifiers(self):
        """The classifier in a list: what a network made of several networks has several of."""
        return [self.classifier]

    @property
    def output_layers(self):
        """The layers from encoding to predictions: what a student may share with its teacher."""
        return [self.classifier]

    @property
    def num_classes(self):
        return self.classifier.num_classes

    def call(self, batch, training=False, frame_states=False):
        if self.encoder is None:
            encoding = self.preprocessing(batch[schema.FEATURES])
            return {"encoding": encoding, **self.classifier(encoding, training=training)}
        # Keras derives signatures with float stand-ins; lengths are whole numbers everywhere below.
        num_frames = ops.cast(batch[schema.NUM_FRAMES], "int32")
        return self.from_frames(self.preprocessing(batch[schema.FRAMES]), num_frames, training, frame_states)

    def from_frames(self, frames, num_frames, training=False, frame_states=False):
        """The part of `call` after the preprocessing.

        Args:
            frames: float [batch, T, feature_size].
            num_frames: int32 [batch].
            training, frame_states: as for `call`.
        Returns:
            dict as of `call`.
        """
        states = {}
        if frame_states:
            pooled, states["frame_states"] = self.encoder.pool_with_frame_states(frames, num_frames)
        else:
            pooled = self.encoder.pool(frames, num_frames, training)
        encoding = dropped = self.encoder.project(pooled, training)
        if training and self.dropout.rate:
            # Moving statistics come from the pass without dropout, as evaluation has it: dropout widens the variance.
            dropped = self.encoder.project(self.dropout(pooled, training=True), training, update_statistics=False)
        return {"encoding": encoding, **states, **self.classifier(dropped, training=training)}

    def predictions_without_dropout(self, outputs, training=False):
        """What a student is to match: the predictions of `call`'s outputs as they are without dropout.

        Args:
            outputs: what `call` gave.
            training: as for that call.
        Returns:
            float32 [batch, num_classes].
        """
        return self.classifier(outputs["encoding"], training=training, update_statistics=False)["predictions"]

    def multiply_adds(self, num_frames):
        """Multiply-adds of one video of `num_frames` frames, matrix products only. A rate counts 2 FLOPs for each."""
        encoder = 0 if self.encoder is None else self.encoder.multiply_adds(num_frames)
        return encoder + self.classifier.multiply_adds()

    def get_config(self):
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
    def from_config(cls, config):
        layers = {
            key: keras.saving.deserialize_keras_object(config[key]) for key in ("preprocessing", "encoder", "classifier")
        }
        return cls(**{**config, **layers})

    def get_build_config(self):
        return {"input_shape": None}

    def build_from_config(self, config):
        self.build()
