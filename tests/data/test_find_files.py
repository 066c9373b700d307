"""Finding files."""

import gzip
import pathlib

import pytest
import tensorflow as tf

from tests.data.test_tfrecord import cut, write
from youtube8m_distill.data import find_files as finding
from youtube8m_distill.data.find_files import find_files


def test_files_are_sorted_and_listed_once_even_if_several_globs_match(tmp_path):
    paths = [write(tmp_path / name) for name in ("b1", "a2", "a1")]
    found = find_files(f"{tmp_path}/b*, {tmp_path}/a?,{tmp_path}/a1")
    assert [shard.path for shard in found] == sorted(paths)
    assert [shard.size for shard in found] == [pathlib.Path(path).stat().st_size for path in sorted(paths)]


def test_compression_is_detected_from_content_not_from_the_name(tmp_path):
    write(tmp_path / "a.gz"), write(tmp_path / "b.tfrecord", compression="GZIP")
    assert [shard.compression for shard in find_files(f"{tmp_path}/*")] == ["", "GZIP"]


def test_a_tilde_means_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path / "a.tfrecord")
    assert find_files("~/*.tfrecord")[0].path == path


@pytest.mark.parametrize("pattern", ["{}/x*", "{}/a*,{}/x*"])
def test_a_glob_without_a_match_is_refused_with_a_way_to_get_files(tmp_path, pattern):
    write(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match=r"x\*' matches no file .*Quote it .*yt8m synthesize --out"):
        find_files(pattern.format(tmp_path, tmp_path))


def test_an_empty_pattern_is_refused():
    with pytest.raises(FileNotFoundError, match="' , ' names no file"):
        find_files(" , ")


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
        find_files(f"{tmp_path}/*")


def test_a_bad_file_among_good_ones_is_named(tmp_path):
    for i in range(40):
        write(tmp_path / f"good{i}", count=1)
    (tmp_path / "good7").write_bytes(b"")
    with pytest.raises(ValueError, match="good7 is empty"):
        find_files(f"{tmp_path}/good*")


def test_a_file_cut_within_its_first_record_is_named(tmp_path):
    cut(write(tmp_path / "bad", count=1), 40)
    with pytest.raises(ValueError, match="bad .* cut short in its first record"):
        find_files(f"{tmp_path}/*")


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(ValueError, match=r"train is a folder; name the files in it, as in .*train/\*.tfrecord"):
        find_files(f"{tmp_path}/train")


@pytest.mark.parametrize(
    "error", [tf.errors.UnavailableError(None, None, "no route to host"), tf.errors.PermissionDeniedError(None, None, "no")]
)
def test_a_server_that_does_not_answer_is_told_from_a_pattern_that_matches_nothing(monkeypatch, error):
    def glob(pattern):
        raise error

    monkeypatch.setattr(tf.io.gfile, "glob", glob)
    message = r"^gs://bucket/train\* cannot be read \((Unavailable: no route to|PermissionDenied: no)"
    with pytest.raises(OSError, match=message):
        find_files("gs://bucket/train*")


def test_a_file_is_known_by_its_real_path_however_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "a,b.tfrecord").write_bytes(b"x")
    (tmp_path / "link.tfrecord").symlink_to(tmp_path / "a,b.tfrecord")
    monkeypatch.chdir(tmp_path)
    real = str(tmp_path.resolve() / "a,b.tfrecord")
    for pattern in ("a,b.tfrecord", "link.tfrecord", "*b.tfrecord"):
        assert list(finding.matching_paths(pattern)) == [real]
