"""The ids of many videos, by number, without a Python object for each."""

from collections.abc import Sequence

import numpy as np

PREFIX_BYTES = 8


class IdTable:
    """Ids and their numbers: 0, 1, 2, ... in the order in which they were added. An id may occur several times.

    Takes the bytes of the ids and 16 bytes for each, and up to half of that again, because arrays grow by halves.
    """

    def __init__(self, video_ids: Sequence[bytes] = ()):
        self._bytes, self._ends, self._prefixes = _Growing(np.uint8), _Growing(np.int64), _Growing(np.uint64)
        lengths = np.fromiter(map(len, video_ids), np.int64, len(video_ids))
        data = np.frombuffer(b"".join(video_ids), np.uint8)
        self._extend(data, lengths, _prefixes(data, lengths))

    def __len__(self) -> int:
        return self._ends.size

    @property
    def joined(self) -> np.ndarray:
        """All ids, one after the other. uint8."""
        return self._bytes.array

    @property
    def ends(self) -> np.ndarray:
        """Where each id ends. int64 [number of ids]."""
        return self._ends.array

    @property
    def prefixes(self) -> np.ndarray:
        """The first 8 bytes of each id, padded with zeros. uint64 [number of ids].

        If the prefix of one id is below that of another, so is the id. If they are equal, the ids must be compared.
        """
        return self._prefixes.array

    @classmethod
    def of(cls, joined: np.ndarray, ends: np.ndarray) -> "IdTable":
        """The table with these `joined` and `ends`."""
        table, lengths = cls(), np.diff(ends, prepend=0)
        table._extend(joined, lengths, _prefixes(joined, lengths))
        return table

    def add(self, other: "IdTable", numbers: np.ndarray) -> None:
        """Adds the ids that have these numbers, rising, in another table."""
        chosen = np.zeros(len(other), bool)
        chosen[numbers] = True
        lengths = np.diff(other.ends, prepend=0)
        self._extend(other.joined[np.repeat(chosen, lengths)], lengths[chosen], other.prefixes[chosen])

    def _extend(self, data, lengths, prefixes):
        first = len(self._bytes.array)
        self._bytes.extend(data)
        self._prefixes.extend(prefixes)
        self._ends.extend(first + np.cumsum(lengths))

    def take(self, numbers: np.ndarray) -> list[bytes]:
        """The ids with these numbers."""
        ends, data = self.ends, self.joined.data
        begins = np.where(numbers > 0, ends[np.maximum(numbers, 1) - 1], 0)
        return [data[begin:end].tobytes() for begin, end in zip(begins.tolist(), ends[numbers].tolist())]


def _prefixes(data, lengths):
    """The prefixes of ids that are given as their bytes, one after the other, and their lengths."""
    prefixes = np.zeros(len(lengths), np.uint64)
    begins = np.cumsum(lengths) - lengths
    for position in range(PREFIX_BYTES):
        prefixes <<= np.uint64(8)
        longer = np.flatnonzero(lengths > position)
        prefixes[longer] |= data[begins[longer] + position]
    return prefixes


class _Growing:
    """A one-dimensional array that grows at its end."""

    def __init__(self, dtype):
        self.size, self._room = 0, np.empty(0, dtype)

    @property
    def array(self):
        return self._room[: self.size]

    def extend(self, values):
        end = self.size + len(values)
        if end > len(self._room):
            room = np.empty(max(end, len(self._room) * 3 // 2), self._room.dtype)
            room[: self.size] = self.array
            self._room = room
        self._room[self.size : end] = values
        self.size = end
