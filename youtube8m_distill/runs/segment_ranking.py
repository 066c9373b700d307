"""The best segments of each class over any number of videos, in memory that depends on classes and not on videos.

Every class has a row of `max_per_class` entries and some slack. New entries that may be among the best are appended; a full
row is reduced to its best entries. An entry takes 10 bytes, or 12 if a start exceeds 65,535.

    segments/                   a snapshot
        about.json              sizes, and checksums of the other files
        counts.npy              int64 [num_classes]: entries of each class
        values.npy              float32 [entries], class after class, in no order within a class
        videos.npy              uint32 [entries]: number of the video
        starts.npy              uint16 or uint32 [entries]
        id_bytes.npy            uint8: the ids of all videos, one after the other
        id_ends.npy             int64 [videos]: where each id ends
"""

import json
import os
import pathlib
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from youtube8m_distill import files
from youtube8m_distill.metrics.ranking import finite_float32
from youtube8m_distill.runs.array_files import read_array, write_array
from youtube8m_distill.runs.id_table import IdTable

FORMAT = 1
ABOUT = "about.json"
STARTS = 2**32  # a start is below this
MAX_ENTRIES = 2**30  # so that video numbers fit uint32: about twice as many ids may be kept as there are entries
CHUNK = 2**17  # entries that are added at a time, so that temporary arrays stay small
UNUSED_IDS = 2**16  # ids that are kept without checking whether an entry still uses them


class RankedSegments(NamedTuple):
    """The best segments of a class, best first."""

    video_ids: list[bytes]
    starts: np.ndarray  # uint32 [n]
    values: np.ndarray  # float32 [n]


