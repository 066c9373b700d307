"""Video ids: duplicates over any number of files, and sets of files that share no video.

Ids are kept as 64-bit hashes. Among 8 million videos, two different ids have the same hash with a probability of 2e-6.
"""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from youtube8m_distill import config as configs
from youtube8m_distill import display, schema
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.contents import find_layout
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.stored_features import OFFICIAL
from youtube8m_distill.data.tfrecord import estimate_records
from youtube8m_distill.settings import require

PLACE = np.dtype([("shard", "<u4"), ("record", "<u8")])
CHUNK = 256  # records that `check_sets` reads at a time


def hash_ids(video_ids: Iterable[bytes]) -> np.ndarray:
    """64-bit hashes of ids, the same on every machine. uint64 [B]."""
    return np.frombuffer(b"".join(hashlib.blake2b(video_id, digest_size=8).digest() for video_id in video_ids), "<u8")


class SeenVideos:
    """The ids seen so far and the places of their records: 20 bytes per video, twice that while parts are merged."""

    def __init__(self):
        self._parts = []  # of (rising hashes, their places), each more than twice as long as the next one

    def add(self, hashes, shards, records):
        """Adds a batch: the hashes of its ids, uint64 [B], and where each record is, integers [B] or scalars.

        Returns:
            None; or, if an id is a duplicate, (its index in the batch, (shard, record) of its first occurrence). Nothing of
            the batch is added then.
        """
        places = _places(hashes, shards, records)
        duplicates = self._find(hashes, places)
        if not duplicates:
            self._insert(hashes, places)
        return duplicates[0] if duplicates else None

    def add_new(self, hashes, shards, records):
        """Adds those ids of a batch that have not been seen; returns a list of the others, each as by `add`."""
        places = _places(hashes, shards, records)
        duplicates = self._find(hashes, places)
        rest = np.delete(np.arange(len(hashes)), [index for index, _ in duplicates])
        self._insert(hashes[rest], places[rest])
        return duplicates

    def _find(self, hashes, places):
        """The duplicates of a batch as `add_new` returns them."""
        if not len(hashes):
            return []
        _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        is_duplicate, origins = first[inverse] != np.arange(len(hashes)), places[first[inverse]]
        for known, where in self._parts:
            at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            found = known[at] == hashes
            is_duplicate |= found
            origins[found] = where[at[found]]
        return [(int(index), tuple(origins[index].tolist())) for index in np.flatnonzero(is_duplicate)]

    def _insert(self, hashes, places):
        if not len(hashes):
            return
        self._parts.append(_sorted(hashes, places))
        while len(self._parts) > 1 and len(self._parts[-2][0]) <= 2 * len(self._parts[-1][0]):
            self._parts[-2:] = [_sorted(*map(np.concatenate, zip(*self._parts[-2:])))]


def _places(hashes, shards, records):
    places = np.empty(len(hashes), PLACE)
    places["shard"], places["record"] = shards, records
    return places


def _sorted(hashes, places):
    order = np.argsort(hashes)
    return hashes[order], places[order]


def check_sets(
    sets: Mapping[str, tuple], features: configs.FeatureConfig, num_classes: int, reading: configs.Reading = OFFICIAL
) -> None:
    """Refuses sets of frame-level files (by the flag that names them) that share a video, and a set without labels.

    Raises:
        SettingError: naming the flag whose files have no labels, or have a video of an earlier set.
        BadRecordError: if a record is invalid.
    """
    first_frame = configs.FrameView(frame_selection="first", frames_per_video=1)  # as little of a record as can be parsed
    flag_of = [(flag, shard) for flag, shards in sets.items() for shard in shards]
    all_shards = tuple(shard for _, shard in flag_of)
    layout = find_layout(all_shards, features, reading)
    parser = VideoParser(features, num_classes, {schema.TEACHER: first_frame}, layout=layout)
    seen, labeled = SeenVideos(), set()
    with display.ProgressBar(estimate_records(all_shards)[0], "ids", "videos") as bar, naming_bad_records(all_shards):
        for batch in make_dataset(all_shards, parser, CHUNK).as_numpy_iterator():
            video_ids, shards = batch[schema.VIDEO_ID], batch[schema.SHARD]
            for row, (other, _) in seen.add_new(hash_ids(video_ids), shards, batch[schema.RECORD]):
                (flag, shard), (other_flag, _) = flag_of[shards[row]], flag_of[other]
                reason = (
                    f"holds the video {video_ids[row].decode(errors='replace')!r}, and so does a file of --{other_flag}. "
                    "Scores must not be of videos that were trained on."
                )
                require(flag == other_flag, flag, reason, shard.path)
            labeled.update(flag_of[shard][0] for shard in shards[batch[schema.LABELS].any(axis=1)])
            bar.update(len(video_ids))
    for flag, shards in sets.items():
        reason = f"{len(shards)} file(s), {shards[0].path} first, hold no labels: they can neither train nor score."
        require(flag in labeled, flag, reason)
