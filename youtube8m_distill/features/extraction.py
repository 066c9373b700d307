"""Videos to features, and to a file of records."""

import functools
import itertools
import logging
import os
import pathlib
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from youtube8m_distill import config, files, schema
from youtube8m_distill.data.quantize import quantize
from youtube8m_distill.data.tfrecord import RecordWriter
from youtube8m_distill.display import ProgressBar
from youtube8m_distill.errors import SettingError, in_one_line
from youtube8m_distill.features import media
from youtube8m_distill.features.extractors import Extractor
from youtube8m_distill.features.inputs import InputFile
from youtube8m_distill.features.media import UnusableVideoError
from youtube8m_distill.features.records import serialized_record

RGB, AUDIO = schema.FRAME_FEATURES
BATCH, BATCH_BYTES = 32, 2**25  # frames or seconds of sound that an extractor gets at a time
FLAGS = {RGB: "extractor", AUDIO: "audio_extractor"}

logger = logging.getLogger(__name__)


class Extracted(typing.NamedTuple):
    """The features of a video, and what of it was not read."""

    features: dict[str, np.ndarray]
    is_longer: bool  # than the frames that were read
    has_sound: bool


class Report(typing.NamedTuple):
    """What `write_features` did."""

    features: config.FeatureConfig
    num_videos: int  # written
    num_frames: int  # in them
    faults: tuple[tuple[pathlib.Path, str], ...]  # videos that cannot be used, with the reasons
    num_longer: int  # of the videos written, those with more seconds than were read
    num_silent: int  # and those without sound, if features of sound were extracted


def extract_features(
    path: str | os.PathLike[str],
    extractor: Extractor | Callable[[np.ndarray], np.ndarray],
    audio_extractor: Extractor | Callable[[np.ndarray], np.ndarray] | None = None,
    max_video_frames: int = schema.MAX_FRAMES,
) -> dict[str, np.ndarray]:
    """The features of a video, one frame a second, as they are stored in records.

    The video is decoded and extracted in batches. It never is in memory as a whole.

    Args:
        path: a local file of any format that FFmpeg reads.
        extractor: from `load_extractors`, or a function from frames uint8 [N, H, W, 3] to vectors [N, D].
        audio_extractor: the same for seconds of sound, float32 [N, 16000] -> [N, D]. A video without sound is silent.
        max_video_frames: seconds that are read at most.
    Returns:
        {"rgb": [frames, D]} and, with `audio_extractor`, "audio" of as many frames. Official features are uint8, all
        others float32.
    Raises:
        UnusableVideoError: a ValueError with the file and the reason, if the video cannot be used.
        SettingError: if an extractor returns anything but one vector for each frame.
    """
    sound = None if audio_extractor is None else _as_extractor(audio_extractor)
    try:
        return extract(path, _as_extractor(extractor), sound, max_video_frames).features
    except UnusableVideoError as error:
        raise UnusableVideoError(f"{os.fspath(path)}: {error}") from error


def _as_extractor(extractor):
    if isinstance(extractor, Extractor):
        return extractor
    return Extractor(getattr(extractor, "__name__", str(extractor)), extractor)


def extract(
    path: str | os.PathLike[str],
    extractor: Extractor,
    audio_extractor: Extractor | None,
    most: int,
    on_frames: Callable[[int], None] = lambda count: None,
) -> Extracted:
    """As `extract_features`, with what was not read. An UnusableVideoError does not name the file.

    `on_frames` is called with numbers of frames that were extracted.
    """
    frames = media.frames_by_second(path, most + 1)
    rgb = _vectors(path, RGB, extractor, _batches(itertools.islice(frames, most)), on_frames)
    is_longer = next(frames, None) is not None
    features, has_sound = {RGB: rgb}, True
    if audio_extractor:
        sound = media.sound_by_second(path, len(rgb))
        has_sound = sound is not None
        seconds = sound or itertools.repeat(np.zeros(media.SOUND_RATE, np.float32), len(rgb))
        features[AUDIO] = _vectors(path, AUDIO, audio_extractor, _batches(seconds))
    return Extracted(features, is_longer, has_sound)


