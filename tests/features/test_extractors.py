import sys

import keras
import numpy as np
import pytest

from tests import stand_ins
from youtube8m_distill import FeaturesConfig, SettingError, load_extractors
from youtube8m_distill.features import keras_applications

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
SOUND = np.zeros((2, 16_000), np.float32)


@pytest.fixture(scope="module")
def network():
    return keras.applications.MobileNet(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    network.save_weights(folder / "mobilenet.weights.h5")
    return str(folder)


def test_a_keras_network_gives_its_pooled_features(network, weights):
    extractor, sound = load_extractors(FeaturesConfig(extractor="keras:MobileNet", extractor_dir=weights))
    expected = network(keras.applications.mobilenet.preprocess_input(FRAMES.astype(np.float32)))
    np.testing.assert_allclose(extractor.compute(FRAMES), expected, rtol=1e-4, atol=1e-5)
    assert sound is None and not extractor.is_official
    flat = np.broadcast_to(np.uint8([10, 200, 90]), (1, 33, 55, 3))
    wide = np.broadcast_to(np.uint8([10, 200, 90]), (1, 224, 224, 3))
    np.testing.assert_allclose(extractor.compute(flat), extractor.compute(wide), rtol=1e-4, atol=1e-5)


def test_weights_of_another_network_are_refused(weights):
    with pytest.raises(SettingError, match="extractor_dir=.*mobilenet.weights.h5 does not hold weights of VGG16"):
        keras_applications.load("VGG16", weights)


def test_without_weights_and_without_a_connection_the_advice_is_to_copy_them(monkeypatch):
    def no_network(weights, **options):
        url = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/" + 60 * "x"
        raise OSError(f"URL fetch failure on {url} of \x1b[1m{weights}\x1b[0m: None -- [Errno -2] Name or service not known")

    monkeypatch.setattr(keras.applications.mobilenet, "MobileNet", no_network)
    with pytest.raises(SettingError) as error:
        keras_applications.load("MobileNet")
    assert str(error.value).startswith("extractor=keras:MobileNet: its weights cannot be downloaded (URL fetch failure on h")
    assert " of imagenet: None -- [Errno -2] Name or service not known). Without" in str(error.value)
    assert str(error.value).endswith("copy the file from another machine's ~/.keras/models to a folder for --extractor_dir.")


def test_every_network_is_known_by_its_name():
    known = keras_applications._networks()
    assert {"MobileNetV2", "MobileNetV3Small", "ResNet50V2", "ConvNeXtTiny", *keras_applications.SIZES} <= known.keys()
    assert known["ResNet50V2"] == (keras.applications.ResNet50V2, keras.applications.resnet_v2.preprocess_input)


def test_a_wrong_name_of_a_network_is_reported_with_the_nearest():
    with pytest.raises(
        SettingError, match="extractor=keras:MobilNetV2: Keras Applications has no such network. Did you mean M"
    ):
        keras_applications.load("MobilNetV2")


@pytest.fixture
def module(tmp_path, monkeypatch):
    text = "class A:\n    @staticmethod\n    def f(frames):\n        return frames[:, 0, 0] / 2\nx = 3\n"
    (tmp_path / "own_extractor.py").write_text(text)
    (tmp_path / "own_broken.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("own_extractor", "own_broken"):
        sys.modules.pop(name, None)


def test_any_callable_can_be_named(module):
    config = FeaturesConfig(extractor="own_extractor:A.f", audio_extractor="numpy:mean")
    extractor, sound = load_extractors(config)
    np.testing.assert_array_equal(extractor.compute(FRAMES), FRAMES[:, 0, 0] / 2)
    assert sound is not None and sound.compute is np.mean and not sound.is_official


@pytest.mark.parametrize(
    "name, message",
    [
        ("own_extractor:b", "extractor=own_extractor:b: cannot be imported (module 'own_extractor' has no attribute 'b')."),
        ("no_such_module:f", "extractor=no_such_module:f: cannot be imported (No module named 'no_such_module')."),
        ("own_extractor:x", "extractor=own_extractor:x: is int, which cannot be called."),
    ],
)
def test_names_that_are_no_callables_are_refused(name, message, module):
    with pytest.raises(SettingError) as error:
        load_extractors(FeaturesConfig(extractor=name))
    assert str(error.value).startswith(message)


def test_an_error_within_a_module_is_shown_as_it_is(module):
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        load_extractors(FeaturesConfig(extractor="own_broken:f"))


def test_official_extractors_of_both_are_the_default(tmp_path, weights):
    stand_ins.write_inception(tmp_path)
    stand_ins.write_vggish(tmp_path)
    extractor, sound = load_extractors(FeaturesConfig(extractor_dir=str(tmp_path)))
    assert sound is not None and extractor.is_official and sound.is_official
    assert extractor.compute(FRAMES[:1, :9, :9]).shape == (1, 1024) and sound.compute(SOUND).shape == (2, 128)
    (tmp_path / "x.weights.h5").write_bytes(open(f"{weights}/mobilenet.weights.h5", "rb").read())
    both = FeaturesConfig(extractor="keras:MobileNet", audio_extractor="vggish", extractor_dir=str(tmp_path))
    assert [each.is_official for each in load_extractors(both) if each] == [False, True]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({}, "extractor_dir: is missing: the folder with the files of inception2015 and vggish, which the manual lists."),
        ({"audio_extractor": "none"}, "extractor_dir: is missing: the folder with the files of inception2015, which"),
        ({"extractor": "inception"}, "extractor=inception: choose inception2015, keras:NAME, or module:callable."),
        ({"extractor": "keras:"}, "extractor=keras:: choose"),
        (
            {"extractor": "a:b", "audio_extractor": "keras:VGG16"},
            "audio_extractor=keras:VGG16: choose vggish, none, or module",
        ),
        (
            {"extractor": "a:b", "audio_extractor": "vggish"},
            "extractor_dir: is missing: the folder with the files of vggish",
        ),
        (
            {"extractor": "a:b", "extractor_dir": "x"},
            "extractor_dir=x: has no effect with extractor=a:b and audio_extractor=none.",
        ),
        ({"extractor": "a:b", "max_video_frames": 0}, "max_video_frames=0: choose a value from 1 to 10,000."),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(SettingError) as error:
        FeaturesConfig(**settings)
    assert str(error.value).startswith(message)
