import io
import json
import pathlib
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from youtube8m_distill import SettingError
from youtube8m_distill.config.features import PackConfig
from youtube8m_distill.data.quantize import quantize
from youtube8m_distill.features import inputs, packing


def files(folder, arrays):
    """InputFiles of arrays: name of the file -> an array, several by name, or bytes."""
    for name, content in arrays.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif isinstance(content, dict):
            np.savez(folder / name, **content)
        else:
            np.save(folder / name, content)
    return inputs.input_files([folder / name for name in arrays], None)


def frames(count, size=3, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(count, size)).astype(dtype)


def damaged_npz():
    """A compressed file with bytes that no compressor writes."""
    file = io.BytesIO()
    np.savez_compressed(file, rgb=frames(50))
    content = bytearray(file.getvalue())
    start = content.index(b"rgb.npy") + len("rgb.npy")
    content[start : start + 60] = b"\xff" * 60
    return bytes(content)


def npz_with_text():
    file = io.BytesIO()
    np.savez(file, rgb=frames(2))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("about.txt", "two frames")
    return file.getvalue()


def npy_of(shape):
    """A .npy file that promises an array of a shape and holds none."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def read(folder, split="train"):
    """Video id -> (labels, {name: array}) of the files of a split, in their order."""
    found = {}
    for path in sorted(folder.glob(f"{split}*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(path)):
            example = tf.train.SequenceExample.FromString(record.numpy())
            context, lists = example.context.feature, example.feature_lists.feature_list
            arrays = {name: np.array([value_of(frame) for frame in lists[name].feature]) for name in lists}
            found[context["id"].bytes_list.value[0].decode()] = list(context["labels"].int64_list.value), arrays
    return found


def value_of(frame):
    return list(frame.bytes_list.value[0]) if frame.bytes_list.value else frame.float_list.value


def test_arrays_are_written_as_they_are(tmp_path):
    numbers = np.arange(6, dtype=np.uint8).reshape(2, 3)
    arrays = {"a.npy": frames(4), "b.npy": frames(1, dtype=np.float64)}
    videos = [video._replace(labels=[2, 5]) for video in files(tmp_path, arrays)]
    packed = packing.pack_arrays(videos, tmp_path / "out", PackConfig(feature_name="clip"))
    found = read(tmp_path / "out")
    assert found["a"][0] == [2, 5] and packed.num_videos == {"train": 2}
    np.testing.assert_array_equal(found["a"][1]["clip"], arrays["a.npy"])
    np.testing.assert_array_equal(found["b"][1]["clip"], arrays["b.npy"].astype(np.float32))
    assert (packed.features.names, packed.features.sizes, packed.features.dtype) == (("clip",), (3,), "float32")
    packing.pack_arrays(files(tmp_path, {"c.npy": numbers}), tmp_path / "bytes", PackConfig())
    np.testing.assert_array_equal(read(tmp_path / "bytes")["c"][1]["rgb"], numbers)


def test_several_features_lose_at_most_a_frame(tmp_path):
    arrays = {"audio": frames(5, 2), "rgb": frames(4)}
    packed = packing.pack_arrays(files(tmp_path, {"a.npz": arrays}), tmp_path / "out", PackConfig())
    found = read(tmp_path / "out")["a"][1]
    np.testing.assert_array_equal(found["audio"], arrays["audio"][:4])
    np.testing.assert_array_equal(found["rgb"], arrays["rgb"])
    assert packed.num_trimmed == 1 and packed.features.names == ("rgb", "audio")


def test_mediapipe_s_files_become_official_records(tmp_path):
    found = {"RGB/feature/floats": frames(3) * 2, "AUDIO/feature/floats": frames(3, 2)}
    record = records.frame_record(found, video_id=None, labels=None, **{"clip/data_path": b"/x/y.mp4"})
    packed = packing.pack_arrays(files(tmp_path, {"y.pb": record}), tmp_path / "out", PackConfig(quantize=True))
    rgb = read(tmp_path / "out")["y"][1]["rgb"]
    np.testing.assert_array_equal(rgb, quantize(found["RGB/feature/floats"]))
    assert packed.features.dtype == "uint8" and packed.clipped == pytest.approx(
        np.mean(np.abs(rgb / 1.0 - 127.5) == 127.5) * 9 / 15
    )


def test_splits_follow_from_the_ids_alone(tmp_path):
    arrays = {f"v{number:03d}.npy": frames(1, seed=number) for number in range(200)}
    videos = files(tmp_path, arrays)
    settings = PackConfig(validate_share=0.2, videos_per_shard=64)
    packed = packing.pack_arrays(videos, tmp_path / "out", settings)
    train, validate = read(tmp_path / "out"), read(tmp_path / "out", "validate")
    assert 25 <= len(validate) <= 55 and sorted([*train, *validate]) == [name.removesuffix(".npy") for name in arrays]
    assert packed.num_videos == {"train": len(train), "validate": len(validate)}
    assert sorted(path.name for path in (tmp_path / "out").glob("train*")) == [f"train{i:04d}.tfrecord" for i in range(3)]
    assert list(train) != sorted(train)  # files that are sorted by class are mixed
    packing.pack_arrays(videos[100::-1], tmp_path / "half", settings)
    assert list(read(tmp_path / "half", "validate")) == [name for name in validate if name <= "v100"]


@pytest.mark.parametrize(
    "content, reason",
    [
        ({"a.npy": frames(3)[0]}, "rgb is float32 [3]; it must be [frames, size], with one frame or more."),
        ({"a.npy": frames(3)[:0]}, "rgb is float32 [0, 3]"),
        ({"a.npy": frames(3)[None]}, "rgb is float32 [1, 3, 3]"),
        ({"a.npy": np.zeros((2, 3), np.int64)}, "rgb is int64 [2, 3]; give floats, or the bytes of quantized features"),
        ({"a.npy": frames(3) * np.nan}, "rgb contains NaN, infinity, or a number that is too large."),
        ({"a.npy": np.full((1, 1), 1e300)}, "rgb contains NaN, infinity, or a number that is too large."),
        ({"a.npy": np.array([["x", None]], object)}, "is not a .npy file of numbers ("),
        ({"a.npy": b""}, "is not a .npy file of numbers ("),
        ({"a.npy": b"x" * 99}, "is not a .npy file of numbers ("),
        ({"a.npz": b"PK\x03\x04" + b"x" * 99}, "is not a .npz file of numbers ("),
        ({"a.npz": {}}, "holds no array."),
        ({"a.npz": damaged_npz()}, "is not a .npz file of numbers (Error -3 while decompressing data"),
        ({"a.npz": npz_with_text()}, "holds 'about.txt', which is not an array."),
        ({"a.npy": npy_of("(2, 3")}, "is not a .npy file of numbers ("),
        ({"a.npy": npy_of(f"({2**50},)")}, "is not a .npy file of numbers (Unable to allocate"),
        (
            {"a.npz": {"rgb": frames(5), "audio": frames(3)}},
            "its features have different numbers of frames: 5 of rgb, 3 of audio.",
        ),
        ({"a.pb": b"\xff" * 9}, "is not a SequenceExample ("),
        ({"a.pb": records.frame_record({"rgb": [b"abc"]})}, "holds none of RGB/feature/floats, AUDIO/feature/floats"),
        ({"0.npy": frames(2), "a.npy": frames(2, 4)}, "holds rgb (4 float32), and {folder}/0.npy holds rgb (3 float32)."),
        (
            {"0.npy": frames(2), "a.npy": np.zeros((2, 3), np.uint8)},
            "holds rgb (3 uint8), and {folder}/0.npy holds rgb (3 float32)",
        ),
    ],
)
def test_files_that_cannot_be_used_are_named_with_the_reason(content, reason, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(packing, "hash_ids", lambda ids: np.arange(len(list(ids)), dtype=np.uint64))  # in order
    with pytest.raises(ValueError, match=f"1 of {len(content)} files cannot be used; .*/out was not written."):
        packing.pack_arrays(files(tmp_path, content), tmp_path / "out", PackConfig())
    (line,) = caplog.messages
    path = tmp_path / list(content)[-1]
    assert line.startswith(f"{path}: {reason.format(folder=tmp_path)}")
    assert not (tmp_path / "out").exists()


def test_every_bad_file_is_reported_at_once(tmp_path, caplog):
    with pytest.raises(ValueError, match="2 of 3 files cannot be used"):
        packing.pack_arrays(files(tmp_path, {"a.npy": b"", "b.npy": frames(2), "c.npy": b"x"}), tmp_path / "o", PackConfig())
    assert sorted(line.partition(":")[0] for line in caplog.messages) == [f"{tmp_path}/a.npy", f"{tmp_path}/c.npy"]


@pytest.mark.parametrize(
    "share, name, message",
    [
        (0.0, "a.txt", "FILE={folder}/a.txt: is not a file of .npy, .npz or .pb."),
        (1e-9, "a.npy", "validate_share=1e-09: leaves none of 1 videos for validate*.tfrecord."),
        (0.999999999, "a.npy", "validate_share=0.999999999: leaves none of 1 videos for train*.tfrecord."),
    ],
)
def test_settings_that_cannot_work_are_refused(share, name, message, tmp_path):
    (tmp_path / name).write_bytes(b"")
    videos = inputs.input_files([tmp_path / name], None)
    with pytest.raises(SettingError) as error:
        packing.pack_arrays(videos, tmp_path / "out", PackConfig(validate_share=share))
    assert str(error.value) == message.format(folder=tmp_path)


def test_a_folder_in_use_is_not_touched(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.json").write_text(json.dumps(1))
    with pytest.raises(SettingError, match="is in use; name a new folder."):
        packing.pack_arrays(files(tmp_path, {"a.npy": frames(2)}), pathlib.Path(tmp_path / "out"), PackConfig())


def test_more_features_than_can_be_read_are_refused_before_the_folder_appears(tmp_path):
    arrays = {f"f{number}": frames(1, 1) for number in range(33)}
    with pytest.raises(SettingError, match="at most 32 can be read"):
        packing.pack_arrays(files(tmp_path, {"a.npz": arrays}), tmp_path / "out", PackConfig())
    assert not (tmp_path / "out").exists()
