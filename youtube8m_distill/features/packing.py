"""Arrays of features, and MediaPipe's files, to folders of TFRecord files."""

import collections
import contextlib
import logging
import os
import pathlib
import typing
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from youtube8m_distill import config, files, schema
from youtube8m_distill.config.features import PackConfig
from youtube8m_distill.data.ids import hash_ids
from youtube8m_distill.data.quantize import quantize
from youtube8m_distill.data.tfrecord import RecordWriter
from youtube8m_distill.display import ProgressBar
from youtube8m_distill.features.inputs import InputFile
from youtube8m_distill.features.records import serialized_record
from youtube8m_distill.settings import require

TRAIN, VALIDATE = "train", "validate"
EXTENSIONS = ".npy", ".npz", ".pb"
ROUNDING_FRAMES = 1  # by which features may differ in length, as extractors treat the last second differently

logger = logging.getLogger(__name__)


class Packed(typing.NamedTuple):
    """What `pack_arrays` wrote."""

    features: config.FeatureConfig
    num_videos: dict[str, int]  # by split
    num_trimmed: int  # videos whose longer feature lost its last frame
    clipped: float  # share of the numbers that were beyond -2 .. 2 when they were turned into bytes


def pack_arrays(videos: Sequence[InputFile], output_dir: str | os.PathLike[str], settings: PackConfig) -> Packed:
    """Writes arrays of features to train0000.tfrecord, ... and perhaps validate0000.tfrecord, ... in a new folder.

    Which videos validate follows from their ids alone, and so does the order of the videos. The folder is complete or
    absent.

    Args:
        videos: .npy, .npz, or .pb files.
    Raises:
        SettingError: if the folder is in use, or no video is left for a split.
        ValueError: if a file cannot be used. Each is logged with its reason.
    """
    files.check_new_folder("output_dir", output_dir)
    for video in videos:
        reason = f"is not a file of {', '.join(EXTENSIONS[:-1])} or {EXTENSIONS[-1]}."
        require(video.path.suffix in EXTENSIONS, "FILE", reason, video.path)
    splits = _splits(videos, settings.validate_share)
    packer = _Packer(settings)
    with files.atomic_path(output_dir) as folder, ProgressBar(len(videos), "pack", "videos") as bar:
        folder.mkdir()
        for split, members in splits.items():
            for number, start in enumerate(range(0, len(members), settings.videos_per_shard)):
                with RecordWriter(folder / f"{split}{number:04d}.tfrecord") as writer:
                    for video in members[start : start + settings.videos_per_shard]:
                        packer.pack(video, writer)
                        bar.update()
        if packer.num_faults:
            raise ValueError(f"{packer.num_faults} of {len(videos)} files cannot be used; {output_dir} was not written.")
        return packer.report({split: len(members) for split, members in splits.items()})


def _splits(videos, share):
    """The videos of each split, in an order that depends on the ids alone."""
    hashes = hash_ids(video.video_id for video in videos)
    validates = hashes < share * 2.0**64
    order = np.argsort(hashes, kind="stable")
    found = {
        split: [videos[place] for place in order if validates[place] == (split == VALIDATE)]
        for split in (TRAIN, VALIDATE)[: 1 + (share > 0)]
    }
    empty = next((split for split, members in found.items() if not members), None)
    require(empty is None, "validate_share", f"leaves none of {len(videos)} videos for {empty}*.tfrecord.", share)
    return found


