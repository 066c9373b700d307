import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from youtube8m_distill import config, schema
from youtube8m_distill.data import pipeline, tfrecord

FEATURES = config.FeatureConfig(("rgb", "audio"), (6, 3))
MEANS = config.FeatureConfig(("mean_rgb",), (1,), False, "float32")
FIRST = config.FrameView("first", 2)
COUNTS = (4, 1, 6, 3, 5, 2, 2)  # records in each file: 23, a prime
TOTAL = sum(COUNTS)


@pytest.fixture(scope="module", params=["", "GZIP", "mixed"])
def shards(request, tmp_path_factory):
    """Seven video-level files; the one feature of a video is its number in file order, its id the same in words."""
    return numbered_files(tmp_path_factory.mktemp("videos"), request.param)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return numbered_files(tmp_path_factory.mktemp("videos"), "")


def numbered_files(folder, compression):
    number = 0
    for i, count in enumerate(COUNTS):
        rows = [records.video_record({"mean_rgb": [float(number + j)]}, b"%d" % (number + j)) for j in range(count)]
        packed = ("GZIP" if i % 2 else "") if compression == "mixed" else compression
        records.write(folder / f"{i}.tfrecord", rows, packed)
        number += count
    return tfrecord.find_files(f"{folder}/*")


def batches(shards, batch_size=4, **options):
    return list(pipeline.make_dataset(shards, MEANS, 5, None, batch_size, **options).as_numpy_iterator())


def stream(*args, **options):
    """(epoch, number) of every training record that is batched, in order."""
    found = batches(*args, training=True, **options)
    return [(int(epoch), int(number)) for batch in found for epoch, number in zip(batch["epoch"], batch["features"][:, 0])]


def test_evaluation_reads_every_record_in_file_order(shards):
    found = batches(shards, training=False)
    assert [len(batch["features"]) for batch in found] == [4, 4, 4, 4, 4, 3]  # the last is short
    assert np.concatenate([batch["features"][:, 0] for batch in found]).tolist() == list(range(TOTAL))
    assert [int(video_id) for batch in found for video_id in batch["video_id"]] == list(range(TOTAL))
    assert all(sorted(batch) == ["features", "labels", "record", "shard", "video_id"] for batch in found)
    places = [(int(shard), int(record)) for batch in found for shard, record in zip(batch["shard"], batch["record"])]
    assert places == [(shard, record) for shard, count in enumerate(COUNTS) for record in range(count)]


def test_what_a_shard_tells_to_leave_out_is_left_out(plain):
    shards = list(plain)
    shards[2] = dataclasses.replace(shards[2], left_out=(0, 3), readable=5)
    shards[6] = dataclasses.replace(shards[6], readable=0)
    gone = [5, 8, 10, 21, 22]
    expected = [number for number in range(TOTAL) if number not in gone]
    found = batches(tuple(shards), training=False)
    assert np.concatenate([batch["features"][:, 0] for batch in found]).tolist() == expected
    assert found[1]["record"].tolist() == [0, 1, 2, 4]
    assert sorted(number for _, number in stream(tuple(shards), batch_size=1)) == expected


def test_training_reads_every_record_once_an_epoch(shards):
    found = stream(shards, batch_size=1, num_epochs=3)
    assert [epoch for epoch, _ in found] == [0] * TOTAL + [1] * TOTAL + [2] * TOTAL
    orders = [[number for epoch, number in found if epoch == e] for e in range(3)]
    assert all(sorted(order) == list(range(TOTAL)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0] and orders[0] != list(range(TOTAL))


def test_epochs_follow_one_another_before_batching(plain):
    found = batches(plain, batch_size=5, training=True, num_epochs=2)
    assert len(found) == 2 * TOTAL // 5  # 46 records: only the run's last one is left out
    assert all(batch["features"].shape == (5, 1) for batch in found)
    assert found[4]["epoch"].tolist() == [0, 0, 0, 1, 1] and found[4]["epoch"].dtype == np.int32


def test_the_last_incomplete_batch_of_all_is_left_out_in_training_only(plain):
    assert batches(plain, batch_size=TOTAL + 1, training=True) == []
    assert len(batches(plain, batch_size=TOTAL + 1, training=False)) == 1


def test_the_order_is_a_function_of_the_seed_alone(plain):
    tf.random.set_seed(1)
    found = stream(plain, seed=3, num_epochs=2)
    tf.random.set_seed(2)  # a program's own seed must not reach the order
    assert stream(plain, seed=3, num_epochs=2) == found
    assert stream(plain, seed=4, num_epochs=2) != found


@pytest.mark.parametrize("training, batch_size", [(True, 6), (False, 6), pytest.param(False, 12, marks=pytest.mark.slow)])
def test_shares_of_a_batch_are_together_the_batch(plain, training, batch_size):
    whole = batches(plain, batch_size, training=training, num_epochs=2)
    shares = [batches(plain, batch_size, training=training, num_epochs=2, share=(i, 3)) for i in range(3)]
    assert [len(share) for share in shares] == [len(whole)] * 3
    for parts, batch in zip(zip(*shares), whole):
        if training:  # workers see an epoch end at the same step: where the batch of all of them begins
            batch = {**batch, schema.EPOCH: np.full_like(batch[schema.EPOCH], batch[schema.EPOCH][0])}
        for key, values in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[key] for part in parts]), values)
        sizes = [len(part["labels"]) for part in parts]
        assert max(sizes) - min(sizes) <= 1 and (len(batch["labels"]) < batch_size or len(set(sizes)) == 1)


