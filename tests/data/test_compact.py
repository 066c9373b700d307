import numpy as np
import pytest
import tensorflow as tf

from tests import oracles, records
from youtube8m_distill import config
from youtube8m_distill.data import compact
from youtube8m_distill.data.bad_records import BadRecordError
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.tfrecord import find_files

LENGTHS = (1, 3, 4, 5, 9, 300, 305)
K = 4
FOUR = config.FrameView("uniform", K)


def frames_of(length, dtype=np.uint8):
    return records.random_frames(length, seed=length, dtype=dtype)


def video(length, dtype=np.uint8, **options):
    return records.frame_record(frames_of(length, dtype), f"v{length:03d}".encode(), [length % 5], **options)


def write(folder, videos, name="train0000.tfrecord", compression=""):
    folder.mkdir(parents=True, exist_ok=True)
    return records.write(folder / name, videos, compression)


def make(pattern, output_dir, frames=FOUR, seed=0):
    """Runs all there is to do; returns the shards written."""
    shards = find_files(str(pattern))
    for shard, path in compact.prepare_folder(shards, frames, output_dir, seed):
        compact.compact_file(shard, frames, path, seed)
    return find_files(f"{output_dir}/*.tfrecord")


def read(shards, frames, dtype="uint8", seed=0):
    """All videos of some files as one batch of numpy arrays."""
    features = config.FeatureConfig(sizes=(6, 3), dtype=dtype)
    (batch,) = make_dataset(shards, features, 5, frames, 100, training=False, seed=seed).as_numpy_iterator()
    return batch


def parsed(shards):
    return [
        tf.train.SequenceExample.FromString(record)
        for shard in shards
        for record in tf.data.TFRecordDataset(shard.path, shard.compression).as_numpy_iterator()
    ]


@pytest.mark.parametrize("selection, dtype, compression", [("uniform", "uint8", ""), ("random", "float32", "GZIP")])
def test_a_student_gets_the_frames_that_it_would_have_got_from_the_originals(tmp_path, selection, dtype, compression):
    path = write(tmp_path / "in", [video(length, np.dtype(dtype)) for length in LENGTHS], compression=compression)
    view = config.FrameView(selection, K)
    shards = make(path, tmp_path / "out", view, seed=3)
    expected, found = read(find_files(path), view, dtype, seed=3), read(shards, view, dtype, seed=3)
    for counted_in_the_compact_file in ("frame_indices", "num_stored_frames"):
        del expected[counted_in_the_compact_file], found[counted_in_the_compact_file]
    assert expected.keys() == found.keys() and found["num_frames"].tolist() == [min(n, K) for n in LENGTHS]
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
    assert [shard.compression for shard in shards] == [compression]


@pytest.mark.parametrize("selection", sorted(set(config.FRAME_SELECTIONS) - {"random", "strided"}))
def test_every_selection_leaves_the_frames_that_it_takes(tmp_path, selection):
    path = write(tmp_path / "in", [video(length) for length in LENGTHS])
    options = {} if selection == "all" else {"frames_per_video": K}
    shards = make(path, tmp_path / "out", config.FrameView(selection, **options))
    for before, after in zip(parsed(find_files(path)), parsed(shards), strict=True):
        for name, frames in before.feature_lists.feature_list.items():
            taken = oracles.selected_frames(selection, min(len(frames.feature), 300), K)
            assert list(after.feature_lists.feature_list[name].feature) == [frames.feature[i] for i in taken]


def test_the_context_stays_and_every_list_is_cut_whatever_it_stores(tmp_path):
    frames = {**frames_of(305), "time": [[7 * i] for i in range(305)], "score": list(np.random.rand(305, 2))}
    example = tf.train.SequenceExample.FromString(records.frame_record(frames, labels=[3, 1], id_key="video_id"))
    example.context.feature["segment_start_times"].int64_list.value.extend([5, 60])
    (found,) = parsed(make(write(tmp_path / "in", [example.SerializeToString()]), tmp_path / "out"))
    assert found.context == example.context
    assert found.feature_lists.feature_list.keys() == frames.keys()
    for name, stored in found.feature_lists.feature_list.items():  # (2i + 1) * 300 // 8: none past the 300th
        assert list(stored.feature) == [example.feature_lists.feature_list[name].feature[i] for i in (37, 112, 187, 262)]


def test_many_records_keep_their_order(tmp_path):
    count = 2 * compact.CHUNK + 1
    path = write(tmp_path / "in", [records.frame_record(frames_of(1 + i % 7), b"%03d" % i, [i % 5]) for i in range(count)])
    shards = make(path, tmp_path / "out")
    assert [example.context.feature["id"].bytes_list.value[0] for example in parsed(shards)] == [
        b"%03d" % i for i in range(count)
    ]


# ---- going on, and what is refused


