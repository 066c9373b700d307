"""Files are parsed with tf.train protos here, not with the package's reader. Numbers: REFERENCE, section 11."""

import collections
import csv
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests import oracles, records
from youtube8m_distill.data.synthetic import prototypes, sources, statistics, videos
from youtube8m_distill.data.synthetic.dataset import SyntheticConfig, write_dataset

STEP = 4 / 255
PARTS = {"rgb": slice(0, 1024), "audio": slice(1024, 1152)}
REAL = pathlib.Path(__file__).parents[2].parent / "shared" / "data"


def small(**changes):
    values = dict(
        num_train_videos=7, num_validate_videos=3, num_test_videos=4, num_classes=20, videos_per_shard=4, max_frames=9
    )
    return SyntheticConfig(**{**values, **changes})


def raw(path, compression=""):
    return [record.numpy() for record in tf.data.TFRecordDataset(str(path), compression)]


def context_of(features):
    """{name: list of values} of a tf.train.Features."""
    return {name: list(getattr(value, value.WhichOneof("kind")).value) for name, value in features.feature.items()}


def parse_frames(serialized):
    """Context, and {name: uint8 [num_frames, size]}."""
    example = tf.train.SequenceExample.FromString(serialized)
    lists = {
        name: [np.frombuffer(frame.bytes_list.value[0], np.uint8) for frame in frames.feature]
        for name, frames in example.feature_lists.feature_list.items()
    }
    return context_of(example.context), {name: np.stack(frames) for name, frames in lists.items()}


def parse_folder(folder, split):
    return [parse_frames(record) for path in sorted(folder.glob(f"{split}*.tfrecord")) for record in raw(path)]


def test_files_have_the_official_names_sizes_and_layout(tmp_path):
    written = write_dataset(small(), tmp_path)
    names = ["train0000.tfrecord", "train0001.tfrecord", "validate0000.tfrecord", "test0000.tfrecord"]
    assert [path.name for path in written] == names
    assert {path.name for path in tmp_path.iterdir()} == {*names, "vocabulary.csv", "synthetic.json"}
    assert [len(raw(tmp_path / name)) for name in names] == [4, 3, 3, 4]
    for split, keys in (("train", {"id", "labels"}), ("validate", {"id", "labels"}), ("test", {"id"})):
        for context, frames in parse_folder(tmp_path, split):
            assert set(context) == keys
            assert {name: rows.shape[1] for name, rows in frames.items()} == {"rgb": 1024, "audio": 128}
            assert 1 <= len(frames["rgb"]) == len(frames["audio"]) <= 9


def test_ids_have_four_characters_and_are_unique_across_splits():
    ids = [sources.make_id(3, split, index) for split in ("train", "validate", "test") for index in range(5000)]
    assert len(set(ids)) == 15_000
    assert all(len(video_id) == 4 and video_id.isalnum() for video_id in ids)


def test_equal_seeds_give_equal_bytes_and_different_seeds_do_not(tmp_path):
    for folder, seed in (("one", 5), ("two", 5), ("other", 6)):
        write_dataset(small(seed=seed), tmp_path / folder)
    for name in ("train0000.tfrecord", "train0001.tfrecord", "validate0000.tfrecord", "test0000.tfrecord"):
        one, two, other = [(tmp_path / folder / name).read_bytes() for folder in ("one", "two", "other")]
        assert one == two and one != other


def test_a_larger_set_starts_with_the_videos_of_a_smaller_one(tmp_path):
    write_dataset(small(), tmp_path / "small")
    write_dataset(
        small(num_train_videos=10, num_validate_videos=5, num_test_videos=6, videos_per_shard=3), tmp_path / "large"
    )
    for split, size in (("train", 7), ("validate", 3), ("test", 4)):
        few, many = [
            [record for path in sorted((tmp_path / folder).glob(f"{split}*")) for record in raw(path)]
            for folder in ("small", "large")
        ]
        assert len(few) == size and few == many[:size]


def test_splits_hold_different_videos(tmp_path):
    write_dataset(small(num_train_videos=3, num_test_videos=3), tmp_path)
    frames = [
        frames["rgb"].tobytes() for split in ("train", "validate", "test") for _, frames in parse_folder(tmp_path, split)
    ]
    assert len(set(frames)) == 9


