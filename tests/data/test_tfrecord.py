import dataclasses
import gzip
import pathlib

import pytest
import tensorflow as tf

from tests import records
from youtube8m_distill.data import tfrecord
from youtube8m_distill.data.bad_records import naming_bad_records


def write(path, count=3, compression=""):
    return records.write(path, [records.video_record({"mean_rgb": [0.5] * (i + 1)}) for i in range(count)], compression)


def cut(path, keep):
    """Keeps the first `keep` bytes of a file."""
    pathlib.Path(path).write_bytes(pathlib.Path(path).read_bytes()[:keep])


def test_files_are_sorted_and_listed_once_even_if_several_globs_match(tmp_path):
    paths = [write(tmp_path / name) for name in ("b1", "a2", "a1")]
    found = tfrecord.find_files(f"{tmp_path}/b*, {tmp_path}/a?,{tmp_path}/a1")
    assert [shard.path for shard in found] == sorted(paths)
    assert [shard.size for shard in found] == [pathlib.Path(path).stat().st_size for path in sorted(paths)]


def test_compression_is_detected_from_content_not_from_the_name(tmp_path):
    write(tmp_path / "a.gz"), write(tmp_path / "b.tfrecord", compression="GZIP")
    assert [shard.compression for shard in tfrecord.find_files(f"{tmp_path}/*")] == ["", "GZIP"]


def test_a_tilde_means_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path / "a.tfrecord")
    assert tfrecord.find_files("~/*.tfrecord")[0].path == path


@pytest.mark.parametrize("pattern", ["{}/x*", "{}/a*,{}/x*"])
def test_a_glob_without_a_match_is_refused_with_a_way_to_get_files(tmp_path, pattern):
    write(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match=r"x\*' matches no file .*Quote it .*yt8m synthesize --out"):
        tfrecord.find_files(pattern.format(tmp_path, tmp_path))


def test_an_empty_pattern_is_refused():
    with pytest.raises(FileNotFoundError, match="' , ' names no file"):
        tfrecord.find_files(" , ")


@pytest.mark.parametrize(
    "content, complaint",
    [
        (b"", r"bad is empty \(0 bytes\)"),
        (b"abc", r"bad \(3 bytes\) is not a TFRecord file"),
        (b"VideoId,LabelConfidencePairs\n", "bad .* is not a TFRecord file"),
        (gzip.compress(b""), "bad holds no record"),
        (gzip.compress(b"VideoId,LabelConfidencePairs\n"), "bad: the first record is damaged"),
    ],
)
def test_a_file_without_records_is_named(tmp_path, content, complaint):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(ValueError, match=complaint):
        tfrecord.find_files(f"{tmp_path}/*")


def test_a_bad_file_among_good_ones_is_named(tmp_path):
    for i in range(40):
        write(tmp_path / f"good{i}", count=1)
    (tmp_path / "good7").write_bytes(b"")
    with pytest.raises(ValueError, match="good7 is empty"):
        tfrecord.find_files(f"{tmp_path}/good*")


def test_a_file_cut_within_its_first_record_is_named(tmp_path):
    cut(write(tmp_path / "bad", count=1), 40)
    with pytest.raises(ValueError, match="bad .* cut short in its first record"):
        tfrecord.find_files(f"{tmp_path}/*")


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(ValueError, match=r"train is a folder; name the files in it, as in .*train/\*.tfrecord"):
        tfrecord.find_files(f"{tmp_path}/train")


