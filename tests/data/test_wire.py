import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings, strategies

from tests import records
from youtube8m_distill import config
from youtube8m_distill.data import bad_records, pipeline
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing import batch, wire
from youtube8m_distill.data.parsing.layout import official_layout

SIZES = (("rgb", 6), ("audio", 3))
BYTES = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3))
RGB = config.FeatureConfig(names=("rgb",), sizes=(6,))
NUM_CLASSES, SEED = 12, 3
VIEWS = {
    "teacher": config.FrameView(),
    "student": config.FrameView(frame_selection="random", frames_per_video=7),
    "third": config.FrameView(frame_selection="first", frames_per_video=3),
}


def unparsed(serialized):
    count = len(serialized)
    return (
        tf.constant(serialized, tf.string),
        tf.fill([count], "some/file"),
        tf.range(count, dtype=tf.int64),
        tf.zeros([count], tf.int64),
    )


def by_cutting(features):
    parse = batch.VideoParser(features, NUM_CLASSES, VIEWS, SEED)
    return lambda *fields: parse(batch.Records(*fields))


def in_any_layout(features):
    """A parser that takes no record for an official one."""
    with records.no_official_layout():
        parse = batch._batch_parser.__wrapped__(
            features,
            NUM_CLASSES,
            tuple(VIEWS.items()),
            official_layout(features),
            with_labels=True,
            trim=False,
            jittered=(),
            portable=False,
        ).get_concrete_function()
    return lambda *fields: parse(*fields, tf.constant(SEED, tf.int64))


@functools.cache
def parsers(features):
    return by_cutting(features), in_any_layout(features)


def outcome(parse, serialized):
    """The batch as numpy, or the words of the error."""
    try:
        with bad_records.naming_bad_records():
            return tf.nest.map_structure(lambda values: values.numpy(), parse(*unparsed(serialized)))
    except bad_records.BadRecordError as error:
        return str(error)


def official(serialized, features=BYTES):
    """Whether each record is found to have the official layout."""
    return wire.locate(tf.constant(serialized, tf.string), features).official.numpy().tolist()


@strategies.composite
def any_record(draw):
    """Mostly official records, in every layout that the format allows, and some with a fault."""
    num_frames = draw(strategies.sampled_from([1, 2, 7, 49, 50, 51, 120, 300, 303]))
    frames = {
        name: [row.tobytes() for row in rows]
        for name, rows in records.random_frames(num_frames, SIZES, draw(strategies.integers(0, 99))).items()
    }
    fault = draw(strategies.sampled_from([None] * 6 + ["size", "recut", "missing", "count", "twice", "floats"]))
    name, place = draw(strategies.sampled_from(["rgb", "audio"])), draw(strategies.integers(0, num_frames - 1))
    if fault == "size":
        frames[name][place] += b"x"
    if fault == "recut" and num_frames > 1:  # the total length stays right
        other = (place + 1) % num_frames
        frames[name][place], frames[name][other] = frames[name][place][:-1], frames[name][other] + b"x"
    if fault == "missing":
        del frames[name]
    if fault == "count":
        del frames[name][place]
    if fault == "twice":
        frames[name][place] = [frames[name][place]] * 2
    if fault == "floats":
        frames[name] = [np.zeros(3, np.float32)] * num_frames
    if draw(strategies.booleans()):
        frames["flow"] = [b"abcdef"] * draw(strategies.integers(0, 3))
    video_id = draw(strategies.sampled_from([b"abcd", b"x" * 200, None] if fault is None else [b"abcd"]))
    labels = draw(strategies.sampled_from([None, [], [3], [11, 2, 2], [0, 12]]))
    frames = {key: frames[key] for key in draw(strategies.permutations(sorted(frames)))}
    example = tf.train.SequenceExample.FromString(
        records.frame_record(frames, video_id, labels, draw(strategies.sampled_from(["id", "video_id"])))
    )
    # Lists sorted by name, or in the order in which this protobuf keeps a map.
    serialized = example.SerializeToString(deterministic=draw(strategies.booleans()))
    return serialized + draw(strategies.sampled_from([b""] * 8 + [b"\x00", b"\x1a\x01x", b"\xff\xff"]))


@pytest.mark.parametrize("features", [pytest.param(BYTES, id="both"), pytest.param(RGB, id="rgb", marks=pytest.mark.slow)])
@settings(max_examples=12, deadline=None)
@given(serialized=strategies.lists(any_record(), min_size=1, max_size=3))
def test_official_records_are_read_as_records_of_any_layout_are(features, serialized):
    found, expected = (outcome(parse, serialized) for parse in parsers(features))
    if isinstance(expected, dict):
        tf.nest.map_structure(np.testing.assert_array_equal, found, expected)
        return
    assert isinstance(found, str)
    for record in serialized:  # alone, since TensorFlow may name any of several bad records
        found, expected = (outcome(parse, [record]) for parse in parsers(features))
        tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


