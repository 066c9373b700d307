"""Loads the weights of the paper's original TensorFlow 1 code into a network."""

from collections.abc import Mapping

import numpy as np

from youtube8m_distill.families.hrnn.encoder import HierarchicalRNN
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.layers.moe import MixtureOfExperts


def convert_lstm_kernel(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A `BasicLSTMCell`'s weights in the layout of a Keras LSTM.

    TF1 has one kernel [input + cells, 4 * cells], with gates in the order i, j, f, o. Keras has one for the input and one
    for the state, with gates in the order i, f, c (= j), o. Both have a bias [4 * cells].
    """
    cells = bias.shape[0] // 4

    def reorder(values):
        i, j, f, o = np.split(values, 4, axis=-1)
        return np.concatenate([i, f, j, o], axis=-1)

    kernel, bias = reorder(kernel), reorder(bias)
    bias[cells : 2 * cells] += 1.0  # BasicLSTMCell adds the forget bias at run time; Keras stores it
    return kernel[:-cells], kernel[-cells:], bias


def assign_original_weights(
    network: VideoClassifier, arrays: Mapping[str, np.ndarray], frames_per_block: int, scope: str = "model"
) -> None:
    """Sets the weights of an H-RNN network with a `MoeModel` classifier from the original code's variables.

    Warning: weights of an LSTM fit any block length, so no shape tells whether the block length is right. With another one,
    the network gives other predictions than it was trained for.

    Args:
        network: of the same sizes and block length as the original.
        frames_per_block: the block length that the weights were trained with. In the release it is 15 for the teacher, which
            reads 300 frames in 20 blocks, and k / 5 for a student of k frames, which reads 5 blocks.
        arrays: variable name -> array, with names as `tf.train.load_checkpoint` lists them, for example
            `model/RNN_L1/rnn/multi_rnn_cell/cell_0/basic_lstm_cell/kernel` or `model/classifier/gates/weights`.
        scope: "model" for the teacher, "model_student" for the student.
    Raises:
        ValueError: if the network is of another kind or has another block length, or a variable is missing, ambiguous or of
            another shape.
    """
    encoder, classifier = network.encoder, network.classifier
    if not (isinstance(encoder, HierarchicalRNN) and isinstance(classifier, MixtureOfExperts)):
        raise ValueError(
            "The original weights need a HierarchicalRNN encoder and a MixtureOfExperts classifier. "
            f"Received: {type(encoder).__name__} and {type(classifier).__name__}."
        )
    if encoder.frames_per_block != frames_per_block:
        raise ValueError(
            f"frames_per_block={frames_per_block}, but the network has blocks of {encoder.frames_per_block} frames. "
            "Build it with the block length of these weights."
        )
    for name, level in (("RNN_L1", encoder.lower), ("RNN_L2", encoder.upper)):
        for index, layer in enumerate(level.layers):
            path, kernel = _find(arrays, scope, name, f"cell_{index}", "kernel")
            _, bias = _find(arrays, scope, name, f"cell_{index}", "bias")
            for variable, values in zip(layer.cell.weights, convert_lstm_kernel(kernel, bias)):
                _assign(variable, path, values)
    _assign(classifier.gates.kernel, *_find(arrays, scope, "gates/weights"))
    _assign(classifier.experts.kernel, *_find(arrays, scope, "experts/weights"))
    _assign(classifier.experts.bias, *_find(arrays, scope, "experts/biases"))


def _find(arrays, scope, *parts):
    """Name and values of the only variable of `scope` whose path contains all parts and ends with the last one."""
    *inner, last = parts
    of_scope = [name for name in arrays if name.startswith(f"{scope}/") and name.endswith(f"/{last}")]
    found = [name for name in of_scope if all(f"/{part}/" in name for part in inner)]
    if len(found) != 1:
        raise ValueError(
            f"Expected one variable {scope}/…/{'/…/'.join(parts)}; found {', '.join(found) or 'none'} "
            f"among {len(arrays)} variables."
        )
    return found[0], np.asarray(arrays[found[0]])


def _assign(variable, path, values):
    if tuple(variable.shape) != values.shape:
        raise ValueError(
            f"{path} has the shape {values.shape}, but {variable.path} has {tuple(variable.shape)}: "
            "build the network with the original's sizes (lstm_cells, lstm_layers, num_classes, features)."
        )
    variable.assign(values)
