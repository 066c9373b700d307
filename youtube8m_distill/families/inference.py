"""Networks as Keras' exporters take them: inputs with fixed names and types, and a flat dict of outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor

from youtube8m_distill import schema

OUTPUTS = ("encoding", "predictions", "logits")


class InferenceModel(keras.Model):
    """A network in evaluation, without outputs that are nested or only of use in training.

    Args:
        network: built. The weights stay its own.
        names: of the outputs to keep; a network may lack some of them.

    Input: as `network`, but without padding to ignore: see `input_signature`. Output: dict of `names`.
    """

    def __init__(self, network: ExportableNetwork, names: Sequence[str] = OUTPUTS) -> None:
        super().__init__(autocast=False, name=network.name)
        self.network = network
        self.names = tuple(names)
        self.built = True

    def call(self, batch: dict[str, KerasTensor]) -> dict[str, KerasTensor]:
        outputs = self.network(batch, training=False)
        return {name: outputs[name] for name in self.names if name in outputs}


class ExportableNetwork(keras.Model):
    """Base class of all networks: Keras' `export` without a call before it."""

    preprocessing: Any
    feature_size: int

    @property
    def reads_frames(self) -> bool:
        """Whether the input is frames and not a video's mean features."""
        return True

    @property
    def reads_frame_indices(self) -> bool:
        """Whether the encoding depends on which frames of the video it is of."""
        return False

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """As in Keras, for frames of any number, or for an `input_signature` like this class's.

        The outputs are `encoding`, `predictions` and, of a logistic classifier, `logits`. For checked files with
        TensorFlow Serving's signatures, use `export_network`.
        """
        signature = self.input_signature() if input_signature is None else input_signature
        InferenceModel(self).export(filepath, format, verbose, signature, **options)

    def input_signature(self, max_frames: int | None = None) -> list[dict[str, keras.InputSpec]]:
        """What Keras' exporters take as `input_signature`: the parts of a batch (`schema`) that this network reads.

        `max_frames` is the length T of `frames`; None for any.
        """
        stored = self.preprocessing.stored_dtype
        if not self.reads_frames:
            parts = {schema.FEATURES: ((None, self.feature_size), stored)}
        else:
            parts = {schema.FRAMES: ((None, max_frames, self.feature_size), stored), schema.NUM_FRAMES: ((None,), "int32")}
            if self.reads_frame_indices:
                parts[schema.FRAME_INDICES] = ((None, max_frames), "int32")
        # Sorted, because converters take the names in this order and TensorFlow passes a dict sorted.
        return [{name: keras.InputSpec(dtype, shape, name=name) for name, (shape, dtype) in sorted(parts.items())}]