def layouts():
    """Serialized records of the official layout, in the variants that occur."""
    frames = {name: list(rows) for name, rows in records.random_frames(120, SIZES).items()}
    for order in (("rgb", "audio"), ("audio", "rgb")):
        for key in ("id", "video_id"):
            for labels in (None, [], [3, 4]):
                context = records.frame_record({}, labels=labels, id_key=key)
                lists = b"".join(
                    _field(
                        0x0A,
                        _field(0x0A, name.encode())
                        + _field(
                            0x12, b"".join(_field(0x0A, _field(0x0A, _field(0x0A, row.tobytes()))) for row in frames[name])
                        ),
                    )
                    for name in order
                )
                yield _parsed_alike(context[: 2 + context[1]] + _field(0x12, lists), frames)


def _field(tag, content):
    length, number = b"", len(content)
    while number > 127:
        length, number = length + bytes([number % 128 + 128]), number // 128
    return bytes([tag]) + length + bytes([number]) + content


def _parsed_alike(serialized, frames):
    stored = tf.train.SequenceExample.FromString(serialized).feature_lists.feature_list
    assert all(stored[name].feature[5].bytes_list.value[0] == rows[5].tobytes() for name, rows in frames.items())
    return serialized


def test_official_layouts_are_recognized_and_truncated_records_are_not():
    for serialized in layouts():
        assert official([serialized]) == [True]
        for place in (0, len(serialized) // 2, len(serialized) - 1):
            assert official([serialized[:place]]) == [False]
        assert official([serialized + b"\x00", b"", serialized]) == [False, False, True]


def test_a_change_of_any_byte_before_any_frame_is_noticed():
    original, changed = next(layouts()), []
    for frame in (0, 1, 60, 119):
        row = records.random_frames(120, SIZES)["rgb"][frame].tobytes()
        for byte in range(6):
            serialized = bytearray(original)
            serialized[serialized.index(row) - 6 + byte] ^= 1
            changed.append(bytes(serialized))
    assert official(changed) == [False] * 24


def test_frame_headers_are_those_of_protocol_buffers():
    for size in (1, 100, 127, 128, 1024, 20000):
        record = records.frame_record({"rgb": [b"x" * size]}, None, None)
        assert wire.frame_header(size) + b"x" * size in record


# The next tests keep reading fast: they fail when the amount of work grows.


@pytest.fixture
def videos(tmp_path):
    for i in range(2):
        records.write(
            tmp_path / str(i),
            [records.frame_record(records.random_frames(3 + 30 * n, SIZES, n), b"%d" % n, [n]) for n in range(10)],
        )
    return find_files(f"{tmp_path}/*")


def test_all_frames_of_official_records_are_never_parsed(videos, monkeypatch):
    parse = tf.io.parse_sequence_example

    def refusing_lists(serialized, context, lists=None, **options):
        with tf.control_dependencies([tf.debugging.Assert(lists is None, ["all frames were parsed"])]):
            return parse(tf.identity(serialized), context, lists, **options)

    monkeypatch.setattr(tf.io, "parse_sequence_example", refusing_lists)
    records.forget_parsers(monkeypatch)
    views = {"teacher": config.FrameView(), "student": config.FrameView(frame_selection="uniform", frames_per_video=3)}
    parser = batch.VideoParser(BYTES, NUM_CLASSES, views)
    dataset = pipeline.make_dataset(videos, parser, 5, TrainingOrder())
    assert sum(len(batch["labels"]) for batch in dataset) == 20
    records.write(videos[1].path, [records.frame_record(records.random_frames(3, SIZES)) + b"\x1a\x01x"] * 5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="all frames were parsed"):
        list(dataset)


def test_only_selected_frames_are_decoded(monkeypatch):
    decoded = []
    real = tf.io.decode_raw

    def decode_raw(values, *args, **options):
        found = real(values, *args, **options)
        decoded.append(int(tf.size(found)))
        return found

    monkeypatch.setattr(tf.io, "decode_raw", decode_raw)
    parse = batch.VideoParser(
        BYTES, NUM_CLASSES, {"student": config.FrameView(frame_selection="uniform", frames_per_video=3)}
    )
    with records.untraced():
        parse(batch.Records(*unparsed([records.frame_record(records.random_frames(300, SIZES))] * 2)))
    lengths = 2 * 6 * (2 + 3 * 2)  # tags and lengths: two per record, three per list
    assert sum(decoded) == 2 * 3 * 9 + lengths


def test_frames_stay_bytes_and_records_are_batched_before_parsing(videos):
    parser = batch.VideoParser(
        BYTES, NUM_CLASSES, {"student": config.FrameView(frame_selection="uniform", frames_per_video=3)}
    )
    dataset = pipeline.make_dataset(videos, parser, 5, TrainingOrder())
    assert dataset.element_spec["student"]["frames"].dtype == tf.uint8
    floats = [spec for spec in tf.nest.flatten(dataset.element_spec) if spec.dtype == tf.float32]
    assert floats == [dataset.element_spec["notes"]]
    steps = []
    while hasattr(dataset, "_input_dataset"):
        steps.append(type(dataset).__name__)
        dataset = dataset._input_dataset
    batching = next(i for i, step in enumerate(steps) if "Batch" in step)
    parsing = next(i for i, step in enumerate(steps) if "Map" in step)
    assert parsing < batching and not any("Map" in step for step in steps[batching:] if "Flat" not in step)