def test_video_level_files_hold_the_means_of_the_frames(tmp_path):
    write_dataset(small(video_level=True), tmp_path)
    for split in ("train", "validate", "test"):
        means = [
            context_of(tf.train.Example.FromString(record).features)
            for path in sorted((tmp_path / "video_level").glob(f"{split}*"))
            for record in raw(path)
        ]
        videos_of_split = parse_folder(tmp_path, split)
        assert len(means) == len(videos_of_split) > 0
        for mean, (context, frames) in zip(means, videos_of_split):
            assert mean["id"] == context["id"] and mean.get("labels") == context.get("labels")
            for name in ("rgb", "audio"):
                expected = np.mean(frames[name] * STEP + 4 / 512 - 2, axis=0)
                np.testing.assert_allclose(mean[f"mean_{name}"], expected, atol=1e-5)


def test_id_key_and_compression_are_respected(tmp_path):
    write_dataset(small(id_key="video_id", compression="gzip"), tmp_path / "gzip")
    write_dataset(small(), tmp_path / "plain")
    assert (tmp_path / "gzip" / "train0000.tfrecord").read_bytes()[:2] == b"\x1f\x8b"
    compressed = raw(tmp_path / "gzip" / "train0000.tfrecord", "GZIP")
    plain = raw(tmp_path / "plain" / "train0000.tfrecord")
    assert len(compressed) == len(plain) == 4
    for one, other in zip(compressed, plain):
        (context, frames), (plain_context, plain_frames) = parse_frames(one), parse_frames(other)
        assert set(context) == {"video_id", "labels"} and context["video_id"] == plain_context["id"]
        np.testing.assert_array_equal(frames["rgb"], plain_frames["rgb"])


def test_the_vocabulary_has_the_official_columns_and_train_counts(tmp_path):
    write_dataset(small(), tmp_path)
    rows = list(csv.DictReader((tmp_path / "vocabulary.csv").open()))
    assert list(rows[0]) == [
        "Index",
        "TrainVideoCount",
        "KnowledgeGraphId",
        "Name",
        "WikiUrl",
        "Vertical1",
        "Vertical2",
        "Vertical3",
        "WikiDescription",
    ]
    assert (rows[12]["Index"], rows[12]["Name"], len(rows)) == ("12", "class 0012", 20)
    counts = collections.Counter(label for context, _ in parse_folder(tmp_path, "train") for label in context["labels"])
    assert [int(row["TrainVideoCount"]) for row in rows] == [counts[index] for index in range(20)]


@pytest.fixture(scope="module")
def labels():
    classes, rng = prototypes.Classes(1000), np.random.default_rng(0)
    return [classes.draw(rng) for _ in range(6000)]


def test_labels_per_video_have_the_measured_mean_and_maximum(labels):
    counts = [len(written) for _, written in labels]
    assert abs(np.mean(counts) - 3.0) < 0.1
    assert min(counts) == 1 and 12 <= max(counts) <= 19
    assert all(len(set(written)) == len(written) == len(shown) for shown, written in labels)


def test_class_frequencies_follow_zipf(labels):
    counts = np.bincount([label for _, written in labels for label in written], minlength=1000)
    ranks = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
    bands = [counts[low - 1 : 2 * low - 1].mean() for low in ranks[:-1]]
    slope = np.polyfit(np.log(ranks[:-1] * 1.5), np.log(bands), 1)[0]
    assert -1.15 < slope < -0.85


