"""Everything that can be wrong with a record file, with the words that the user reads; and what is unusual but valid."""

import functools
import gzip
import re

import numpy as np
import pytest
import tensorflow as tf

from tests import oracles, records
from youtube8m_distill import config
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.contents import find_layout
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing.batch import Records, VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.tfrecord import Shard, estimate_records
from youtube8m_distill.errors import BadRecordError

SIZES = (("rgb", 6), ("audio", 3))
BYTES = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3))
FLOATS = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3), dtype="float32")
MEANS = config.FeatureConfig(names=("mean_rgb", "mean_audio"), sizes=(6, 3), frame_features=False, dtype="float32")
NUM_CLASSES = 12
VIEW = config.FrameView(frame_selection="uniform", frames_per_video=5)
DAMAGED = "damaged or cut short; fetch the file again"


@pytest.fixture(scope="module")
def one_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.fixture
def folder(one_folder):
    """The same folder for every test, emptied, so that datasets over files of the same names are built once."""
    for path in one_folder.iterdir():
        path.unlink()
    return one_folder


@functools.cache
def dataset_of(files, features, training):
    shards = tuple(Shard(path, compression, 0) for path, compression in files)
    parser = VideoParser(features, NUM_CLASSES, {"student": VIEW if features.frame_features else None})
    return make_dataset(shards, parser, 3, TrainingOrder() if training else None)


def parse(serialized, features=BYTES, view=VIEW, path="some/b"):
    """The batch that is read from some records of one file."""
    parser = VideoParser(features, NUM_CLASSES, {"student": view if features.frame_features else None})
    numbers = tf.range(len(serialized), dtype=tf.int64)
    with naming_bad_records():
        batch = parser(Records(tf.constant(serialized), tf.fill([len(serialized)], path), numbers, tf.zeros_like(numbers)))
    return tf.nest.map_structure(lambda values: values.numpy(), batch)


def read(pattern, features=BYTES, training=False):
    """All batches of some files, read as the commands read them."""
    shards = find_files(str(pattern))
    find_layout(shards, features)
    estimate_records(shards)
    files = tuple((shard.path, shard.compression) for shard in shards)
    with naming_bad_records(shards):
        return list(dataset_of(files, features, training).as_numpy_iterator())


def video(number, frames=None, **about):
    """A serialized frame-level record like the official ones, except for what is given."""
    about = {"video_id": b"id%d" % number, "labels": [number % NUM_CLASSES]} | about
    return records.frame_record(frames or records.random_frames(4, SIZES, number), **about)


def float_video(number, frames=None, **about):
    return video(number, frames or records.random_frames(4, SIZES, number, np.float32), **about)


def mean_video(number, means=None, **about):
    about = {"video_id": b"id%d" % number, "labels": [1]} | about
    return records.video_record(means or {"mean_rgb": [0.5] * 6, "mean_audio": [0.25] * 3}, **about)


def three_files(folder, middle, good=video):
    """Writes files a, b and c; b holds `middle`, the bytes of a file or a list of records."""
    for number, name in enumerate("ac"):
        records.write(folder / name, [good(10 * number + i) for i in range(4)])
    if isinstance(middle, bytes):
        (folder / "b").write_bytes(middle)
    else:
        records.write(folder / "b", middle)
    return f"{folder}/?"


# ---- files that are damaged

GOOD = [video(number) for number in range(4)]
STARTS = np.cumsum([0] + [12 + len(record) + 4 for record in GOOD]).tolist()


def flipped(place):
    def flip(content):
        return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]

    return flip


DAMAGES = {  # name -> (change, number of the first record that cannot be read)
    "cut within a record": (lambda content: content[:-30], 3),
    "cut within a header": (lambda content: content[: STARTS[3] + 6], 3),
    "cut within a checksum": (lambda content: content[:-2], 3),
    "a bit of a length": (flipped(STARTS[2] + 1), 2),
    "a bit of a length that makes it huge": (flipped(STARTS[2] + 6), 2),
    "a bit of a header's checksum": (flipped(STARTS[2] + 9), 2),
    "a bit of a record": (flipped(STARTS[2] + 12 + 40), 2),
    "a bit of a record's checksum": (flipped(STARTS[3] - 2), 2),
    "zeros behind the last record": (lambda content: content + bytes(10), 4),
    "text behind the last record": (lambda content: content + b"404 Not Found: no such file\n", 4),
}


