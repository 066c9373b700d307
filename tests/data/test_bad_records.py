import gc
import gzip
import pathlib
import weakref

import pytest
import tensorflow as tf

from tests import records
from youtube8m_distill import config
from youtube8m_distill.data import bad_records, pipeline, tfrecord
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing.batch import VideoParser

MEANS = config.FeatureConfig(names=("mean_rgb",), sizes=(4,), frame_features=False, dtype="float32")
PARSER = VideoParser(MEANS, 10, {"student": None})


def write(path, count=5, compression="", **last):
    rows = [records.video_record({"mean_rgb": [0.5] * 4}, b"x" * (i + 1)) for i in range(count)]
    return records.write(path, rows + [records.video_record({"mean_rgb": [0.5] * 4}, **last)], compression)


def read_all(pattern, training=False, shards=None, parser=PARSER):
    shards, order = shards or find_files(str(pattern)), TrainingOrder() if training else None
    with bad_records.naming_bad_records(shards):
        list(pipeline.make_dataset(shards, parser, 2, order) if parser else pipeline.read_records(shards, order))


@pytest.mark.parametrize("training, compression", [(False, ""), (True, "GZIP")])
def test_an_invalid_record_is_reported_with_its_file_and_number(tmp_path, training, compression):
    write(tmp_path / "a"), write(tmp_path / "b", 3, compression, labels=[99]), write(tmp_path / "c")
    with pytest.raises(bad_records.BadRecordError, match=rf"^file {tmp_path}/b, record 3: label 99 is outside 0 .. 9;"):
        read_all(tmp_path / "*", training)


def test_an_invalid_record_is_reported_from_inside_a_compiled_step(tmp_path):
    shards = find_files(write(tmp_path / "b", 3, labels=[99]))
    batches = iter(pipeline.make_dataset(shards, PARSER, 2))

    @tf.function
    def step():
        return next(batches)["student"]["features"]

    with pytest.raises(bad_records.BadRecordError, match="b, record 3: label 99"), bad_records.naming_bad_records(shards):
        for _ in range(3):
            step()


def test_ids_and_labels_of_a_batch_are_checked_before_frames(tmp_path):
    without_frames = records.frame_record({"audio": records.random_frames(3)["audio"]})
    without_id = records.frame_record(records.random_frames(3), video_id=None)
    shards = find_files(records.write(tmp_path / "a", [without_frames, without_id]))
    parser = VideoParser(config.FeatureConfig(sizes=(6, 3)), 10, {"student": config.FrameView()})
    with pytest.raises(bad_records.BadRecordError, match="a, record 1: no video id"):
        read_all(None, shards=shards, parser=parser)


def test_the_graph_of_a_check_is_freed():
    """TensorFlow keeps every Python function that a graph calls."""
    graphs = []

    def check(values):
        graphs.append(weakref.ref(values.graph))
        names = tf.strings.as_string(values)
        return bad_records.require(names, lambda values: [(values > 0, lambda row: ["not positive"])], values)

    list(tf.data.Dataset.from_tensors([1, 2]).map(check))
    gc.collect()
    assert graphs[0]() is None


@pytest.mark.parametrize("training", [False, True])
def test_a_file_cut_short_is_named(tmp_path, training):
    write(tmp_path / "a"), write(tmp_path / "b"), write(tmp_path / "c")
    content = (tmp_path / "b").read_bytes()
    (tmp_path / "b").write_bytes(content[:-5])
    with pytest.raises(bad_records.BadRecordError, match=rf"^file {tmp_path}/b, record 5: damaged or cut short; fetch"):
        read_all(tmp_path / "*", training, parser=PARSER if training else None)


@pytest.mark.parametrize("place", [3, 9, 20])
def test_a_damaged_byte_is_found_in_its_file(tmp_path, place):
    paths = [pathlib.Path(write(tmp_path / name)) for name in "abc"]
    shards = find_files(f"{tmp_path}/*")
    start = list(tfrecord.record_starts(shards[1]))[2]
    content = bytearray(paths[1].read_bytes())
    content[start + place] ^= 1  # in the length, in its checksum, in the record
    paths[1].write_bytes(content)
    with pytest.raises(bad_records.BadRecordError, match=rf"^file {tmp_path}/b, record 2: damaged"):
        read_all(None, shards=shards, parser=None)


def test_a_compressed_file_cut_short_is_named(tmp_path):
    write(tmp_path / "a"), write(tmp_path / "c")
    content = pathlib.Path(write(tmp_path / "plain")).read_bytes()
    (tmp_path / "b").write_bytes(gzip.compress(content[:-5]))
    (tmp_path / "plain").unlink()
    with pytest.raises(bad_records.BadRecordError, match=rf"^file {tmp_path}/b, record 5: damaged"):
        read_all(tmp_path / "*", parser=None)


def test_damage_is_reported_without_the_files():
    complaint = r"a file is damaged or cut short \(corrupted record at 12\)"
    with pytest.raises(bad_records.BadRecordError, match=complaint), bad_records.naming_bad_records():
        raise tf.errors.DataLossError(None, None, "corrupted record at 12")


def test_other_errors_pass_unchanged():
    with pytest.raises(tf.errors.InvalidArgumentError, match="Matrix size"), bad_records.naming_bad_records():
        raise tf.errors.InvalidArgumentError(None, None, "Matrix size-incompatible")


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.ResourceExhaustedError(None, None, "OOM, see https://www.tensorflow.org"),
        tf.errors.UnavailableError(None, None, "worker is gone"),
    ],
)
def test_errors_about_memory_and_machines_are_not_about_files(error):
    with pytest.raises(type(error)), bad_records.naming_bad_records():
        raise error


def test_a_lost_object_store_is_reported_with_the_address_of_a_file():
    shards = [tfrecord.Shard(f"s3://bucket/train{i}.tfrecord", "", 100) for i in range(2)]
    with pytest.raises(OSError, match=r"a file such as s3://bucket/train0.tfrecord cannot be read \(Unknown: curlCode: 7"):
        with bad_records.naming_bad_records(shards):
            raise tf.errors.UnknownError(None, None, ": curlCode: 7, Couldn't connect to server")