def test_classes_of_a_group_occur_together(labels):
    pairs = [
        (first // statistics.GROUP_SIZE == other // statistics.GROUP_SIZE)
        for shown, _ in labels
        for first in shown[:1]
        for other in shown[1:]
    ]
    assert np.mean(pairs) > 0.6
    # Labels of different videos are drawn by frequency alone.
    alone = np.array([shown[0] // statistics.GROUP_SIZE for shown, _ in labels])
    assert np.mean(alone[::2] == alone[1::2]) < 0.25


def test_a_tenth_of_the_labels_is_wrong_and_a_tenth_is_missing(labels):
    wrong = np.mean([label not in shown for shown, written in labels for label in written])
    missing = np.mean([label not in written for shown, written in labels for label in shown])
    assert 0.07 < wrong < 0.12 and wrong == pytest.approx(missing)


def test_lengths_have_the_measured_percentiles():
    rng = np.random.default_rng(0)
    lengths = np.array([statistics.draw_length(rng) for _ in range(20_000)])
    np.testing.assert_allclose(
        np.percentile(lengths, [1, 5, 10, 25, 50, 75, 90]), [121, 129, 140, 175, 232, 300, 300], atol=4
    )
    assert abs(lengths.mean() - 229.8) < 1.5 and abs(np.mean(lengths >= 300) - 0.29) < 0.015
    assert 1 <= lengths.min() < 20 and lengths.max() == 301


@pytest.fixture(scope="module")
def world():
    return prototypes.Prototypes(seed=0, num_classes=100)


def draw_videos(world, count, start):
    for index in range(start, start + count):
        rng = statistics.generator(0, 0, index)
        yield oracles.dequantized(prototypes.labeled_video(rng, world, world.classes.draw(rng)[0])[0])


@pytest.fixture(scope="module")
def drawn(world):
    return list(draw_videos(world, 100, 0))


@pytest.fixture(scope="module")
def drawn_170(world):
    """Videos as long as the real one whose autocorrelation and fifths were measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "draw_length", lambda rng, max_frames: 170)
        return list(draw_videos(world, 60, 1000))


@pytest.mark.parametrize("name, norm, between, within", [("rgb", 13.7, 0.21, 0.94), ("audio", 7.5, 0.47, 0.85)])
def test_means_and_variances_match_the_measured_ones(drawn, name, norm, between, within):
    means = np.array([frames[:, PARTS[name]].mean(axis=0) for frames in drawn])
    assert np.linalg.norm(means, axis=1).mean() == pytest.approx(norm, rel=0.08)
    assert means.var(axis=0).mean() == pytest.approx(between, rel=0.12)
    assert np.mean([frames[:, PARTS[name]].var(axis=0).mean() for frames in drawn]) == pytest.approx(within, rel=0.03)


def test_first_rgb_dimensions_vary_more_than_the_last(drawn):
    variances = np.array([frames[:, :1024].mean(axis=0) for frames in drawn]).var(axis=0)
    assert 0.4 < variances[:30].mean() < 0.66
    assert variances[-200:].mean() == pytest.approx(0.16, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, expected", [("rgb", [0.40, 0.27, 0.14, 0.04, 0.00]), ("audio", [0.47, 0.37, 0.20, 0.08, 0.01])]
)
def test_autocorrelation_matches_the_measured_one(drawn_170, name, expected):
    found = np.mean(
        [[oracles.autocorrelation(frames[:, PARTS[name]], lag) for lag in (1, 2, 5, 10, 20)] for frames in drawn_170], axis=0
    )
    np.testing.assert_allclose(found, expected, atol=0.04)


def test_fifths_are_as_far_from_the_mean_as_measured_and_the_last_is_farthest(drawn_170):
    distances = np.mean([oracles.distances_of_fifths(frames[:, :1024]) for frames in drawn_170], axis=0)
    # One video was measured. Its first three fifths scatter around 8.9 by chance; noise of its autocorrelation alone
    # would give 10.
    np.testing.assert_allclose(distances[:3], np.mean([8.9, 8.2, 9.7]), rtol=0.12)
    np.testing.assert_allclose(distances[3:], [12.3, 13.1], rtol=0.1)
    assert distances[4] > distances[3] > distances[:3].max()


def test_a_label_is_visible_in_some_shots_and_at_least_in_one(world):
    seen = prototypes._draw_visibility(np.random.default_rng(0), 40, 500)
    assert abs(seen.mean() - 0.5) < 0.03 and 0 < seen.mean(axis=0).min() and seen.mean(axis=0).max() < 1
    assert prototypes._draw_visibility(np.random.default_rng(0), 1, 19).all()


def test_labels_explain_half_of_the_variance_between_videos(world):
    rng = np.random.default_rng(7)
    parts = []
    for _ in range(1500):
        shown, _ = world.classes.draw(rng)
        parts.append(
            prototypes._draw_visibility(rng, 48, len(shown)).mean(axis=0) @ world.vectors[shown] / np.sqrt(len(shown))
        )
    for name, between in (("rgb", 0.21), ("audio", 0.47)):
        assert np.var(parts, axis=0)[PARTS[name]].mean() == pytest.approx(between / 2, rel=0.1)


def test_prototypes_of_a_group_are_correlated(world):
    unit = world.vectors / np.linalg.norm(world.vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    assert cosines[0, 1:8].mean() == pytest.approx(0.3, abs=0.08)
    assert abs(cosines[0, 8:].mean()) < 0.08


@pytest.mark.parametrize("num_frames", [1, 2, 6, 170, 301])
def test_quantized_frames_keep_the_mean(num_frames):
    rng = np.random.default_rng(num_frames)
    frames = rng.normal(scale=1.1, size=(num_frames, 60)).astype(np.float32)
    mean = np.concatenate([rng.normal(size=50), [-1.9921875, 2.0078125, -1.98, 1.99, 0, 1.5, -1.5, 1.9, 5, -5]])
    expected = np.clip(mean, -1.9921875, 2.0078125)
    found = oracles.dequantized(videos.codes_with_mean(frames, mean)).mean(axis=0)
    np.testing.assert_allclose(found, expected, atol=STEP / 2 / num_frames + 1e-6)


def video_level_file(path, count, **changes):
    rng = np.random.default_rng(0)
    made = []
    for index in range(count):
        means = {
            "mean_rgb": rng.normal(scale=0.46, size=1024).astype(np.float32),
            "mean_audio": rng.normal(scale=0.69, size=128).astype(np.float32),
        }
        means["mean_rgb"][0] = (-1.9921875, 2.0078125)[index % 2]
        values = {"video_id": f"v{index:03d}".encode(), "labels": [index % 20, 19], **changes}
        made.append(records.video_record(means, **values))
    records.write(path, made)
    return str(path)


def assert_means_are_kept(pattern, folder, sizes):
    given = [
        context_of(tf.train.Example.FromString(record).features)
        for path in sorted(pathlib.Path(pattern).parent.glob(pathlib.Path(pattern).name))
        for record in raw(path)
    ]
    written = [video for split in ("train", "validate", "test") for video in parse_folder(folder, split)]
    assert len(written) == sum(sizes)
    for number, (mean, (context, frames)) in enumerate(zip(given, written)):
        assert context["id"] == (mean.get("id") or mean["video_id"])
        assert context.get("labels") == (None if number >= sum(sizes[:2]) else mean["labels"])
        for name in ("rgb", "audio"):
            found = oracles.dequantized(frames[name]).mean(axis=0)
            bound = STEP / 2 / len(frames[name]) + 1e-6
            np.testing.assert_allclose(found, np.clip(mean[f"mean_{name}"], -1.9921875, 2.0078125), atol=bound)


def test_frames_around_given_means_keep_means_ids_and_labels_in_order(tmp_path):
    pattern = video_level_file(tmp_path / "validate0000.tfrecord", 9)
    video_level_file(tmp_path / "validate0001.tfrecord", 3, video_id=b"last")  # only one of its records is used
    pattern = pattern.replace("0000", "*")
    write_dataset(
        small(
            num_train_videos=5,
            num_validate_videos=2,
            num_test_videos=3,
            videos_per_shard=2,
            from_video_level=pattern,
            max_frames=301,
        ),
        tmp_path / "set",
    )
    assert_means_are_kept(pattern, tmp_path / "set", (5, 2, 3))


@pytest.mark.skipif(not REAL.exists(), reason="no folder of real records beside the repository")
@pytest.mark.parametrize("folder, num_classes", [("2018_video_level", 3862), ("2017_video_level", 4716)])
def test_frames_around_real_means_keep_the_means(tmp_path, folder, num_classes):
    pattern = str(REAL / folder / "validate*0.tfrecord")
    config = SyntheticConfig(
        num_train_videos=6, num_validate_videos=4, num_test_videos=2, num_classes=num_classes, from_video_level=pattern
    )
    write_dataset(config, tmp_path)
    assert_means_are_kept(pattern, tmp_path, (6, 4, 2))


def test_frames_around_given_means_vary_as_measured():
    mean = np.random.default_rng(0).normal(size=1152).astype(np.float32) * np.sqrt(statistics.BETWEEN)
    drawn = [oracles.dequantized(videos.around_mean(statistics.generator(1, index), mean)) for index in range(20)]
    for name, within in (("rgb", 0.94), ("audio", 0.85)):
        found = np.mean([frames[:, PARTS[name]].var(axis=0).mean() for frames in drawn])
        assert found == pytest.approx(within, rel=0.06)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(labels=None), "has no labels, which train videos need"),
        (dict(labels=[3, 20]), r"num_classes=20: .*has label 20"),
        (dict(labels=[-1]), "has label -1"),
        (dict(video_id=b"same"), "id b'same' is a duplicate"),
        (dict(video_id=None), "there must be one id, under id or video_id. Received: 0"),
    ],
)
def test_invalid_source_records_are_refused_before_anything_is_written(tmp_path, changes, message):
    pattern = video_level_file(tmp_path / "in.tfrecord", 14, **changes)
    with pytest.raises(ValueError, match=message):
        write_dataset(small(from_video_level=pattern), tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_invalid_source_files_are_refused(tmp_path):
    pattern = video_level_file(tmp_path / "in.tfrecord", 13)
    with pytest.raises(ValueError, match=r"holds 13 records; 14 were asked for \(7 train, 3 validate, 4 test\)"):
        write_dataset(small(from_video_level=pattern), tmp_path / "set")
    with pytest.raises(ValueError, match="from_video_level=nothing.*matches no file"):
        write_dataset(small(from_video_level="nothing*"), tmp_path / "set")
    (tmp_path / "text").write_text("no TFRecord, but long enough to have a length and its checksum")
    with pytest.raises(ValueError, match="text cannot be read as a TFRecord file"):
        write_dataset(small(from_video_level=str(tmp_path / "text")), tmp_path / "set")
    records.write(tmp_path / "frames", [records.frame_record({"rgb": [np.zeros(1024, np.uint8)]})] * 14)
    with pytest.raises(ValueError, match="frames, record 0: mean_rgb must hold 1024 finite numbers. Received: 0"):
        write_dataset(small(from_video_level=str(tmp_path / "frames")), tmp_path / "set")


def test_a_complete_set_is_not_written_again(tmp_path):
    assert write_dataset(small(), tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write_dataset(small(), tmp_path) == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times


def test_an_incomplete_set_is_completed(tmp_path):
    write_dataset(small(), tmp_path)
    lost = tmp_path / "train0001.tfrecord"
    content = lost.read_bytes()
    lost.unlink()
    assert write_dataset(small(), tmp_path) == [lost]
    assert lost.read_bytes() == content


def test_a_folder_with_other_contents_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="does not hold a synthetic data set .*thesis.txt.*Name a new or empty folder"):
        write_dataset(small(), tmp_path)
    with pytest.raises(ValueError, match="thesis.txt: is a file; name a folder"):
        write_dataset(small(), tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_set_with_other_parameters_is_refused(tmp_path):
    write_dataset(small(), tmp_path)
    with pytest.raises(ValueError, match=r"with other settings: seed \(0 there, 1 here\). Give the same settings"):
        write_dataset(small(seed=1), tmp_path)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(num_train_videos=-1), "num_train_videos=-1: choose a value from 0"),
        (dict(num_train_videos=0, num_validate_videos=0, num_test_videos=0), "ask for at least one video"),
        (dict(num_classes=1), "num_classes=1: choose a value from 2"),
        (dict(videos_per_shard=0), "videos_per_shard=0"),
        (dict(num_validate_videos=20_001, videos_per_shard=2), "20001 validate videos need at least 3"),
        (dict(num_test_videos=4_925_446, videos_per_shard=1000), "num_test_videos=4925446: choose at most 4925445"),
        (dict(max_frames=302), "max_frames=302: choose a value from 1 to 301"),
        (dict(seed=-1), "seed=-1"),
        (dict(id_key="name"), "id_key=name: is unknown; choose one of id, video_id"),
        (dict(segments=True, from_video_level="x"), "segments=true: does not work with --from_video_level"),
        (dict(segments=True, max_frames=4), "max_frames=4: with --segments, choose at least 5"),
        (dict(compression="zip"), "compression=zip: is unknown; choose one of none, gzip"),
    ],
)
def test_invalid_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)


def test_num_classes_defaults_to_2018_for_real_means():
    assert SyntheticConfig().num_classes == 100
    assert SyntheticConfig(from_video_level="x").num_classes == 3862
    assert SyntheticConfig(from_video_level="x", num_classes=4716).num_classes == 4716