@pytest.mark.parametrize(
    "damage, packed", [(damage, False) for damage in DAMAGES] + [(damage, True) for damage in list(DAMAGES)[1::3]]
)
def test_a_damaged_file_is_named_with_the_first_record_that_is_lost(folder, damage, packed):
    change, number = DAMAGES[damage]
    content = change(records.file_content(GOOD))
    pattern = three_files(folder, gzip.compress(content) if packed else content)
    with pytest.raises(ValueError, match=f"^file {folder}/b, record {number}: {DAMAGED}$"):
        read(pattern)


@pytest.mark.parametrize("change", [lambda content: content[:-9], flipped(60), flipped(-200)], ids=["cut", "begin", "end"])
def test_a_damaged_compressed_file_is_named(folder, change):
    pattern = three_files(folder, change(gzip.compress(records.file_content(GOOD))))
    with pytest.raises(ValueError, match=rf"^file {folder}/b, record \d: {DAMAGED}$"):
        read(pattern)


# ---- files without records


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"\x00", r"\(1 bytes\) is not a TFRecord file, or it is cut short in its first record"),
        (b"VideoId,LabelConfidencePairs\nabcd,1 0.5\n", r"\(40 bytes\) is not a TFRecord file"),
        (b"<html><body>404 Not Found</body></html>", r"\(\d+ bytes\) is not a TFRecord file"),
        (gzip.compress(b""), "holds no record"),
    ],
)
def test_a_file_without_records_is_named_before_anything_is_read(folder, content, reason):
    with pytest.raises(ValueError, match=f"^{folder}/b {reason}"):
        find_files(three_files(folder, content))


def test_a_record_of_another_format_is_named(folder):
    pattern = three_files(folder, [GOOD[0], b"VideoId,LabelConfidencePairs\nabcd,1 0.5\n"])
    with pytest.raises(BadRecordError, match=f"^file {folder}/b, record 1: neither a SequenceExample nor an Exam"):
        read(pattern)


# ---- invalid records

FRAMES = {name: [row.tobytes() for row in rows] for name, rows in records.random_frames(4, SIZES).items()}
RGB, AUDIO = FRAMES["rgb"], FRAMES["audio"]
FLOAT_FRAMES = records.random_frames(4, SIZES, dtype=np.float32)


def with_number(frames, number):
    changed = frames.copy()
    changed[2, 1] = number
    return changed


