"""Sets of files for training and scoring: labeled, and without a video in common."""

import numpy as np

from youtube8m_distill import config as configs
from youtube8m_distill import display, schema
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.screening import hash_ids
from youtube8m_distill.data.tfrecord import estimate_records
from youtube8m_distill.errors import SettingError

CHUNK = 256  # records read at a time


def check_sets(sets, features, num_classes):
    """Reads ids and labels of all videos of several sets of files, each once, and refuses a video that two sets share and a
    set without labels.

    It keeps 8 bytes a video, a hash of its id; of 8 million videos two have the same one with a probability of 2e-6.

    Args:
        sets: dict, name of a flag -> tuple of data.tfrecord.Shard.
        features: FeatureConfig of frame-level files.
        num_classes: int.
    Raises:
        ValueError: beginning with the flag whose files hold no labels, or a video that those of an earlier one do.
        BadRecordError: if a record cannot be used.
    """
    earlier = {}
    for flag, shards in sets.items():
        earlier[flag] = _read_hashes(flag, shards, features, num_classes, earlier)


def _read_hashes(flag, shards, features, num_classes, earlier):
    """Rising hashes of a set's ids, none of which an earlier set has. uint64 [N]."""
    first_frame = configs.FrameView("first", 1)  # as little of a record as can be parsed
    dataset = make_dataset(shards, VideoParser(features, num_classes, {schema.TEACHER: first_frame}), CHUNK)
    total, _ = estimate_records(shards)
    found, num_labels = [np.zeros(0, np.uint64)], 0
    with display.ProgressBar(total, f"ids of {flag}", "videos") as bar, naming_bad_records(shards):
        for batch in dataset:
            video_ids = batch[schema.VIDEO_ID].numpy()
            hashes = hash_ids(video_ids)
            for other, theirs in earlier.items():
                for row in np.flatnonzero(_is_in(hashes, theirs)):
                    path = shards[int(batch[schema.SHARD][row])].path
                    name = video_ids[row].decode(errors="replace")
                    raise ValueError(
                        f"{flag}={path} holds the video {name!r}, and so does a file of --{other}. No video "
                        "may be in both: scores would be of videos that were learned by heart."
                    )
            found.append(hashes)
            num_labels += np.count_nonzero(batch[schema.LABELS])
            bar.update(len(hashes))
    if not num_labels:
        raise SettingError(
            flag,
            f"{len(shards)} file(s), {shards[0].path} first, hold no labels: nothing can be learned "
            "from them or scored on them.",
        )
    return np.sort(np.concatenate(found))


def _is_in(hashes, rising):
    if not len(rising):
        return np.zeros(len(hashes), bool)
    return rising[np.minimum(np.searchsorted(rising, hashes), len(rising) - 1)] == hashes