def test_an_original_that_was_replaced_by_one_of_the_same_size_is_noticed(tmp_path):
    path = write(tmp_path / "in", [video(9), video(5)])
    compact.prepare_folder(find_files(path), FOUR, tmp_path / "out")
    size = find_files(path)[0].size
    write(tmp_path / "in", [video(5), video(9)])
    assert find_files(path)[0].size == size
    with pytest.raises(ValueError, match="was made from another file of that name"):
        compact.prepare_folder(find_files(path), FOUR, tmp_path / "out")


def test_complete_files_are_not_written_again_and_a_cut_one_is(tmp_path):
    for number in range(3):
        write(tmp_path / "in", [video(9), video(5)], f"train{number:04d}.tfrecord")
    shards, out = find_files(f"{tmp_path}/in/*.tfrecord"), tmp_path / "out"
    jobs = compact.prepare_folder(shards[:2], FOUR, out)
    compact.compact_file(*jobs[0][:1], FOUR, jobs[0][1])
    (out / ".train0001.tfrecord.x.partial").mkdir()  # as a kill leaves it
    left = [path.name for _, path in compact.prepare_folder(shards, FOUR, out)]
    assert left == ["train0001.tfrecord", "train0002.tfrecord"]
    assert sorted(path.name for path in out.iterdir()) == ["compact.json", "train0000.tfrecord"]


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = write(tmp_path / "in", [video(9)])

    def fail(count):
        raise KeyboardInterrupt

    ((shard, target),) = compact.prepare_folder(find_files(path), FOUR, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        compact.compact_file(shard, FOUR, target, on_videos=fail)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["compact.json"]


def refusal(tmp_path, pattern, output_dir, **options):
    with pytest.raises(ValueError) as refused:
        make(pattern, output_dir, **options)
    return str(refused.value).removeprefix(f"output_dir={output_dir}").replace(str(tmp_path), "")


@pytest.fixture
def begun(tmp_path):
    """A folder with the compact form of one file."""
    make(write(tmp_path / "in", [video(9)]), tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize(
    "frames, words",
    [
        (config.FrameView("uniform", 5), "frames_per_video is 4 there and 5 now"),
        (config.FrameView("first", K), "frame_selection is 'uniform' there and 'first' now"),
        (config.FrameView("random", K), "seed is None there and 0 now"),
    ],
)
def test_a_folder_of_other_settings(tmp_path, begun, frames, words):
    line = refusal(tmp_path, f"{tmp_path}/in/*", begun, frames=frames)
    assert line.startswith(" holds other compact files: ") and words in line


def test_a_folder_of_other_originals(tmp_path, begun):
    write(tmp_path / "in", [video(9), video(3)])
    line = refusal(tmp_path, f"{tmp_path}/in/*", begun)
    assert "holds other compact files: train0000.tfrecord was made from another file of that name. Nothing" in line


def test_files_that_are_not_ours_are_left_alone(tmp_path, begun):
    write(tmp_path / "in", [video(3)], "train0001.tfrecord")
    (begun / "train0001.tfrecord").write_bytes(b"mine")
    assert "train0001.tfrecord is there and was not made from" in refusal(tmp_path, f"{tmp_path}/in/*", begun)
    (begun / "compact.json").unlink()
    assert refusal(tmp_path, f"{tmp_path}/in/*", begun).startswith(" is not empty and holds no compact.json of ours")
    assert (begun / "train0001.tfrecord").read_bytes() == b"mine"


def test_the_originals_folder_by_any_name(tmp_path):
    path = write(tmp_path / "in", [video(9)])
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for folder in (tmp_path / "in", tmp_path / "link"):
        assert refusal(tmp_path, path, folder).startswith(" is the folder of /in/train0000.tfrecord; name another")


def test_two_files_of_one_name(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder, [video(9)])
    assert "more than one of the files is to be called train0000.tfrecord" in refusal(
        tmp_path, f"{tmp_path}/?/*", tmp_path / "out"
    )


@pytest.mark.parametrize(
    "record, words",
    [
        (b"\xff\xff", "neither a SequenceExample nor an Example"),
        (records.frame_record(frames_of(2), video_id=None), "no video id; it should be under id or video_id"),
        (records.video_record({"mean_rgb": np.zeros(6)}), "no frame-level feature"),
        (records.frame_record({"audio": [], "rgb": []}), "no frames under 'audio'"),
        (records.frame_record({"audio": [b"abc"], "rgb": [b"123456"] * 2}), "'audio' has 1 frames and 'rgb' 2"),
    ],
)
def test_a_record_that_cannot_be_cut_is_named(tmp_path, record, words):
    path = write(tmp_path / "in", [video(9), record])
    with pytest.raises(BadRecordError) as refused:
        make(path, tmp_path / "out")
    assert str(refused.value) == f"file {path}, record 1: {words}"
    assert not (tmp_path / "out" / "train0000.tfrecord").exists()


def test_a_damaged_file_is_named(tmp_path):
    path = write(tmp_path / "in", [video(9), video(5)])
    with open(path, "r+b") as file:
        file.truncate(file.seek(0, 2) - 3)
    with pytest.raises(BadRecordError, match=f"file {path}, record 1: damaged or cut short"):
        make(path, tmp_path / "out")
