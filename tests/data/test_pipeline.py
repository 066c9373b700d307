import dataclasses
import time

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from youtube8m_distill import config, schema
from youtube8m_distill.data import pipeline, tfrecord
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.errors import SettingError

FEATURES = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3))
NUMBERS = records.NumberParser()
FIRST = config.FrameView(frame_selection="first", frames_per_video=2)
RANDOM = config.FrameView(frame_selection="random", frames_per_video=2)
COUNTS = (4, 1, 6, 3, 5, 2, 2)  # records in each file, 23 in all
TOTAL = sum(COUNTS)


@pytest.fixture(scope="module", params=["", "mixed"])
def shards(request, tmp_path_factory):
    """Seven files of numbers, from 0 in file order."""
    return numbered_files(tmp_path_factory.mktemp("videos"), request.param)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return numbered_files(tmp_path_factory.mktemp("videos"), "")


def numbered_files(folder, compression):
    number = 0
    for i, count in enumerate(COUNTS):
        rows = [b"%d" % (number + j) for j in range(count)]
        packed = ("GZIP" if i % 2 else "") if compression == "mixed" else compression
        records.write(folder / f"{i}.tfrecord", rows, packed)
        number += count
    return find_files(f"{folder}/*")


def batches(shards, batch_size=4, order=None, **options):
    return list(pipeline.make_dataset(shards, NUMBERS, batch_size, order, **options).as_numpy_iterator())


def numbers(batch):
    """The numbers of a batch's videos, a list."""
    return batch["student"]["features"][:, 0].astype(int).tolist()


def stream(shards, **order):
    """(epoch, number) of every training record, in order."""
    found = pipeline.read_records(shards, TrainingOrder(**order)).as_numpy_iterator()
    return [(int(epoch), int(record)) for (_, (epoch, _), record), _ in found]


def test_evaluation_reads_every_record_in_file_order(shards):
    found = batches(shards)
    assert [len(batch["labels"]) for batch in found] == [4, 4, 4, 4, 4, 3]  # the last is short
    assert sum(map(numbers, found), []) == list(range(TOTAL))
    assert [int(video_id) for batch in found for video_id in batch["video_id"]] == list(range(TOTAL))
    assert all(sorted(batch) == ["labels", "record", "shard", "student", "video_id"] for batch in found)
    places = [(int(shard), int(record)) for batch in found for shard, record in zip(batch["shard"], batch["record"])]
    assert places == [(shard, record) for shard, count in enumerate(COUNTS) for record in range(count)]


def test_excluded_records_are_not_read(plain):
    shards = list(plain)
    shards[2] = dataclasses.replace(shards[2], excluded=(0, 3), readable=5)
    shards[6] = dataclasses.replace(shards[6], readable=0)
    expected = [number for number in range(TOTAL) if number not in (5, 8, 10, 21, 22)]
    found = batches(tuple(shards))
    assert sum(map(numbers, found), []) == expected
    assert found[1]["record"].tolist() == [0, 1, 2, 4]
    assert sorted(number for _, number in stream(tuple(shards))) == expected