def test_a_share_of_a_last_batch_may_be_empty(plain):
    found = batches(plain, 11, training=False, share=(0, 11))  # 23 records: the last batch has one, of the last share
    assert [len(batch["features"]) for batch in found] == [1, 1, 0]


def test_a_share_of_frames_may_be_empty_too(videos):
    dataset = pipeline.make_dataset(videos, FEATURES, 5, config.FrameView("random", 2), 9, training=False, share=(0, 9))
    assert [tuple(batch["frames"].shape) for batch in dataset] == [(1, 2, 9), (0, 2, 9)]


def test_a_share_is_not_parsed_by_others(tmp_path):
    good, bad = records.video_record({"mean_rgb": [1.0]}), records.video_record({"mean_rgb": [1.0, 2.0]})
    records.write(tmp_path / "a", [good, bad] * 3)
    shards = tfrecord.find_files(f"{tmp_path}/a")
    assert len(batches(shards, 2, training=False, share=(0, 2))) == 3
    with pytest.raises(tf.errors.InvalidArgumentError, match="has 2 numbers instead of 1"):
        batches(shards, 2, training=False, share=(1, 2))


@pytest.mark.parametrize("share, words", [((3, 3), "the index must lie in 0 .. 2"), ((0, 3), "choose a multiple of 3")])
def test_shares_that_cannot_be_are_refused(plain, share, words):
    with pytest.raises(ValueError, match=words):
        batches(plain, 4, training=True, share=share)


@pytest.mark.parametrize(
    "steps, options",
    [(1, {}), (7, {"train_fraction": 0.5}), (7, {"share": (1, 2)}), (12, {"num_readers": 3, "shuffle_buffer": 5})],
)
def test_a_stream_from_the_middle_is_the_tail_of_the_whole(plain, steps, options):
    options = {"training": True, "num_epochs": 5, "seed": 1, **options}
    whole = batches(plain, **options)
    tail = batches(plain, start=whole[steps - 1]["position"][0], **options)
    assert len(tail) == len(whole) - steps > 0
    for mine, expected in zip(tail, whole[steps:]):
        for key, values in expected.items():
            np.testing.assert_array_equal(mine[key], values)


def test_a_share_has_the_position_of_its_whole_batch(plain):
    whole = batches(plain, training=True)
    for batch, share in zip(whole, batches(plain, training=True, share=(0, 2))):
        assert (share["position"] == batch["position"][0]).all() and len(share["position"]) == 2


def test_files_that_an_epoch_has_done_with_are_not_read_again(tmp_path):
    """Those are damaged in between: reading them would fail."""
    for i in range(6):
        records.write(tmp_path / f"{i}.tfrecord", [records.video_record({"mean_rgb": [i + j / 8]}) for j in range(8)])
    shards, options = tfrecord.find_files(f"{tmp_path}/*.tfrecord"), {"training": True, "num_readers": 2}
    whole = batches(shards, **options)
    used = {int(value) for batch in whole[:5] for value in batch["features"][:, 0]}  # 20 records
    done = used - {int(value) for batch in whole[5:] for value in batch["features"][:, 0]}
    assert len(done) == 2
    for shard in done:
        path = tmp_path / f"{shard}.tfrecord"
        path.write_bytes(path.read_bytes()[:-1])
    tail = batches(shards, start=whole[4]["position"][0], **options)
    np.testing.assert_array_equal([batch["features"] for batch in tail], [batch["features"] for batch in whole[5:]])


def test_without_a_number_of_epochs_training_does_not_end(plain):
    dataset = pipeline.make_dataset(plain, MEANS, 5, None, TOTAL, training=True, num_epochs=None)
    assert [int(batch["epoch"][0]) for batch in dataset.take(7)] == list(range(7))


def test_records_of_different_files_come_mixed_even_without_a_shuffle_buffer(plain):
    found = [number for _, number in stream(plain, batch_size=1, shuffle_buffer=1, num_readers=3)]
    assert sorted(found) == list(range(TOTAL))
    alone = [number for _, number in stream(plain, batch_size=1, shuffle_buffer=1, num_readers=1)]
    files = np.repeat(range(len(COUNTS)), COUNTS)
    changes = {
        name: sum(files[a] != files[b] for a, b in zip(order, order[1:]))
        for name, order in (("mixed", found), ("alone", alone))
    }
    assert changes["alone"] == len(COUNTS) - 1 < changes["mixed"]


