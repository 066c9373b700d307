"""Tells a video id that comes a second time, over as many files as there are."""

import numpy as np

PLACE = np.dtype([("shard", "<u4"), ("record", "<u8")])


class SeenVideos:
    """Ids as 64-bit hashes, with the places of their records: 20 bytes a video, 22 MB for 1.1 million, and as much again now
    and then.

    Among 1.1 million different ids some two have the same hash with a probability of 3e-8.
    """

    def __init__(self):
        self._parts = []  # of (hashes, rising; their places), each more than twice as long as the one after it

    def add(self, found, shards, records):
        """Takes in a batch.

        Args:
            found: uint64 [B], of `data.screening.hash_ids`.
            shards, records: integers [B], where each one's record is.
        Returns:
            None; or, where an id came before, (its index in the batch, (shard, record) of where it came first). Then nothing
            of the batch is taken in.
        """
        if not len(found):
            return None
        places = np.empty(len(found), PLACE)
        places["shard"], places["record"] = shards, records
        order = np.argsort(found, kind="stable")
        part = found[order], places[order]
        repeats = self._repeats(part[0], order, places)
        if repeats:
            index, place = min(repeats, key=lambda repeat: repeat[0])
            return int(index), (int(place["shard"]), int(place["record"]))
        self._parts.append(part)
        while len(self._parts) > 1 and len(self._parts[-2][0]) <= 2 * len(self._parts[-1][0]):
            self._parts[-2:] = [_merge(*self._parts[-2:])]
        return None

    def _repeats(self, rising, order, places):
        """(index in the batch, place of the first) of everything that came before."""
        again = np.flatnonzero(rising[1:] == rising[:-1])
        repeats = [(order[at + 1], places[order[at]]) for at in again]
        for known, where in self._parts:
            at = np.minimum(np.searchsorted(known, rising), len(known) - 1)
            repeats += [(order[i], where[at[i]]) for i in np.flatnonzero(known[at] == rising)]
        return repeats


def _merge(part, other):
    known, places = (np.concatenate(columns) for columns in zip(part, other))
    order = np.argsort(known, kind="stable")
    return known[order], places[order]
