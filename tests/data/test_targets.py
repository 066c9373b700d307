import re

import numpy as np
import pytest

from tests import records
from youtube8m_distill.data import bad_records, pipeline, tfrecord
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.targets import TargetFiles

COUNTS = (4, 3, 6)
SIZE = 5


def write(folder, target_counts=COUNTS, compression="", size=SIZE):
    """Writes shards of numbered videos, and targets that start with the number. (shards, paths of the targets)"""
    number = 0
    for i, (count, target_count) in enumerate(zip(COUNTS, target_counts, strict=True)):
        numbers = range(number, number + count)
        records.write(folder / f"{i}.tfrecord", [b"%d" % n for n in numbers], compression)
        rows = [np.arange(n, n + size, dtype="<f2").tobytes() for n in range(number, number + target_count)]
        records.write(folder / f"{i}.targets", rows)
        number += count
    return find_files(f"{folder}/*.tfrecord"), tuple(f"{folder}/{i}.targets" for i in range(len(COUNTS)))


def batches(shards, paths, order=None, share=None):
    with bad_records.naming_bad_records(shards):
        dataset = pipeline.make_dataset(
            shards, records.NumberParser(), 4, order, targets=TargetFiles(paths, SIZE), share=share
        )
        return list(dataset.as_numpy_iterator())


@pytest.mark.parametrize("compression", ["", pytest.param("GZIP", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "order, share",
    [(None, None), (TrainingOrder(2, num_epochs=3), None), (TrainingOrder(train_fraction=0.7), (1, 2))],
    ids=["file order", "training order", "share"],
)
def test_targets_stay_with_their_records_in_every_order(tmp_path, compression, order, share):
    found = batches(*write(tmp_path, compression=compression), order, share)
    assert found
    for batch in found:
        assert batch["targets"].dtype == np.float16
        np.testing.assert_array_equal(batch["targets"], batch["student"]["features"] + np.arange(SIZE))


@pytest.mark.parametrize("order", [None, TrainingOrder()], ids=["file order", "training order"])
@pytest.mark.parametrize(
    "count, complaint",
    [
        (2, "record 1: the last one, but {folder}/1.tfrecord has more"),
        (4, "record 3: {folder}/1.tfrecord has no record of this number"),
    ],
)
def test_a_file_with_too_few_or_too_many_targets_is_named(tmp_path, order, count, complaint):
    shards, targets = write(tmp_path, (COUNTS[0], count, COUNTS[2]))
    expected = re.escape(f"file {targets[1]}, {complaint.format(folder=tmp_path)}; compute its targets again")
    with pytest.raises(bad_records.BadRecordError, match=f"^{expected}"):
        batches(shards, targets, order)


def test_targets_of_another_size_are_named(tmp_path):
    shards, targets = write(tmp_path, size=SIZE + 1)
    with pytest.raises(ValueError, match=rf"{targets[0]} is not a file of targets \(5 numbers of 2 bytes per record\), or"):
        batches(shards, targets)


def test_a_single_record_of_another_size_is_named(tmp_path):
    shards, targets = write(tmp_path)
    # Together as long as three records should be.
    records.write(targets[1], [b"x" * 10, b"x" * 8, b"x" * 12])
    with pytest.raises(bad_records.BadRecordError, match=f"^file {targets[1]}, record 1: 8 bytes of targets instead of 10"):
        batches(shards, targets)


def test_a_missing_file_of_targets_is_named(tmp_path):
    shards, targets = write(tmp_path)
    with pytest.raises(ValueError, match="2 files of targets for 3 shards"):
        batches(shards, targets[1:])
    with pytest.raises(ValueError, match="no.targets does not exist"):
        batches(shards, (*targets[1:], f"{tmp_path}/no.targets"))


def test_a_shard_without_records_goes_with_an_empty_file_of_targets(tmp_path):
    shards, targets = write(tmp_path)
    empty = tmp_path / "3.tfrecord"
    records.write(empty, [], "GZIP")
    (tmp_path / "3.targets").write_bytes(b"")
    shards = (*shards, tfrecord.Shard(str(empty), "GZIP", empty.stat().st_size))
    found = batches(shards, (*targets, f"{tmp_path}/3.targets"))
    assert sum(len(batch["targets"]) for batch in found) == sum(COUNTS)
