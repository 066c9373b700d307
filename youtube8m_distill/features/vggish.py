"""The audio features of YouTube-8M: the embedding of VGGish of 0.96 s in each second of sound, projected and whitened.

The log-mel spectrogram is that of tensorflow/models, research/audioset (vggish_params.py, mel_features.py): windows of 25 ms
every 10 ms, 64 bands from 125 to 7,500 Hz, log(x + 0.01). The network is that of vggish/vggish_slim.py, whose embedding has
no ReLU. One patch of 96 rows per second, not per 0.96 s, is that of google/mediapipe, graphs/youtube8m/
feature_extraction.pbtxt. Its frozen graph (vggish/input_features:0 -> vggish/fc2/BiasAdd:0) and projection are read, too.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from youtube8m_distill.errors import SettingError
from youtube8m_distill.features import official_files
from youtube8m_distill.features.media import SOUND_RATE

CHECKPOINT, GRAPH = "vggish_model.ckpt", "vggish_new.pb"
FEED, FETCH = "vggish/input_features:0", "vggish/fc2/BiasAdd:0"
AUDIOSET_FILES = ("vggish_pca_params.npz",)
MEDIAPIPE_FILES = "vggish_mean_matrix_data.pb", "vggish_projection_matrix_data.pb"
SIZES = 128, 128
WINDOW, HOP, FFT = 400, 160, 512  # samples
ROWS, BANDS = 96, 64  # of a patch
LOWEST, HIGHEST = 125.0, 7500.0  # Hz
LOG_OFFSET = 0.01
# Layers by name: each group of convolutions ends with max pooling.
CONVOLUTIONS = ("conv1",), ("conv2",), ("conv3/conv3_1", "conv3/conv3_2"), ("conv4/conv4_1", "conv4/conv4_2")
DENSE, EMBEDDING = ("fc1/fc1_1", "fc1/fc1_2"), "fc2"


def load(folder: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function from seconds of sound float32 [N, 16000] to features float32 [N, 128], from the files in a folder.

    Raises:
        SettingError: if a file is missing or is another.
    """
    (path,) = official_files.choose_files(folder, "vggish", [CHECKPOINT], [GRAPH])
    sets = {AUDIOSET_FILES: _of_audioset, MEDIAPIPE_FILES: _of_mediapipe}
    mean, matrix = official_files.read_projection(folder, "vggish", sets, SIZES)
    embed = _of_checkpoint(path) if path.name == CHECKPOINT else official_files.load_graph(path, FEED, FETCH)
    return lambda sound: (embed(log_mel(sound).numpy()) - mean) @ matrix


def log_mel(sound: np.ndarray) -> tf.Tensor:
    """The log-mel spectrogram of the first 0.96 s of each second of sound. float32 [N, 16000] -> [N, 96, 64]."""
    spectrum = tf.abs(tf.signal.stft(sound, WINDOW, HOP, FFT))[:, :ROWS]  # periodic Hann windows
    to_mel = tf.signal.linear_to_mel_weight_matrix(BANDS, FFT // 2 + 1, SOUND_RATE, LOWEST, HIGHEST)
    return tf.math.log(spectrum @ to_mel + LOG_OFFSET)


def _of_checkpoint(path):
    """VGGish with the weights of AudioSet's checkpoint: log-mel patches [N, 96, 64] -> embeddings [N, 128]."""
    names = [name for group in CONVOLUTIONS for name in group] + [*DENSE, EMBEDDING]
    try:
        reader = tf.train.load_checkpoint(str(path))
        kinds = "weights", "biases"
        layers = {name: tuple(reader.get_tensor(f"vggish/{name}/{kind}") for kind in kinds) for name in names}
    except Exception as error:  # of TensorFlow, of many types
        reason = f"{path.name} is not the checkpoint of VGGish ({str(error).splitlines()[0]})."
        raise SettingError(official_files.FLAG, reason, path.parent) from error

    @tf.function(reduce_retracing=True)
    def embed(patches):
        values = patches[..., tf.newaxis]
        for group in CONVOLUTIONS:
            for weights, biases in (layers[name] for name in group):
                values = tf.nn.relu(tf.nn.conv2d(values, weights, 1, "SAME") + biases)
            values = tf.nn.max_pool2d(values, 2, 2, "SAME")
        weights, biases = layers[DENSE[0]]
        values = tf.reshape(values, [-1, weights.shape[0]])
        for weights, biases in (layers[name] for name in DENSE):
            values = tf.nn.relu(values @ weights + biases)
        weights, biases = layers[EMBEDDING]
        return values @ weights + biases

    return lambda patches: embed(patches).numpy()


def _of_audioset(path):
    with np.load(path) as file:
        return file["pca_means"], file["pca_eigen_vectors"].T


def _of_mediapipe(mean, projection):
    return official_files.read_matrix(mean), official_files.read_matrix(projection).T
