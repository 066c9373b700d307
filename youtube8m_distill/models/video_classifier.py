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
        encoder: layer `(frames, num_frames) -> encoding`, or None where the preprocessed mean features of a
            video-level file are the encoding.
        classifier: layer `encoding -> predictions`.
        feature_size: int. Numbers in one frame, all features together.
        dropout: float. Share of the encoding dropped before the classifier, in training only. Distillation always
            reads the encoding without it.

    Call arguments:
        batch: dict with `frames` [batch, T, feature_size] in the stored dtype and `num_frames` int [batch]; or, without
            encoder, `features` float32 [batch, feature_size].
        frame_states: bool. Ask for the encoder's state after each frame too (H-RNN).

    Output: dict with `encoding` float [batch, D], `predictions` float32 [batch, num_classes] in 0 .. 1, and
    `frame_states` float [batch, T, state size] where asked.
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
        if self.encoder is not None and not self.encoder.built:
            self.encoder.build((None, None, self.feature_size))
        if not self.classifier.built:
            size = self.feature_size if self.encoder is None else self.encoder.encoding_size
            self.classifier.build((None, size))
        self.built = True

    def call(self, batch, training=False, frame_states=False):
        outputs = self.encode(batch, frame_states)
        dropped = self.dropout(outputs["encoding"], training=training)
        return {**outputs, "predictions": self.classifier(dropped)}

    def encode(self, batch, frame_states=False):
        """The part of `call` before dropout and classifier: a dict without `predictions`."""
        if self.encoder is None:
            return {"encoding": self.preprocessing(batch[schema.FEATURES])}
        frames = self.preprocessing(batch[schema.FRAMES])
        # Keras derives signatures with float stand-ins; lengths are whole numbers everywhere below.
        num_frames = ops.cast(batch[schema.NUM_FRAMES], "int32")
        if not frame_states:
            return {"encoding": self.encoder(frames, num_frames)}
        encoding, states = self.encoder.encode_with_frame_states(frames, num_frames)
        return {"encoding": encoding, "frame_states": states}

    def multiply_adds(self, num_frames):
        """Multiply-adds of one video of `num_frames` frames, matrix products only. A rate counts 2 FLOPs for each."""
        encoder = 0 if self.encoder is None else self.encoder.multiply_adds(num_frames)
        return encoder + self.classifier.multiply_adds()

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {"name": self.name, "dtype": serialize(self.dtype_policy),
                "preprocessing": serialize(self.preprocessing), "encoder": serialize(self.encoder),
                "classifier": serialize(self.classifier), "feature_size": self.feature_size,
                "dropout": self.dropout.rate}

    @classmethod
    def from_config(cls, config):
        layers = {key: keras.saving.deserialize_keras_object(config[key])
                  for key in ("preprocessing", "encoder", "classifier")}
        return cls(**{**config, **layers})

    def get_build_config(self):
        return {"input_shape": None}

    def build_from_config(self, config):
        self.build()