def write_features(
    videos: Sequence[InputFile],
    output_file: str | os.PathLike[str],
    extractor: Extractor,
    audio_extractor: Extractor | None = None,
    max_video_frames: int = schema.MAX_FRAMES,
) -> Report:
    """Writes the features of videos to a TFRecord file, which is complete or absent.

    A video that cannot be used is logged, and the next one is read.

    Raises:
        SettingError: if an extractor returns anything but one vector for each frame.
        ValueError: if no video can be used.
        OSError: if the file cannot be written.
    """
    written, faults, sizes = [], [], {}
    with files.atomic_path(output_file) as temporary, RecordWriter(temporary) as writer:
        for video, found in _extract_all(videos, extractor, audio_extractor, max_video_frames):
            if isinstance(found, str):
                logger.warning("%s: %s", video.path, found)
                faults.append((video.path, found))
                continue
            for name, each in ((RGB, extractor), (AUDIO, audio_extractor)):
                if each:
                    size = found.features[name].shape[1]
                    _check_size(name, each, size, sizes.setdefault(name, size))
            writer.write(serialized_record(video.video_id, found.features, video.labels))
            written.append((len(found.features[RGB]), found.is_longer, not found.has_sound))
        if not written:
            raise ValueError(f"0 of {len(videos)} video(s) can be used; {output_file} was not written.")
        is_official = all(each.is_official for each in (extractor, audio_extractor) if each)
        dtype = "uint8" if is_official else "float32"
        features = config.FeatureConfig(names=tuple(sizes), sizes=tuple(sizes.values()), dtype=dtype)
    num_frames, num_longer, num_silent = map(sum, zip(*written))
    return Report(features, len(written), num_frames, tuple(faults), num_longer, num_silent)


def _extract_all(videos, extractor, audio_extractor, most):
    """Yields each video with what was extracted or, as text, with the reason why it cannot be used. Shows progress."""
    with ProgressBar(None, "features", "frames") as bar:
        for number, video in enumerate(videos, start=1):
            show = functools.partial(bar.update, note=f"video {number} of {len(videos)}: {video.path.name}")
            try:
                found = extract(video.path, extractor, audio_extractor, most, show)
            except UnusableVideoError as error:
                found = str(error)
            except OSError as error:
                found = f"cannot be read: {error.strerror}."
            yield video, found


def _batches(items: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Stacks arrays of equal shape, as many as fit into BATCH_BYTES but at most BATCH."""
    batch = []
    for item in items:
        most = max(1, min(BATCH, BATCH_BYTES // item.nbytes))
        if batch and (len(batch) >= most or batch[0].shape != item.shape):
            yield np.stack(batch)
            batch = []
        batch.append(item)
    if batch:
        yield np.stack(batch)


def _vectors(path, name, extractor, batches, on_frames=lambda count: None):
    """The vectors of all batches, [frames, D], as they are stored. UnusableVideoError if one is not finite."""
    found = []
    for batch in batches:
        vectors = _computed(path, name, extractor, batch)
        _check_size(name, extractor, vectors.shape[1], found[0].shape[1] if found else None)
        with np.errstate(over="ignore"):
            vectors = vectors.astype(np.float32)
        if not np.isfinite(vectors).all():
            raise UnusableVideoError(f"its {name} features contain NaN or infinity.")
        found.append(quantize(vectors) if extractor.is_official else vectors)
        on_frames(len(batch))
    return np.concatenate(found)


def _computed(path, name, extractor, batch):
    """What an extractor returns for a batch. SettingError unless it is one vector for each item."""
    try:
        vectors = np.asarray(extractor.compute(batch))
    except Exception as error:  # a fault of the extractor, whose traceback its author needs
        place = f"{path}, in a batch of {batch.dtype} {list(batch.shape)}"
        reason = f"{type(error).__name__}: {in_one_line(error)}"
        raise RuntimeError(f"{extractor.name} failed on {place}: {reason}") from error
    if vectors.ndim != 2 or len(vectors) != len(batch) or not vectors.size or vectors.dtype.kind not in "fiu":
        got = f"{vectors.dtype} {list(vectors.shape)} for {batch.dtype} {list(batch.shape)}"
        raise SettingError(FLAGS[name], f"returned {got}; it must return one vector of numbers for each.", extractor.name)
    return vectors


def _check_size(name, extractor, size, first):
    if first not in (None, size):
        reason = f"returned vectors of {first} numbers, then of {size}; all must have the same size."
        raise SettingError(FLAGS[name], reason, extractor.name)
