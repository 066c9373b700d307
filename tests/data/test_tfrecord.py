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