class SegmentRanking:
    """The best `max_per_class` segments of each class.

    The order is total: higher values first, then smaller video ids (compared as bytes), then earlier starts. The result
    therefore does not depend on the order of arrival or on how entries are split into batches.

    >>> ranking = SegmentRanking(num_classes=2, max_per_class=2)
    >>> ranking.add([b"a", b"b"], videos=[0, 0, 1], starts=[0, 5, 0], classes=[1, 1, 1], values=[0.5, 0.25, 0.5])
    >>> ranking.ranked(1).video_ids, len(ranking)
    ([b'a', b'b'], 2)

    Args:
        slack: entries per class to collect between two reductions to the best; takes memory and saves time. By default, 1/16
            of `max_per_class`, at least 1,024.
    """

    def __init__(self, num_classes: int, max_per_class: int, slack: int | None = None):
        slack = max(max_per_class // 16, 1024) if slack is None else slack
        for name, value in (("num_classes", num_classes), ("max_per_class", max_per_class), ("slack", slack)):
            if value < 1:
                raise ValueError(f"{name}={value}: choose at least 1.")
        if num_classes * (max_per_class + slack) > MAX_ENTRIES:
            raise ValueError(f"{num_classes} classes of {max_per_class} entries: at most {MAX_ENTRIES:,} are supported.")
        self.num_classes, self.max_per_class, self.slack = num_classes, max_per_class, slack
        shape = num_classes, max_per_class + slack
        # Memory that is not written to is not resident.
        self._values, self._videos = np.empty(shape, np.float32), np.empty(shape, np.uint32)
        self._starts = np.empty(shape, np.uint16)
        self._held = np.zeros(num_classes, np.int64)  # entries of each row, including those in the slack
        # The last of the best entries when a row was reduced. What comes after it need not be added.
        self._floors = np.full(num_classes, -np.inf, np.float32)
        self._last_prefixes = np.zeros(num_classes, np.uint64)
        self._ids = IdTable()
        self._most_ids = UNUSED_IDS

    def __len__(self) -> int:
        """The number of entries of all classes."""
        return int(self.counts.sum())

    @property
    def counts(self) -> np.ndarray:
        """The number of entries of each class, at most `max_per_class`. int64 [num_classes]."""
        return np.minimum(self._held, self.max_per_class)

    def add(
        self, video_ids: Sequence[bytes], videos: ArrayLike, starts: ArrayLike, classes: ArrayLike, values: ArrayLike
    ) -> None:
        """Adds a batch of N entries. A (video, start, class) must be added only once, in this batch or another one.

        Args:
            video_ids: [V]. A video may occur in several batches.
            videos: integers [N], the index in `video_ids` of each entry.
            starts: integers [N], 0 to 2**32 - 1.
            classes: integers [N], 0 to num_classes - 1.
            values: [N], finite; compared as float32.
        Raises:
            ValueError: if shapes do not fit or something is out of range. Nothing of the batch is added then.
        """
        values = finite_float32(values, "values")
        if values.ndim != 1:
            raise ValueError(f"values must be [entries]. Received shape {values.shape}.")
        videos = _integers("videos", videos, len(values), len(video_ids))
        starts = _integers("starts", starts, len(values), STARTS)
        classes = _integers("classes", classes, len(values), self.num_classes)
        if len(self._ids) > self._most_ids:
            self._drop_unused_ids()
        if starts.size and self._starts.dtype == np.uint16 and starts.max() > np.iinfo(np.uint16).max:
            self._starts = self._starts.astype(np.uint32)
        ids, numbers = IdTable(video_ids), np.full(len(video_ids), -1)  # -1: no entry of the video is held so far
        small = np.uint16 if self.num_classes <= 2**16 else np.uint32  # NumPy sorts 16 bits much faster
        for begin in range(0, len(values), CHUNK):
            rows = slice(begin, begin + CHUNK)
            entries = values[rows], videos[rows], starts[rows], classes[rows].astype(small)
            while len(entries[0]):
                entries = self._append(ids, numbers, *entries)

    def _append(self, ids, numbers, values, videos, starts, classes):
        """Appends entries until rows are full, and reduces those; returns the entries that did not fit."""
        floors = self._floors[classes]
        passing = values >= floors
        tied = np.flatnonzero(values == floors)
        passing[tied] = ids.prefixes[videos[tied]] <= self._last_prefixes[classes[tied]]
        passing = np.flatnonzero(passing)
        order = passing[np.argsort(classes[passing], kind="stable")]
        values, videos, starts, classes = values[order], videos[order], starts[order], classes[order]
        added = np.bincount(classes, minlength=self.num_classes)
        first_columns = self._held - (np.cumsum(added) - added)
        width = self._values.shape[1]
        columns = first_columns[classes] + np.arange(len(classes))
        rest = np.flatnonzero(columns >= width)
        rest = values[rest], videos[rest], starts[rest], classes[rest]
        if len(rest[0]):
            fits = columns < width
            columns, values, videos, starts, classes = (array[fits] for array in (columns, values, videos, starts, classes))
        places = classes.astype(np.int64) * width + columns
        self._values.reshape(-1)[places] = values
        self._videos.reshape(-1)[places] = self._number(ids, numbers, videos)
        self._starts.reshape(-1)[places] = starts
        self._held = np.minimum(self._held + added, width)
        for row in np.flatnonzero(self._held == width):
            self._reduce(row)
        return rest

    def _number(self, ids, numbers, videos):
        """The numbers that videos of a batch have in the table of all ids; adds those that have none yet."""
        new = np.zeros(len(numbers), bool)
        new[videos] = True
        new = np.flatnonzero(new & (numbers < 0))
        numbers[new] = len(self._ids) + np.arange(len(new))
        self._ids.add(ids, new)
        return numbers[videos]

    def _reduce(self, row):
        """Reduces a row of at least `max_per_class` entries to the best, and notes the last of them."""
        held, kept = self._held[row], self.max_per_class
        values, videos, starts = self._row(row)
        floor = np.partition(values, held - kept)[held - kept]
        best = values > floor
        tied = np.flatnonzero(values == floor)
        tied = tied[self._first(videos[tied], starts[tied], kept - np.count_nonzero(best))]
        best[tied] = True
        self._floors[row], self._last_prefixes[row] = floor, self._ids.prefixes[videos[tied]].max()
        holes, moved = np.flatnonzero(~best[:kept]), kept + np.flatnonzero(best[kept:])
        values[holes], videos[holes], starts[holes] = values[moved], videos[moved], starts[moved]
        self._held[row] = kept

    def _first(self, videos, starts, count):
        """The indices of the first `count` of some entries with equal values. Few ids are compared beyond their prefix."""
        if count == len(videos):
            return np.arange(count)
        prefixes = self._ids.prefixes[videos]
        last = np.partition(prefixes, count - 1)[count - 1]
        before, tied = np.flatnonzero(prefixes < last), np.flatnonzero(prefixes == last)
        order = self._order(np.zeros(len(tied)), videos[tied], starts[tied])
        return np.concatenate([before, tied[order[: count - len(before)]]])

    def _order(self, values, videos, starts):
        """The indices of entries, best first."""
        prefixes = self._ids.prefixes[videos]
        order = np.lexsort((starts, prefixes, -values))
        values, prefixes, videos, starts = values[order], prefixes[order], videos[order], starts[order]
        differs = (values[1:] != values[:-1]) | (prefixes[1:] != prefixes[:-1])
        groups = np.concatenate([[0], np.cumsum(differs)])[: len(order)]  # of entries with equal values and prefixes
        unclear = groups[1:][~differs & (videos[1:] != videos[:-1])]
        if len(unclear):
            places = np.flatnonzero(np.isin(groups, unclear))
            keys = zip(groups[places].tolist(), self._ids.take(videos[places]), starts[places].tolist(), order[places])
            order[places] = [index for *_, index in sorted(keys)]
        return order

    def ranked(self, class_index: int) -> RankedSegments:
        """The best entries of a class, best first."""
        if not 0 <= class_index < self.num_classes:
            raise ValueError(f"class_index={class_index}: choose a value from 0 to {self.num_classes - 1}.")
        values, videos, starts = self._row(class_index)
        order = self._order(values, videos, starts)[: self.max_per_class]
        return RankedSegments(self._ids.take(videos[order]), starts[order].astype(np.uint32), values[order])

    def _row(self, row):
        """The entries of a class as they are held: values, numbers of videos, and starts."""
        held = self._held[row]
        return self._values[row, :held], self._videos[row, :held], self._starts[row, :held]

    def _rows(self, array):
        """The used part of each row."""
        return [row[:held] for row, held in zip(array, self._held)]

    def _drop_unused_ids(self):
        """If more than half of the ids are of videos without entries, forgets those and renumbers the others."""
        used = np.zeros(len(self._ids), bool)
        for videos in self._rows(self._videos):
            used[videos] = True
        count = np.count_nonzero(used)
        if len(used) > 2 * count:
            ids, numbers = IdTable(), (np.cumsum(used) - 1).astype(np.uint32)
            ids.add(self._ids, np.flatnonzero(used))
            for videos in self._rows(self._videos):
                videos[:] = numbers[videos]
            self._ids = ids
        self._most_ids = UNUSED_IDS + 2 * count

    def save(self, folder: str | os.PathLike) -> None:
        """Writes a snapshot to a folder, complete or not at all; an old one is replaced. Adding may continue afterwards.

        Raises:
            OSError: if it cannot be written. The old snapshot stays.
        """
        for row in np.flatnonzero(self._held > self.max_per_class):
            self._reduce(row)
        self._drop_unused_ids()
        with files.atomic_path(folder) as temporary:
            temporary.mkdir()
            arrays = {name: write_array(temporary / f"{name}.npy", parts) for name, parts in self._arrays().items()}
            sizes = {"num_classes": self.num_classes, "max_per_class": self.max_per_class, "slack": self.slack}
            about = {"format": FORMAT, **sizes, "arrays": arrays}
            (temporary / ABOUT).write_text(json.dumps({**about, "crc32": _checksum(about)}), encoding="utf-8")

    def _arrays(self):
        """The arrays of a snapshot, in parts."""
        return {
            "counts": [self._held],
            "values": self._rows(self._values),
            "videos": self._rows(self._videos),
            "starts": self._rows(self._starts),
            "id_bytes": [self._ids.joined],
            "id_ends": [self._ids.ends],
        }

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "SegmentRanking":
        """The ranking of a snapshot. Adding continues as if it had not been interrupted.

        Raises:
            FileNotFoundError: if there is no such folder.
            ValueError: naming the file, if one is missing, damaged, or from another snapshot.
        """
        folder = pathlib.Path(folder).resolve()
        files.remove_leftovers(folder.parent, folder.name)  # finishes a save that was killed
        about = _read_about(folder)
        ranking, arrays = cls(about["num_classes"], about["max_per_class"], about["slack"]), about["arrays"]
        if arrays["starts"]["dtype"] != ranking._starts.dtype.str:
            ranking._starts = np.empty(ranking._starts.shape, arrays["starts"]["dtype"])
        id_bytes, id_ends = (np.empty(arrays[name]["length"], arrays[name]["dtype"]) for name in ("id_bytes", "id_ends"))
        read_array(folder / "counts.npy", arrays["counts"], [ranking._held])
        for name, parts in {**ranking._arrays(), "id_bytes": [id_bytes], "id_ends": [id_ends]}.items():
            read_array(folder / f"{name}.npy", arrays[name], parts)
        ranking._ids = IdTable.of(id_bytes, id_ends)
        ranking._most_ids += len(id_ends)
        for row in np.flatnonzero(ranking._held == ranking.max_per_class):
            ranking._reduce(row)
        return ranking


def _integers(name, values, count, limit):
    """`values` as an array of `count` integers; ValueError if it is not one, or if one is not below `limit`."""
    array = np.asarray(values)
    if array.shape != (count,):
        raise ValueError(f"{name} must have the shape of values, ({count},). Received {array.shape}.")
    if not count:
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers. Received {array.dtype}.")
    if not 0 <= array.min() <= array.max() < limit:
        raise ValueError(f"{name}={array.min()} to {array.max()}: must be at least 0 and below {limit}.")
    return array


def _checksum(about):
    return zlib.crc32(json.dumps(about, sort_keys=True).encode())


def _read_about(folder):
    """The sizes of a snapshot and its arrays, as `save` wrote them."""
    path = folder / ABOUT
    folder.stat()  # FileNotFoundError if there is no such folder
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        complete = about.pop("crc32") == _checksum(about)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing.") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    if not complete:
        raise ValueError(f"{path} is damaged: its checksum differs.")
    if about["format"] != FORMAT:
        raise ValueError(f"{path} was written by another version. Remove the folder to start over.")
    return about
