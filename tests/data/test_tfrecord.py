import dataclasses
import gzip
import pathlib

import pytest

from tests import records
from youtube8m_distill.data import tfrecord
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.find_files import find_files


def write(path, count=3, compression=""):
    return records.write(path, [records.video_record({"mean_rgb": [0.5] * (i + 1)}) for i in range(count)], compression)


def cut(path, keep):
    """Keeps the first `keep` bytes of a file."""
    pathlib.Path(path).write_bytes(pathlib.Path(path).read_bytes()[:keep])


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_records_are_counted_exactly_up_to_a_limit(tmp_path, compression):
    for name, count in (("a", 4), ("b", 1), ("c", 6)):
        write(tmp_path / name, count, compression)
    shards = find_files(f"{tmp_path}/*")
    assert tfrecord.count_records(shards) == 11
    assert [tfrecord.count_records(shards, limit) for limit in (0, 1, 4, 5, 10, 11, 12)] == [0, 1, 4, 5, 10, 11, 11]


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_counting_names_a_file_that_is_cut_short(tmp_path, compression):
    path = write(tmp_path / "cut", 50, compression)
    cut(path, pathlib.Path(path).stat().st_size * 2 // 3)
    with pytest.raises(ValueError, match="file .*/cut,? .*damaged or cut short"):
        tfrecord.count_records(find_files(path))


def test_a_small_set_is_counted_and_a_large_one_estimated(tmp_path, monkeypatch):
    for i in range(12):
        records.write(tmp_path / f"{i:02}", [b"x" * 100] * (10 + i))
    shards = find_files(f"{tmp_path}/*")
    assert tfrecord.estimate_records(shards) == (186, True)
    monkeypatch.setattr(tfrecord, "EXACT_BELOW_BYTES", 1000)
    # All records take the same bytes, so the estimate comes out right, and says that it is one.
    assert tfrecord.estimate_records(shards) == (186, False)
    assert tfrecord.estimate_records(shards[:4]) == (46, True)


def test_the_start_of_every_record_is_found(tmp_path):
    path = records.write(tmp_path / "a", [b"x" * 5, b"", b"y" * 100])
    assert list(tfrecord.record_starts(find_files(path)[0])) == [0, 21, 37]


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_excluded_records_are_not_counted(tmp_path, compression):
    write(tmp_path / "a", 8, compression), write(tmp_path / "b", 5, compression)
    a, b = find_files(f"{tmp_path}/*")
    a = dataclasses.replace(a, excluded=(0, 3, 6), readable=7)
    b = dataclasses.replace(b, excluded=(1, 4))
    assert [tfrecord.count_records([shard]) for shard in (a, b)] == [4, 3]
    assert [tfrecord.count_records([a, b], limit) for limit in range(9)] == [0, 1, 2, 3, 4, 5, 6, 7, 7]
    assert tfrecord.estimate_records((a, b)) == (7, True)
    assert tfrecord.first_record(b) == tfrecord.first_record(dataclasses.replace(a, excluded=()))
    assert tfrecord.first_record(a) != tfrecord.first_record(b)


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_counting_refuses_a_file_that_ends_within_a_header(tmp_path, compression):
    path = pathlib.Path(write(tmp_path / "a", 3, compression))
    content = gzip.decompress(path.read_bytes()) if compression else path.read_bytes()
    content += content[:7]
    path.write_bytes(gzip.compress(content)[:-1] if compression else content)
    with pytest.raises(tfrecord.BadFileError, match=f"^file {path}, record 3: damaged or cut short"):
        tfrecord.count_records(find_files(str(path)))


def test_the_digest_of_a_file_depends_on_its_excluded_records(tmp_path):
    shard = find_files(records.write(tmp_path / "a", [b"one", b"two"]))[0]
    others = [dataclasses.replace(shard, excluded=(1,)), dataclasses.replace(shard, readable=1), shard]
    assert len({tfrecord.digest(other) for other in (shard, *others)}) == 3
    assert tfrecord.digest(shard, "about") != tfrecord.digest(shard)


def test_a_file_that_disappears_while_it_is_read_is_reported_in_one_line(tmp_path):
    path = records.write(tmp_path / "a.tfrecord", [b"one", b"two"])
    shard = find_files(path)[0]
    (tmp_path / "a.tfrecord").unlink()
    with pytest.raises(OSError, match="a file of records cannot be read .*a.tfrecord; No such file or directory") as raised:
        with naming_bad_records([shard]):
            list(tfrecord.read_serialized(shard))
    assert "\n" not in str(raised.value)
