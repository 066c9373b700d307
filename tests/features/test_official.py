import numpy as np
import pytest

from tests import stand_ins
from youtube8m_distill import SettingError
from youtube8m_distill.features import inception2015, official_files, vggish


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("extractor")


@pytest.fixture(scope="module")
def expected_rgb(folder):
    return stand_ins.write_inception(folder)


@pytest.fixture(scope="module")
def weights(folder):
    return stand_ins.write_vggish(folder)


FRAMES = np.random.default_rng(1).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
SOUND = np.random.default_rng(2).normal(size=(2, 16_000)).astype(np.float32) / 4


def test_inception_features_are_projected_and_whitened(folder, expected_rgb):
    found = inception2015.load(str(folder))(FRAMES)
    assert found.shape == (3, 1024)
    np.testing.assert_allclose(found, expected_rgb(FRAMES), rtol=1e-3, atol=1e-4)


def test_mediapipe_s_files_give_the_same_features(folder, expected_rgb, tmp_path):
    (tmp_path / inception2015.GRAPH).write_bytes((folder / inception2015.GRAPH).read_bytes())
    scale = np.sqrt(np.load(folder / "eigenvals.npy")[:1024] + 1e-4)
    stand_ins.write_matrix(tmp_path / "inception3_mean_matrix_data.pb", np.load(folder / "mean.npy"))
    projection = np.load(folder / "eigenvecs.npy")[:1024] / scale  # [1024, 2048], which MediaPipe multiplies from the left
    stand_ins.write_matrix(tmp_path / "inception3_projection_matrix_data.pb", projection)
    np.testing.assert_allclose(inception2015.load(str(tmp_path))(FRAMES), expected_rgb(FRAMES), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("by_column", [True, False])
def test_matrices_are_read_in_both_orders(by_column, tmp_path):
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    stand_ins.write_matrix(tmp_path / "a.pb", matrix, by_column)
    np.testing.assert_array_equal(official_files.read_matrix(tmp_path / "a.pb"), matrix)


def log_mel(sound):
    """The log-mel spectrogram of a second, by the formulas of HTK's filters, one window and one band at a time."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    mel = lambda hertz: 1127 * np.log(1 + hertz / 700)
    edges = np.linspace(mel(125), mel(7500), 66)
    found = np.empty((96, 64))
    for row in range(96):
        piece = sound[160 * row : 160 * row + 400] * window
        spectrum = np.abs([np.sum(piece * np.exp(-2j * np.pi * k * np.arange(400) / 512)) for k in range(257)])
        for band in range(64):
            low, center, high = edges[band : band + 3]
            bins = mel(np.arange(257) * 16_000 / 512)
            triangle = np.maximum(0, np.minimum((bins - low) / (center - low), (high - bins) / (high - center)))
            triangle[0] = 0
            found[row, band] = np.log(spectrum @ triangle + 0.01)
    return found


def test_the_spectrogram_is_audioset_s():
    found = vggish.log_mel(SOUND)
    assert found.shape == (2, 96, 64)
    np.testing.assert_allclose(found[1], log_mel(SOUND[1].astype(np.float64)), atol=2e-3)


def projected(folder, embeddings):
    with np.load(folder / "vggish_pca_params.npz") as file:
        return (file["pca_eigen_vectors"] @ (embeddings.T - file["pca_means"])).T


def test_vggish_is_computed_from_audioset_s_checkpoint(folder, weights):
    found = vggish.load(str(folder))(SOUND)
    embeddings = stand_ins.embed(vggish.log_mel(SOUND), weights)
    assert found.shape == (2, 128) and np.ptp(embeddings) > 0.1
    np.testing.assert_allclose(found, projected(folder, embeddings), rtol=1e-3, atol=1e-4)


def test_vggish_is_computed_by_mediapipe_s_graph(folder, weights, tmp_path):
    last = np.random.default_rng(3).normal(size=(64, 128)).astype(np.float32)
    stand_ins.write_vggish_graph(tmp_path, last)
    with np.load(folder / "vggish_pca_params.npz") as file:
        stand_ins.write_matrix(tmp_path / "vggish_mean_matrix_data.pb", file["pca_means"])
        stand_ins.write_matrix(tmp_path / "vggish_projection_matrix_data.pb", file["pca_eigen_vectors"])
    expected = projected(folder, np.mean(vggish.log_mel(SOUND), axis=1) @ last)
    np.testing.assert_allclose(vggish.load(str(tmp_path))(SOUND), expected, rtol=1e-3, atol=1e-3)


def copy_without(folder, target, *names):
    for path in folder.iterdir():
        if path.name not in names:
            (target / path.name).write_bytes(path.read_bytes())


@pytest.mark.parametrize(
    "load, change, message",
    [
        (inception2015.load, {"classify_image_graph_def.pb": None}, "needs classify_image_graph_def.pb in this folder"),
        (
            inception2015.load,
            {"mean.npy": None},
            "needs mean.npy and eigenvals.npy and eigenvecs.npy, or inception3_mean_matrix_data.pb and inception3_proj",
        ),
        (inception2015.load, {"classify_image_graph_def.pb": b"\xff" * 50}, "is not a frozen TensorFlow graph"),
        (inception2015.load, {"classify_image_graph_def.pb": b""}, "has no tensor DecodeJpeg:0: it is another graph."),
        (
            inception2015.load,
            {"eigenvecs.npy": b"\x93NUMPY"},
            "mean.npy and eigenvals.npy and eigenvecs.npy cannot be read (",
        ),
        (vggish.load, {"vggish_model.ckpt": None}, "vggish needs vggish_model.ckpt, or vggish_new.pb in this folder."),
        (vggish.load, {"vggish_model.ckpt": b"x" * 50}, "vggish_model.ckpt is not the checkpoint of VGGish ("),
        (vggish.load, {"vggish_pca_params.npz": b"PK"}, "vggish_pca_params.npz cannot be read ("),
    ],
)
def test_files_that_are_missing_or_wrong_are_named(load, change, message, folder, expected_rgb, weights, tmp_path):
    copy_without(folder, tmp_path, *change)
    for name, content in change.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingError) as error:
        load(str(tmp_path))
    assert error.value.name == "extractor_dir" and message in str(error.value)


def test_a_projection_of_another_size_is_refused(folder, expected_rgb, tmp_path):
    copy_without(folder, tmp_path)
    np.save(tmp_path / "mean.npy", np.zeros(7))
    with pytest.raises(SettingError, match="hold a mean of 7 numbers and a matrix .2048, 1024.; inception2015 has 2048"):
        inception2015.load(str(tmp_path))