class _Packer:
    """Turns files into records, counts what is wrong or changed, and sees that all have the same features."""

    def __init__(self, settings):
        self.settings = settings
        self.first, self.features = pathlib.Path(), {}  # the first file, and its features: name -> (size, dtype)
        self.num_faults = self.num_trimmed = 0
        self.counts = collections.Counter()  # of numbers that were quantized, and of those that were clipped

    def pack(self, video, writer):
        try:
            features = self._checked(read_features(video.path, self.settings.feature_name), video.path)
        except ValueError as error:
            self.num_faults += 1
            logger.warning("%s: %s", video.path, error)
        else:
            writer.write(serialized_record(video.video_id, features, video.labels))

    def _checked(self, features, path):
        """Features of one length and as they are stored. ValueError if they differ from those of the first file."""
        lengths = {name: len(array) for name, array in features.items()}
        shortest, longest = min(lengths.values()), max(lengths.values())
        if longest - shortest > ROUNDING_FRAMES:
            counts = ", ".join(f"{length} of {name}" for name, length in lengths.items())
            raise ValueError(f"its features have different numbers of frames: {counts}.")
        self.num_trimmed += longest > shortest
        features = {name: self._stored(array[:shortest]) for name, array in features.items()}
        found = {name: (array.shape[1], array.dtype.name) for name, array in features.items()}
        if not self.features:
            self.first, self.features = path, found
        if found != self.features:
            raise ValueError(f"holds {_listed(found)}, and {self.first} holds {_listed(self.features)}.")
        return features

    def _stored(self, array):
        if array.dtype == np.uint8 or not self.settings.quantize:
            return array
        beyond = (array < schema.QUANTIZED_LOW) | (array > schema.QUANTIZED_HIGH)
        self.counts.update(all=array.size, clipped=int(beyond.sum()))
        return quantize(array)

    def report(self, num_videos):
        sizes = {name: size for name, (size, _) in self.features.items()}
        is_bytes = all(dtype == "uint8" for _, dtype in self.features.values())
        dtype = "uint8" if is_bytes else "float32"
        features = config.FeatureConfig(names=tuple(sizes), sizes=tuple(sizes.values()), dtype=dtype)
        return Packed(features, num_videos, self.num_trimmed, self.counts["clipped"] / max(1, self.counts["all"]))


def _listed(found):
    return ", ".join(f"{name} ({size} {dtype})" for name, (size, dtype) in found.items())


def read_features(path: pathlib.Path, feature_name: str = "rgb") -> dict[str, np.ndarray]:
    """The features in a file by name, uint8 or float32 [frames, size].

    Args:
        path: .npy, one array; .npz, arrays by name; or .pb, a SequenceExample of MediaPipe's extractor.
        feature_name: of the array in an .npy file.
    Raises:
        ValueError: without the name of the file, if it cannot be read, or holds anything but finite numbers of this shape.
    """
    found = _mediapipe(path) if path.suffix == ".pb" else _arrays(path, feature_name)
    return {name: _checked_array(name, array) for name, array in sorted(found.items(), key=_official_first)}


def _official_first(item):
    return [*schema.FRAME_FEATURES, item[0]].index(item[0]), item[0]


def _arrays(path, feature_name):
    try:
        loaded = np.load(path, allow_pickle=False)
        with loaded if isinstance(loaded, np.lib.npyio.NpzFile) else contextlib.nullcontext():
            found = {feature_name: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except Exception as error:  # of NumPy, zipfile, zlib and tokenize, of many types
        raise ValueError(f"is not a {path.suffix} file of numbers ({error}).") from error
    if not found:
        raise ValueError("holds no array.")
    other = next((name for name, array in found.items() if not isinstance(array, np.ndarray)), None)
    if other is not None:
        raise ValueError(f"holds {other!r}, which is not an array.")
    return found


def _mediapipe(path):
    try:
        lists = tf.train.SequenceExample.FromString(path.read_bytes()).feature_lists.feature_list
    except Exception as error:  # protobuf's own DecodeError, which TensorFlow does not export
        raise ValueError(f"is not a SequenceExample ({error}).") from error
    keys = {name: schema.MEDIAPIPE_KEY.format(name.upper()) for name in schema.FRAME_FEATURES}
    stored = {name: lists[key].feature for name, key in keys.items() if key in lists}
    found = {name: [list(frame.float_list.value) for frame in frames] for name, frames in stored.items()}
    if not found:
        raise ValueError(f"holds none of {', '.join(keys.values())}, which MediaPipe's extractor writes.")
    for name, frames in found.items():
        if len({len(frame) for frame in frames}) > 1:
            raise ValueError(f"its {name} frames have different sizes.")
    return {name: np.array(frames, np.float32) for name, frames in found.items()}


def _checked_array(name, array):
    shape = f"{array.dtype} {list(array.shape)}"
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name} is {shape}; it must be [frames, size], with one frame or more.")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise ValueError(f"{name} is {shape}; give floats, or the bytes of quantized features as uint8.")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN, infinity, or a number that is too large.")
    return array