def test_the_shuffle_buffer_mixes_what_one_reader_gives(plain):
    unmixed = stream(plain, batch_size=1, shuffle_buffer=1, num_readers=1)
    assert stream(plain, batch_size=1, shuffle_buffer=100, num_readers=1) != unmixed


@pytest.mark.parametrize(
    "training, with_ids, expected", [(True, None, False), (False, None, True), (True, True, True), (False, False, False)]
)
def test_ids_travel_where_nothing_trains_unless_asked(plain, training, with_ids, expected):
    batch = batches(plain, training=training, with_ids=with_ids)[0]
    assert ("video_id" in batch) == expected and ("epoch" in batch) == training
    if expected:
        assert [int(video_id) for video_id in batch["video_id"]] == batch["features"][:, 0].tolist()


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
    return tfrecord.find_files(f"{folder}/*")


def described(spec):
    return tuple(spec.shape), spec.dtype.name


def test_frame_level_batches_have_the_shapes_and_types_that_the_schema_names(videos):
    views = {"teacher": config.FrameView(), "student": FIRST}
    dataset = pipeline.make_dataset(videos, FEATURES, 5, views, 4, training=True, num_epochs=2)
    teacher, student = (
        {"frames": ((4, length, 9), "uint8"), "num_frames": ((4,), "int32"), "frame_indices": ((4, length), "int32")}
        for length in (300, 2)
    )
    expected = {
        "teacher": teacher,
        "student": student,
        "labels": ((4, 5), "uint8"),
        "epoch": ((4,), "int32"),
        "num_stored_frames": ((4,), "int32"),
        "position": ((4, 3), "int64"),
    }
    assert tf.nest.map_structure(described, dataset.element_spec) == expected  # static, so that nothing retraces
    for batch in dataset:
        assert tf.nest.map_structure(described, batch) == expected


def test_one_network_gets_a_flat_batch(videos):
    batch = next(iter(pipeline.make_dataset(videos, FEATURES, 5, FIRST, 3, training=False)))
    assert sorted(batch) == [
        "frame_indices",
        "frames",
        "labels",
        "num_frames",
        "num_stored_frames",
        "record",
        "shard",
        "video_id",
    ]
    expected = [np.concatenate(list(records.random_frames(3 + 33 * i, seed=i).values()), axis=1)[:2] for i in range(3)]
    np.testing.assert_array_equal(batch["frames"], expected)
    assert batch["labels"].numpy().tolist() == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0]]


def batches_of_five(videos):
    return list(
        pipeline.make_dataset(
            videos, FEATURES, 5, config.FrameView("random", 2), 5, training=True, num_epochs=2, seed=1
        ).as_numpy_iterator()
    )


def drawn(videos, **options):
    """{(epoch or None, video id): the frames drawn for it}."""
    dataset = pipeline.make_dataset(videos, FEATURES, 5, config.FrameView("random", 2), 5, with_ids=True, **options)
    found = collections.defaultdict(list)
    for batch in dataset.as_numpy_iterator():
        for i, video_id in enumerate(batch["video_id"]):
            epoch = int(batch["epoch"][i]) if "epoch" in batch else None
            found[epoch, int(video_id)].append(batch["frame_indices"][i].tolist())
    return found


def test_random_frames_are_drawn_anew_each_epoch_in_training(videos):
    found = drawn(videos, training=True, num_epochs=2, seed=1)
    differ = [found[0, i] != found[1, i] for i in range(10)]
    assert sum(differ) >= 8  # the first video has 3 frames: it may repeat itself
    assert drawn(videos, training=True, num_epochs=2, seed=1) == found
    assert drawn(videos, training=True, num_epochs=2, seed=2) != found
    position = batches_of_five(videos)[2]["position"][0]  # one batch into the second epoch
    tail = drawn(videos, training=True, start=position, num_epochs=2, seed=1)
    assert len(tail) == 5 and all(found[place] == frames for place, frames in tail.items())


def test_random_frames_stay_the_same_at_evaluation(videos):
    found = drawn(videos, training=False, num_epochs=2, seed=1)
    assert all(first == second for first, second in found.values()) and len(found) == 10
    assert drawn(videos, training=False, num_epochs=2, seed=2) != found


def test_a_batch_divides_over_two_replicas(plain):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
    dataset = pipeline.make_dataset(plain, MEANS, 5, None, 4, training=True)
    whole = [batch["features"].numpy() for batch in dataset]
    split = [
        np.concatenate(strategy.experimental_local_results(batch["features"]))
        for batch in strategy.experimental_distribute_dataset(dataset)
    ]
    np.testing.assert_array_equal(split, whole)