@pytest.mark.parametrize("scheme", ["s3", "hdfs"])
def test_a_missing_file_system_is_named_with_what_to_install(scheme, monkeypatch):
    def glob(pattern):
        raise tf.errors.UnimplementedError(None, None, f"File system scheme '{scheme}' not implemented")

    imported = []
    monkeypatch.setattr(tfrecord.importlib, "import_module", imported.append)
    monkeypatch.setattr(tf.io.gfile, "glob", glob)
    complaint = rf"{scheme}://bucket/.*no reader for {scheme}://.*pip install 'youtube8m_distill\[io\]'"
    with pytest.raises(ValueError, match=complaint):
        tfrecord.find_files(f"{scheme}://bucket/*")
    assert imported == ["tensorflow_io"]  # importing it is what registers the file system


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_records_are_counted_exactly_up_to_a_limit(tmp_path, compression):
    for name, count in (("a", 4), ("b", 1), ("c", 6)):
        write(tmp_path / name, count, compression)
    shards = tfrecord.find_files(f"{tmp_path}/*")
    assert tfrecord.count_records(shards) == 11
    assert [tfrecord.count_records(shards, limit) for limit in (0, 1, 4, 5, 10, 11, 12)] == [0, 1, 4, 5, 10, 11, 11]


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_counting_names_a_file_that_is_cut_short(tmp_path, compression):
    path = write(tmp_path / "cut", 50, compression)
    cut(path, pathlib.Path(path).stat().st_size * 2 // 3)
    with pytest.raises(ValueError, match="file .*/cut,? .*damaged or cut short"):
        tfrecord.count_records(tfrecord.find_files(path))


def test_a_small_set_is_counted_and_a_large_one_estimated(tmp_path, monkeypatch):
    for i in range(12):
        records.write(tmp_path / f"{i:02}", [b"x" * 100] * (10 + i))
    shards = tfrecord.find_files(f"{tmp_path}/*")
    assert tfrecord.estimate_records(shards) == (186, True)
    monkeypatch.setattr(tfrecord, "EXACT_BELOW_BYTES", 1000)
    # All records take the same bytes, so the estimate comes out right, and says that it is one.
    assert tfrecord.estimate_records(shards) == (186, False)
    assert tfrecord.estimate_records(shards[:4]) == (46, True)


def test_the_start_of_every_record_is_found(tmp_path):
    path = records.write(tmp_path / "a", [b"x" * 5, b"", b"y" * 100])
    assert list(tfrecord.record_starts(tfrecord.find_files(path)[0])) == [0, 21, 37]


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_excluded_records_are_not_counted(tmp_path, compression):
    write(tmp_path / "a", 8, compression), write(tmp_path / "b", 5, compression)
    a, b = tfrecord.find_files(f"{tmp_path}/*")
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
        tfrecord.count_records(tfrecord.find_files(str(path)))


def test_the_digest_of_a_file_depends_on_its_excluded_records(tmp_path):
    shard = tfrecord.find_files(records.write(tmp_path / "a", [b"one", b"two"]))[0]
    others = [dataclasses.replace(shard, excluded=(1,)), dataclasses.replace(shard, readable=1), shard]
    assert len({tfrecord.digest(other) for other in (shard, *others)}) == 3
    assert tfrecord.digest(shard, "about") != tfrecord.digest(shard)


@pytest.mark.parametrize(
    "error", [tf.errors.UnavailableError(None, None, "no route to host"), tf.errors.PermissionDeniedError(None, None, "no")]
)
def test_a_server_that_does_not_answer_is_told_from_a_pattern_that_matches_nothing(monkeypatch, error):
    def glob(pattern):
        raise error

    monkeypatch.setattr(tf.io.gfile, "glob", glob)
    message = r"^gs://bucket/train\* cannot be read \((Unavailable: no route to|PermissionDenied: no)"
    with pytest.raises(OSError, match=message):
        tfrecord.find_files("gs://bucket/train*")


def test_a_file_that_disappears_while_it_is_read_is_reported_in_one_line(tmp_path):
    path = records.write(tmp_path / "a.tfrecord", [b"one", b"two"])
    shard = tfrecord.find_files(path)[0]
    (tmp_path / "a.tfrecord").unlink()
    with pytest.raises(OSError, match="a file of records cannot be read .*a.tfrecord; No such file or directory") as raised:
        with naming_bad_records([shard]):
            list(tfrecord.read_serialized(shard))
    assert "\n" not in str(raised.value)
