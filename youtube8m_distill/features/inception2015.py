"""The rgb features of YouTube-8M: the last pooled layer of the Inception network of 2015, projected and whitened.

As in google/youtube-8m, feature_extractor/feature_extractor.py: the graph classify_image_graph_def.pb of
inception-2015-12-05.tgz takes a frame of any size at DecodeJpeg:0, scales it to 299 x 299, and gives 2,048 numbers at
pool_3/_reshape:0. yt8m_pca.tgz holds mean.npy, eigenvals.npy, and eigenvecs.npy, whose first 1,024 rows are used; the result
is divided by the roots of the eigenvalues + 1e-4. google/mediapipe, examples/desktop/youtube8m, takes the same tensors, and
has mean and whitened projection in inception3_mean_matrix_data.pb and inception3_projection_matrix_data.pb.
"""

from collections.abc import Callable

import numpy as np

from youtube8m_distill.features import official_files

GRAPH, FEED, FETCH = "classify_image_graph_def.pb", "DecodeJpeg:0", "pool_3/_reshape:0"
SIZES = 2048, 1024
NUMPY_FILES = "mean.npy", "eigenvals.npy", "eigenvecs.npy"
MEDIAPIPE_FILES = "inception3_mean_matrix_data.pb", "inception3_projection_matrix_data.pb"


def load(folder: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function from frames uint8 [N, H, W, 3] to features float32 [N, 1024], from the files in a folder.

    Raises:
        SettingError: if a file is missing or is another.
    """
    (path,) = official_files.choose_files(folder, "inception2015", [GRAPH])
    sets = {NUMPY_FILES: _of_numpy, MEDIAPIPE_FILES: _of_mediapipe}
    mean, matrix = official_files.read_projection(folder, "inception2015", sets, SIZES)
    run = official_files.load_graph(path, FEED, FETCH)

    def features(frames):
        pooled = np.concatenate([run(frame).reshape(1, -1) for frame in frames])  # the graph takes one at a time
        return (pooled - mean) @ matrix

    return features


def _of_numpy(mean, eigenvalues, eigenvectors):
    scale = np.sqrt(np.load(eigenvalues).reshape(-1)[: SIZES[1]] + 1e-4)
    return np.load(mean), np.load(eigenvectors).T[:, : SIZES[1]] / scale


def _of_mediapipe(mean, projection):
    return official_files.read_matrix(mean), official_files.read_matrix(projection).T
