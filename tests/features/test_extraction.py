import pathlib

import numpy as np
import pytest
import tensorflow as tf

import youtube8m_distill as yt8m
from tests import clips
from youtube8m_distill import SettingError
from youtube8m_distill.data.quantize import quantize
from youtube8m_distill.features import extraction, inputs
from youtube8m_distill.features.extractors import Extractor


def mean_color(frames):
    return frames.mean(axis=(1, 2)) / 255


def loudness(sound):
    return np.stack([np.abs(sound).max(axis=1), -np.ones(len(sound))], axis=1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Five seconds of color, three of them with sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    return clips.write(path, clips.at_rate(5, 5), sound=np.full((1, 48_000), 0.5, np.float32))


def test_features_are_those_of_the_frame_of_each_second(clip):
    found = yt8m.extract_features(clip, mean_color, loudness)
    colors = np.array([clips.color(number) for number in (0, 5, 10, 15, 20)]) / 255
    np.testing.assert_allclose(found["rgb"], colors, atol=0.02)
    np.testing.assert_allclose(found["audio"], [[0.5, -1]] * 3 + [[0, -1]] * 2, atol=1e-3)
    assert found["rgb"].dtype == found["audio"].dtype == np.float32


def test_official_features_become_bytes(clip):
    official = Extractor("inception2015", lambda frames: mean_color(frames) * 8 - 4, is_official=True)
    found = yt8m.extract_features(clip, official)
    assert list(found) == ["rgb"] and found["rgb"].dtype == np.uint8
    expected = quantize(yt8m.extract_features(clip, official.compute)["rgb"])
    np.testing.assert_array_equal(found["rgb"], expected)
    assert np.ptp(expected) == 255  # clipped on both sides


def test_batches_hold_frames_of_one_shape_and_few_bytes(monkeypatch):
    monkeypatch.setattr(extraction, "BATCH_BYTES", 300)
    small, large, huge = np.zeros(100, np.uint8), np.zeros(140, np.uint8), np.zeros(999, np.uint8)
    batches = list(extraction._batches([small] * 4 + [large] * 3 + [huge] * 2))
    assert [batch.shape for batch in batches] == [(3, 100), (1, 100), (2, 140), (1, 140), (1, 999), (1, 999)]


def test_an_extractor_sees_no_more_than_a_batch(clip, monkeypatch):
    monkeypatch.setattr(extraction, "BATCH", 2)
    seen = []
    found = yt8m.extract_features(clip, lambda frames: seen.append(len(frames)) or mean_color(frames))
    assert seen == [2, 2, 1] and len(found["rgb"]) == 5


@pytest.mark.parametrize("most, longer", [(4, True), (5, False), (6, False)])
def test_a_video_is_longer_if_seconds_were_left_out(most, longer, clip):
    found = extraction.extract(clip, Extractor("mean", mean_color), None, most)
    assert (found.is_longer, len(found.features["rgb"])) == (longer, min(most, 5))


def videos(folder, *names):
    return inputs.input_files([folder / name for name in names], None)


def records_of(path):
    return [tf.train.SequenceExample.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]


def test_records_are_official_ones(clip, tmp_path):
    official = Extractor("x", mean_color, is_official=True)
    video = inputs.InputFile(pathlib.Path(clip), b"some id", [3, 7])
    sound = Extractor("y", lambda sound: loudness(sound)[:, :1], is_official=True)
    report = extraction.write_features([video], tmp_path / "o", official, sound)
    (record,) = records_of(tmp_path / "o")
    context = record.context.feature
    assert context["id"].bytes_list.value == [b"some id"] and context["labels"].int64_list.value == [3, 7]
    frames = [frame.bytes_list.value[0] for frame in record.feature_lists.feature_list["rgb"].feature]
    assert frames == [row.tobytes() for row in yt8m.extract_features(clip, official)["rgb"]]
    assert report.features == yt8m.FeatureConfig(names=("rgb", "audio"), sizes=(3, 1), dtype="uint8")


@pytest.fixture
def broken(tmp_path, clip):
    """A folder with a good video, an empty one, and one that is cut."""
    with open(clip, "rb") as file:
        content = file.read()
    for name, part in (("good.mkv", content), ("empty.mkv", b""), ("cut.mkv", content[: len(content) // 2])):
        (tmp_path / name).write_bytes(part)
    return tmp_path


def test_one_broken_video_does_not_stop_the_others(broken):
    report = extraction.write_features(
        videos(broken, "empty.mkv", "cut.mkv", "good.mkv"), broken / "o", Extractor("m", mean_color)
    )
    assert [path.name for path, _ in report.faults] == ["empty.mkv", "cut.mkv"]
    assert report.num_videos == 1 and report.num_frames == 5
    assert [record.context.feature["id"].bytes_list.value[0] for record in records_of(broken / "o")] == [b"good"]


def test_nothing_is_written_if_every_video_is_broken(broken):
    with pytest.raises(ValueError, match="0 of 2 video.s. can be used; .*/o was not written."):
        extraction.write_features(videos(broken, "empty.mkv", "cut.mkv"), broken / "o", Extractor("m", mean_color))
    assert sorted(path.name for path in broken.iterdir()) == ["cut.mkv", "empty.mkv", "good.mkv"]


def test_nothing_is_left_if_the_run_is_interrupted(broken):
    def interrupt(frames):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extraction.write_features(videos(broken, "good.mkv"), broken / "o", Extractor("m", interrupt))
    assert sorted(path.name for path in broken.iterdir()) == ["cut.mkv", "empty.mkv", "good.mkv"]


@pytest.mark.parametrize(
    "compute, message",
    [
        (
            lambda frames: frames.mean(axis=(1, 2, 3)),
            "returned float64 [5] for uint8 [5, 48, 64, 3]; it must return one vector",
        ),
        (lambda frames: np.zeros((1, 3)), "returned float64 [1, 3] for uint8 [5, 48, 64, 3]"),
        (lambda frames: np.zeros((len(frames), 0)), "returned float64 [5, 0]"),
        (lambda frames: [["a"]] * len(frames), "returned <U1 [5, 1]"),
    ],
)
def test_an_extractor_must_return_one_vector_for_each_frame(compute, message, clip):
    with pytest.raises(SettingError) as error:
        yt8m.extract_features(clip, compute)
    assert error.value.name == "extractor" and message in str(error.value)


def test_all_vectors_must_have_one_size(clip, monkeypatch):
    monkeypatch.setattr(extraction, "BATCH", 4)
    with pytest.raises(SettingError, match="audio_extractor=<lambda>: returned vectors of 4 numbers, then of 1"):
        yt8m.extract_features(clip, mean_color, lambda sound: np.zeros((len(sound), len(sound))))


def test_features_that_are_not_finite_are_a_fault_of_the_video(clip):
    with pytest.raises(ValueError, match="clip.mkv: its rgb features contain NaN or infinity."):
        yt8m.extract_features(clip, lambda frames: np.full((len(frames), 2), np.inf))


def test_an_error_of_an_extractor_keeps_its_traceback(clip):
    def divide(frames):
        return frames / 0 if len(frames) == 9 else 1 // 0

    reason = r"^divide failed on .*/clip.mkv, in a batch of uint8 \[5, 48, 64, 3\]: ZeroDivisionError: .* by zero$"
    with pytest.raises(RuntimeError, match=reason) as error:
        yt8m.extract_features(clip, divide)
    assert isinstance(error.value.__cause__, ZeroDivisionError)