FAULTS = {
    "no id": (BYTES, video(9, video_id=None), "no video id; it should be under id or video_id"),
    "an empty id": (BYTES, video(9, video_id=b""), "an empty video id"),
    "an id with a zero byte": (BYTES, video(9, video_id=b"a\0b"), "a zero byte in the video id"),
    "an id that is a number": (BYTES, video(9, video_id=[7]), "'id' is not stored as bytes"),
    "no rgb": (BYTES, video(9, {"audio": AUDIO}), "no frames under 'rgb'"),
    "no audio": (BYTES, video(9, {"rgb": RGB}), "'rgb' has 4 frames and 'audio' 0"),
    "no frame-level feature at all": (BYTES, video(9, {"flow": RGB}), "no frames under 'rgb'"),
    "no frames": (BYTES, video(9, {"rgb": [], "audio": []}), "no frames under 'rgb'"),
    "fewer audio frames": (BYTES, video(9, FRAMES | {"audio": AUDIO[:3]}), "'rgb' has 4 frames and 'audio' 3"),
    "more audio frames": (BYTES, video(9, FRAMES | {"audio": AUDIO * 2}), "'rgb' has 4 frames and 'audio' 8"),
    "a short frame": (
        BYTES,
        video(9, FRAMES | {"rgb": [*RGB[:3], RGB[3][:5]]}),
        "frame 3 of 'rgb' holds 5 bytes instead of 6",
    ),
    "an empty frame": (BYTES, video(9, FRAMES | {"rgb": [b"", *RGB[1:]]}), "frame 0 of 'rgb' holds 0 bytes instead of 6"),
    "a frame of two strings": (
        BYTES,
        video(9, FRAMES | {"audio": [[b"abc", b"abc"], *AUDIO[1:]]}),
        "frame 0 of 'audio' holds 2 byte strings instead of 1",
    ),
    # The right number of bytes in wrong pieces, which must not be joined and cut again.
    "frames of half the length, twice as many": (
        BYTES,
        video(9, {"rgb": [row[i : i + 3] for row in RGB for i in (0, 3)], "audio": AUDIO * 2}),
        "frame 0 of 'rgb' holds 3 bytes instead of 6",
    ),
    "frames of twice the length, half as many": (
        BYTES,
        video(9, {"rgb": [RGB[0] + RGB[1], RGB[2] + RGB[3]], "audio": AUDIO[:2]}),
        "frame 0 of 'rgb' holds 12 bytes instead of 6",
    ),
    "one frame longer and one shorter": (
        BYTES,
        video(9, FRAMES | {"rgb": [RGB[0][:3], RGB[0][3:] + RGB[1], *RGB[2:]]}),
        "frame 0 of 'rgb' holds 3 bytes instead of 6",
    ),
    "a frame past the 300th": (
        BYTES,
        video(9, {"rgb": RGB[:1] * 310 + [b"ab"], "audio": AUDIO[:1] * 311}),
        "frame 310 of 'rgb' holds 2 bytes instead of 6",
    ),
    "frames of floats": (
        BYTES,
        video(9, FRAMES | {"audio": [np.zeros(3, np.float32)] * 4}),
        "'audio' is not stored as bytes",
    ),
    "a negative label": (BYTES, video(9, labels=[3, -1]), "label -1 is outside 0 .. 11; labels count from 0"),
    "a label past the classes": (
        BYTES,
        video(9, labels=[12, 3]),
        "label 12 is outside 0 .. 11; num_classes=12 is too small for this data (the 2017 set has 4716, later",
    ),
    "a label past all numbers": (
        BYTES,
        video(9, labels=[2**62]),
        f"label {2**62} is outside 0 .. 11; num_classes=12 is too small for this data, or",
    ),
    "a label listed twice": (BYTES, video(9, labels=[3, 7, 0, 7]), "label 7 is listed more than once"),
    "floats: a frame too long": (
        FLOATS,
        float_video(9, FLOAT_FRAMES | {"rgb": [np.zeros(7, np.float32)] * 4}),
        "frame 0 of 'rgb' holds 7 floats instead of 6",
    ),
    "floats: NaN": (
        FLOATS,
        float_video(9, FLOAT_FRAMES | {"rgb": with_number(FLOAT_FRAMES["rgb"], np.nan)}),
        "frame 2 of 'rgb' holds nan in place 1",
    ),
    "floats: infinite": (
        FLOATS,
        float_video(9, FLOAT_FRAMES | {"audio": with_number(FLOAT_FRAMES["audio"], -np.inf)}),
        "frame 2 of 'audio' holds -inf in place 1",
    ),
    "means: NaN": (
        MEANS,
        mean_video(9, {"mean_rgb": [0.0] * 5 + [np.nan], "mean_audio": [0.0] * 3}),
        "'mean_rgb' holds nan in place 5",
    ),
    "means: infinite": (
        MEANS,
        mean_video(9, {"mean_rgb": [0.0] * 6, "mean_audio": [np.inf, 0.0, 0.0]}),
        "'mean_audio' holds inf in place 0",
    ),
    "means: missing": (MEANS, mean_video(9, {"mean_rgb": [0.0] * 6}), "'mean_audio' has 0 numbers instead of 3"),
    "means: too many": (
        MEANS,
        mean_video(9, {"mean_rgb": [0.0] * 6, "mean_audio": [0.0] * 6}),
        "'mean_audio' has 6 numbers instead of 3",
    ),
    "means: a label listed twice": (MEANS, mean_video(9, labels=[5, 5]), "label 5 is listed more than once"),
    "means: an id with a zero byte": (MEANS, mean_video(9, video_id=b"\xff\0"), "a zero byte in the video id"),
    "means: no id": (MEANS, mean_video(9, video_id=None), "no video id"),
}
GOOD_RECORD = {BYTES: video, FLOATS: float_video, MEANS: mean_video}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_record_is_named_with_its_file_its_number_and_the_reason(fault):
    features, record, reason = FAULTS[fault]
    good = GOOD_RECORD[features]
    with pytest.raises(BadRecordError, match=f"^file some/b, record 2: {re.escape(reason)}"):
        parse([good(20), good(21), record, good(22)], features)