def test_training_reads_every_record_once_an_epoch(shards):
    found = stream(shards, num_epochs=3)
    assert [epoch for epoch, _ in found] == [0] * TOTAL + [1] * TOTAL + [2] * TOTAL
    orders = [[number for epoch, number in found if epoch == e] for e in range(3)]
    assert all(sorted(order) == list(range(TOTAL)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0] and orders[0] != list(range(TOTAL))


def test_epochs_follow_one_another_before_batching(plain):
    found = batches(plain, 5, TrainingOrder(num_epochs=2))
    assert len(found) == 2 * TOTAL // 5  # 46 records: only the very last one is dropped
    assert all(batch["student"]["features"].shape == (5, 1) for batch in found)
    assert found[4]["epoch"].tolist() == [0, 0, 0, 1, 1] and found[4]["epoch"].dtype == np.int32


def test_only_training_drops_the_last_incomplete_batch(plain):
    assert batches(plain, TOTAL + 1, TrainingOrder()) == []
    assert len(batches(plain, TOTAL + 1)) == 1


def test_the_order_is_a_function_of_the_seed_alone(plain):
    tf.random.set_seed(1)
    found = stream(plain, seed=3, num_epochs=2)
    tf.random.set_seed(2)  # the global seed must not change the order
    assert stream(plain, seed=3, num_epochs=2) == found
    assert stream(plain, seed=4, num_epochs=2) != found


@pytest.mark.parametrize(
    "order, batch_size", [(TrainingOrder(num_epochs=2), 6), (None, 6), pytest.param(None, 12, marks=pytest.mark.slow)]
)
def test_the_shares_of_a_batch_add_up_to_the_batch(plain, order, batch_size):
    whole = batches(plain, batch_size, order)
    shares = [batches(plain, batch_size, order, share=(i, 3)) for i in range(3)]
    assert [len(share) for share in shares] == [len(whole)] * 3
    for parts, batch in zip(zip(*shares), whole):
        if order:  # all workers see an epoch end at the same step: by the first record of the whole batch
            batch = {**batch, schema.EPOCH: np.full_like(batch[schema.EPOCH], batch[schema.EPOCH][0])}
        joined = tf.nest.map_structure(lambda *values: np.concatenate(values), *parts)
        tf.nest.map_structure(np.testing.assert_array_equal, joined, batch)
        sizes = [len(part["labels"]) for part in parts]
        assert max(sizes) - min(sizes) <= 1 and (len(batch["labels"]) < batch_size or len(set(sizes)) == 1)


def test_a_share_of_a_last_batch_may_be_empty(plain):
    found = batches(plain, 11, share=(0, 11))  # 23 records: the last batch has one, in the last share
    assert [len(batch["labels"]) for batch in found] == [1, 1, 0]


def test_a_share_of_frames_may_be_empty(videos):
    dataset = pipeline.make_dataset(videos, parser(RANDOM, 1), 9, share=(0, 9))
    assert [tuple(batch["student"]["frames"].shape) for batch in dataset] == [(1, 2, 9), (0, 2, 9)]


def test_a_worker_parses_only_its_own_share(tmp_path):
    records.write(tmp_path / "a", [b"1", b"-1"] * 3)
    shards = find_files(f"{tmp_path}/a")
    assert len(batches(shards, 2, share=(0, 2))) == 3
    with pytest.raises(tf.errors.InvalidArgumentError, match="a negative number"):
        batches(shards, 2, share=(1, 2))


@pytest.mark.parametrize("share, words", [((3, 3), "the index must be in 0 .. 2"), ((0, 3), "choose a multiple of 3")])
def test_invalid_shares_are_refused(plain, share, words):
    with pytest.raises(SettingError, match=words):
        batches(plain, 4, TrainingOrder(), share=share)


@pytest.mark.parametrize(
    "steps, options, share",
    [(1, {}, None), (7, {"train_fraction": 0.5}, (1, 2)), (12, {"num_readers": 3, "shuffle_buffer": 5}, None)],
)
def test_reading_from_a_position_gives_the_rest_of_the_batches(plain, steps, options, share):
    order = TrainingOrder(1, num_epochs=5, **options)
    whole = batches(plain, order=order, share=share)
    start = tuple(whole[steps - 1]["position"][0].tolist())
    rest = batches(plain, order=dataclasses.replace(order, start=start), share=share)
    assert len(rest) == len(whole) - steps > 0
    for batch, expected in zip(rest, whole[steps:]):
        tf.nest.map_structure(np.testing.assert_array_equal, batch, expected)


def test_a_share_has_the_position_of_its_whole_batch(plain):
    whole = batches(plain, order=TrainingOrder())
    for batch, share in zip(whole, batches(plain, order=TrainingOrder(), share=(0, 2))):
        assert (share["position"] == batch["position"][0]).all() and len(share["position"]) == 2


def test_files_finished_in_an_epoch_are_not_read_again(tmp_path):
    """The files are damaged in between, so that reading them would fail."""
    for i in range(6):
        records.write(tmp_path / f"{i}.tfrecord", [b"%d" % (10 * i + j) for j in range(8)])
    shards, order = find_files(f"{tmp_path}/*.tfrecord"), TrainingOrder(num_readers=2)
    whole = batches(shards, order=order)
    used = {number // 10 for batch in whole[:5] for number in numbers(batch)}  # 20 records
    done = used - {number // 10 for batch in whole[5:] for number in numbers(batch)}
    assert len(done) == 2
    for shard in done:
        path = tmp_path / f"{shard}.tfrecord"
        path.write_bytes(path.read_bytes()[:-1])
    rest = batches(shards, order=dataclasses.replace(order, start=tuple(whole[4]["position"][0].tolist())))
    assert list(map(numbers, rest)) == list(map(numbers, whole[5:]))


def test_without_a_number_of_epochs_training_does_not_end(plain):
    dataset = pipeline.make_dataset(plain, NUMBERS, TOTAL, TrainingOrder(num_epochs=None))
    assert [int(batch["epoch"][0]) for batch in dataset.take(7)] == list(range(7))


def test_records_of_different_files_are_mixed_even_without_a_shuffle_buffer(plain):
    found = [number for _, number in stream(plain, shuffle_buffer=1, num_readers=3)]
    assert sorted(found) == list(range(TOTAL))
    alone = [number for _, number in stream(plain, shuffle_buffer=1, num_readers=1)]
    files = np.repeat(range(len(COUNTS)), COUNTS)
    changes = {
        name: sum(files[a] != files[b] for a, b in zip(order, order[1:]))
        for name, order in (("mixed", found), ("alone", alone))
    }
    assert changes["alone"] == len(COUNTS) - 1 < changes["mixed"]


def test_the_shuffle_buffer_mixes_the_records_of_one_reader(plain):
    assert stream(plain, shuffle_buffer=100, num_readers=1) != stream(plain, shuffle_buffer=1, num_readers=1)


@pytest.mark.parametrize(
    "training, with_ids, expected", [(True, None, False), (False, None, True), (True, True, True), (False, False, False)]
)
def test_batches_hold_ids_in_evaluation_unless_asked_otherwise(plain, training, with_ids, expected):
    batch = batches(plain, order=TrainingOrder() if training else None, with_ids=with_ids)[0]
    assert ("video_id" in batch) == expected and ("epoch" in batch) == training
    if expected:
        assert [int(video_id) for video_id in batch["video_id"]] == numbers(batch)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Ten frame-level videos of 3 to 300 frames, in two files."""
    folder = tmp_path_factory.mktemp("frames")
    for i in range(2):
        numbers = range(5 * i, 5 * i + 5)
        records.write(
            folder / f"{i}",
            [
                records.frame_record(records.random_frames(3 + 33 * n, seed=n), b"%d" % n, sorted({i, n % 5}))
                for n in numbers
            ],
        )
    return find_files(f"{folder}/*")


def parser(view, seed=0):
    return VideoParser(FEATURES, 5, {"student": view}, seed)


def described(spec):
    return tuple(spec.shape), spec.dtype.name


def test_frame_level_batches_have_the_shapes_and_types_of_the_schema(videos):
    views = {"teacher": config.FrameView(), "student": FIRST}
    dataset = pipeline.make_dataset(videos, VideoParser(FEATURES, 5, views), 4, TrainingOrder(num_epochs=2))
    teacher, student = (
        {"frames": ((4, length, 9), "uint8"), "num_frames": ((4,), "int32"), "frame_indices": ((4, length), "int32")}
        for length in (300, 2)
    )
    expected = {
        "teacher": teacher,
        "student": student,
        "labels": ((4, 5), "uint8"),
        "epoch": ((4,), "int32"),
        "stored_frames": ((4,), "int32"),
        "notes": ((4, 5), "float32"),
        "position": ((4, 3), "int64"),
    }
    assert tf.nest.map_structure(described, dataset.element_spec) == expected  # static, so nothing is retraced
    for batch in dataset:
        assert tf.nest.map_structure(described, batch) == expected


def test_a_batch_is_nested_by_role_with_a_single_role_too(videos):
    batch = next(iter(pipeline.make_dataset(videos, parser(FIRST), 3)))
    assert sorted(batch) == ["labels", "notes", "record", "shard", "stored_frames", "student", "video_id"]
    assert sorted(batch["student"]) == ["frame_indices", "frames", "num_frames"]
    expected = [np.concatenate(list(records.random_frames(3 + 33 * i, seed=i).values()), axis=1)[:2] for i in range(3)]
    np.testing.assert_array_equal(batch["student"]["frames"], expected)
    assert batch["labels"].numpy().tolist() == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0]]


def drawn(videos, order=None):
    """The batches, and {(epoch or None, video id): the frames drawn for it}."""
    dataset = pipeline.make_dataset(videos, parser(RANDOM, 1), 5, order, with_ids=True)
    found, frames = list(dataset.as_numpy_iterator()), {}
    for batch in found:
        epochs = batch.get("epoch", [None] * 5)
        for epoch, video_id, indices in zip(epochs, batch["video_id"], batch["student"]["frame_indices"]):
            frames[epoch, int(video_id)] = indices.tolist()
    return found, frames


def test_random_frames_differ_between_epochs_and_are_fixed_in_evaluation(videos):
    order = TrainingOrder(1, num_epochs=2)
    found, frames = drawn(videos, order)
    differ = [frames[0, i] != frames[1, i] for i in range(10)]
    assert sum(differ) >= 8  # the first video has 3 frames only: it may repeat a draw
    start = tuple(found[2]["position"][0].tolist())  # one batch into the second epoch
    _, rest = drawn(videos, dataclasses.replace(order, start=start))
    assert len(rest) == 5 and all(frames[place] == indices for place, indices in rest.items())
    # In evaluation they are those of the first epoch, every time.
    assert drawn(videos)[1] == {(None, i): frames[0, i] for i in range(10)}


def test_datasets_run_without_autotuning(plain):
    """Its thread may keep an iterator from closing."""
    training = pipeline.make_dataset(plain, NUMBERS, 4, TrainingOrder())
    for dataset in (training, pipeline.make_dataset(plain, NUMBERS, 4), tfrecord.read_serialized(plain[0])):
        assert dataset.options().autotune.enabled is False


@pytest.mark.slow
def test_iterators_close_at_once(plain):
    """With autotuning, some of twelve would take seconds after these three seconds."""
    datasets = [pipeline.make_dataset(plain, NUMBERS, 4, TrainingOrder(num_epochs=None)) for _ in range(4)]
    datasets += [pipeline.make_dataset(plain, NUMBERS, 4), tfrecord.read_serialized(plain[0])] * 4
    iterators = [iter(dataset) for dataset in datasets]
    for iterator in iterators:
        next(iterator)
    time.sleep(3)
    del iterator
    started = time.perf_counter()
    iterators.clear()
    assert time.perf_counter() - started < 2


def test_a_batch_divides_over_two_replicas(plain):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
    dataset = pipeline.make_dataset(plain, NUMBERS, 4, TrainingOrder())
    whole = [batch["student"]["features"].numpy() for batch in dataset]
    split = [
        np.concatenate(strategy.experimental_local_results(batch["student"]["features"]))
        for batch in strategy.experimental_distribute_dataset(dataset)
    ]
    np.testing.assert_array_equal(split, whole)