@pytest.mark.parametrize(
    "fault, training", [("a frame past the 300th", True), ("floats: NaN", False), ("means: missing", False)]
)
def test_a_bad_record_among_files_is_named(folder, fault, training):
    features, record, reason = FAULTS[fault]
    good = GOOD_RECORD[features]
    pattern = three_files(folder, [good(20), good(21), record, good(22)], good)
    with pytest.raises(BadRecordError, match=f"^file {folder}/b, record 2: {re.escape(reason)}"):
        read(pattern, features, training)


# ---- unusual but valid


@pytest.mark.parametrize(
    "view", [pytest.param(VIEW, id="five frames", marks=pytest.mark.slow), pytest.param(config.FrameView(), id="all")]
)
def test_videos_of_any_length_are_read_up_to_their_300th_frame(view):
    videos = [records.random_frames(num_frames, SIZES) for num_frames in (1, 4, 5, 299, 300, 301, 400)]
    found = parse([video(20 + i, frames) for i, frames in enumerate(videos)], view=view)
    seen = found["student"]
    for row, frames in enumerate(videos):
        num_frames = len(frames["rgb"])
        rows, places = oracles.padded_view(
            frames, oracles.selected_frames(view.frame_selection, min(num_frames, 300), 5), view.max_frames
        )
        np.testing.assert_array_equal(seen["frames"][row], rows)
        np.testing.assert_array_equal(seen["frame_indices"][row], places)
        assert seen["num_frames"][row] == min(num_frames, view.max_frames)
        assert found["stored_frames"][row] == num_frames


@pytest.mark.parametrize("labels", [None, []])
def test_a_video_without_labels_has_none(labels):
    assert parse([video(1), video(20, labels=labels), video(2)])["labels"].sum(axis=1).tolist() == [1, 0, 1]


ODD_IDS = [
    b"a,b",
    b'say "so"',
    b"two\nlines",
    b"two\r\nlines",
    b"\xff\xfe\x80",
    "Straße 🎬".encode(),
    b"=1+2",
    b" ",
    b"'",
    b"x" * 5000,
]


@pytest.mark.parametrize("features", GOOD_RECORD, ids=["bytes", "floats", "means"])
def test_ids_of_any_bytes_except_zero_are_read_unchanged(features):
    found = parse([GOOD_RECORD[features](0, video_id=video_id) for video_id in ODD_IDS], features)
    assert found["video_id"].tolist() == ODD_IDS


@pytest.mark.parametrize(
    "record, reason",
    [
        (video(9, labels=[3, 3]), "label 3 is"),
        (b"\xff" * 30, "neither a"),
        (video(9, FRAMES | {"rgb": [[0.5]] * 4}), "'rgb' is not stored as"),
    ],
)
def test_messages_name_files_with_unusual_names_correctly(folder, record, reason):
    path = records.write(folder / "'ü🎬' \\ \"a\"\tb\nc", [video(0), record])
    assert [shard.path for shard in find_files(f"{folder}/*")] == [path]
    with pytest.raises(BadRecordError) as raised:
        parse([video(0), record], path=path)
    assert str(raised.value).startswith(f"file {path}, record 1: {reason}")
