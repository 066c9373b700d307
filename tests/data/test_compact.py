import json

import numpy as np
import pytest
import tensorflow as tf

from tests import oracles, records
from youtube8m_distill import config
from youtube8m_distill.data import compact
from youtube8m_distill.data.bad_records import BadRecordError, naming_bad_records
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset

LENGTHS = (1, 3, 4, 5, 9, 300, 305)
K = 4
FOUR = config.FrameView(frame_selection="uniform", frames_per_video=K)


def frames_of(length, dtype=np.uint8):
    return records.random_frames(length, seed=length, dtype=dtype)


def video(length, dtype=np.uint8, **options):
    return records.frame_record(frames_of(length, dtype), f"v{length:03d}".encode(), [length % 5], **options)


def write(folder, videos, name="train0000.tfrecord", compression=""):
    folder.mkdir(parents=True, exist_ok=True)
    return records.write(folder / name, videos, compression)


def make(pattern, output_dir, view=FOUR, seed=0):
    """Writes all compact files that are missing; returns all of them as shards."""
    shards = find_files(str(pattern))
    for shard, path in compact.prepare_folder(shards, view, output_dir, seed):
        compact.compact_file(shard, view, path, seed)
    return find_files(f"{output_dir}/*.tfrecord")


def read(shards, view, dtype="uint8", seed=0):
    """All videos of some files as one batch of numpy arrays, without facts about the stored records."""
    parser = VideoParser(config.FeatureConfig(sizes=(6, 3), dtype=dtype), 5, {"student": view}, seed)
    (batch,) = make_dataset(shards, parser, 100).as_numpy_iterator()
    del batch["stored_frames"], batch["notes"]
    return batch


def network(view, model="LstmModel"):
    return config.network_config(model, view=view)


def parsed(shards):
    return [
        tf.train.SequenceExample.FromString(record)
        for shard in shards
        for record in tf.data.TFRecordDataset(shard.path, shard.compression).as_numpy_iterator()
    ]


@pytest.mark.parametrize(
    "selection, dtype, compression",
    [("uniform", "uint8", ""), pytest.param("random", "float32", "GZIP", marks=pytest.mark.slow)],
)
def test_a_student_gets_the_same_frames_as_from_the_original_files(tmp_path, selection, dtype, compression):
    path = write(tmp_path / "in", [video(length, np.dtype(dtype)) for length in LENGTHS], compression=compression)
    view = config.FrameView(frame_selection=selection, frames_per_video=K)
    shards = make(path, tmp_path / "out", view, seed=3)
    expected, found = read(find_files(path), view, dtype, seed=3), read(shards, view, dtype, seed=3)
    assert found["student"]["num_frames"].tolist() == [min(n, K) for n in LENGTHS]
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)
    assert found["student"]["frames"].dtype == dtype
    assert [shard.compression for shard in shards] == [compression]


@pytest.mark.parametrize("selection", sorted(set(config.FRAME_SELECTIONS) - {"random", "strided"}))
def test_every_selection_keeps_the_frames_that_it_selects(tmp_path, selection):
    path = write(tmp_path / "in", [video(length) for length in LENGTHS])
    options = {} if selection == "all" else {"frames_per_video": K}
    shards = make(path, tmp_path / "out", config.FrameView(frame_selection=selection, **options))
    for before, after in zip(parsed(find_files(path)), parsed(shards), strict=True):
        for name, frames in before.feature_lists.feature_list.items():
            taken = oracles.selected_frames(selection, min(len(frames.feature), 300), K)
            assert list(after.feature_lists.feature_list[name].feature) == [frames.feature[i] for i in taken]


def test_the_context_is_kept_and_feature_lists_of_every_type_are_cut(tmp_path):
    frames = {**frames_of(305), "time": [[7 * i] for i in range(305)], "score": list(np.random.rand(305, 2))}
    example = tf.train.SequenceExample.FromString(records.frame_record(frames, labels=[3, 1], id_key="video_id"))
    example.context.feature["segment_start_times"].int64_list.value.extend([5, 60])
    (found,) = parsed(make(write(tmp_path / "in", [example.SerializeToString()]), tmp_path / "out"))
    example.context.feature["compact/frame_indices"].int64_list.value.extend([0, 75, 150, 225])
    assert found.context == example.context
    assert found.feature_lists.feature_list.keys() == frames.keys()
    for name, stored in found.feature_lists.feature_list.items():  # i * 300 // 4: none past the 300th
        assert list(stored.feature) == [example.feature_lists.feature_list[name].feature[i] for i in (0, 75, 150, 225)]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_frames_keep_their_indices_in_the_video_when_compact_files_are_cut_again(tmp_path, dtype):
    path = write(tmp_path / "in", [video(length, np.dtype(dtype)) for length in LENGTHS])
    make(path, tmp_path / "eight", FOUR.replace(frames_per_video=8))
    shards = make(tmp_path / "eight" / "*.tfrecord", tmp_path / "four")
    expected = [[i * 8 // 4 for i in range(4)] if n > 8 else oracles.selected_frames("uniform", n, 4) for n in LENGTHS]
    expected = [[i * min(n, 300) // 8 for i in rows] if n > 8 else rows for n, rows in zip(LENGTHS, expected)]
    found = read(shards, FOUR, dtype)["student"]["frame_indices"]
    assert [row[row >= 0].tolist() for row in found] == expected


@pytest.mark.parametrize(
    "kept, words",
    [([0, 5], "'compact/frame_indices' names 2 frames and the record holds 3"), ([0, -1, 4], "names a frame below 0")],
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_wrong_indices_of_frames_are_named(tmp_path, dtype, kept, words):
    example = tf.train.SequenceExample.FromString(video(3, np.dtype(dtype)))
    example.context.feature["compact/frame_indices"].int64_list.value.extend(kept)
    shards = find_files(write(tmp_path / "in", [video(9, np.dtype(dtype)), example.SerializeToString()]))
    if len(kept) < 3:
        with pytest.raises(BadRecordError, match=f"train0000.tfrecord, record 1: {words}"):
            make(f"{tmp_path}/in/*", tmp_path / "out")
    with pytest.raises(BadRecordError, match=f"file .*train0000.tfrecord, record 1: .*{words}"), naming_bad_records(shards):
        read(shards, FOUR, dtype)


def test_many_records_keep_their_order(tmp_path):
    count = 2 * compact.CHUNK + 1
    path = write(tmp_path / "in", [records.frame_record(frames_of(1 + i % 7), b"%03d" % i, [i % 5]) for i in range(count)])
    shards = make(path, tmp_path / "out")
    assert [example.context.feature["id"].bytes_list.value[0] for example in parsed(shards)] == [
        b"%03d" % i for i in range(count)
    ]


# ---- resuming, and what is refused


def test_a_replaced_original_of_the_same_size_is_noticed(tmp_path):
    path = write(tmp_path / "in", [video(9), video(5)])
    make(path, tmp_path / "out")
    size = find_files(path)[0].size
    write(tmp_path / "in", [video(5), video(9)])
    assert find_files(path)[0].size == size
    with pytest.raises(ValueError, match="was made from another file of that name"):
        compact.prepare_folder(find_files(path), FOUR, tmp_path / "out")


def test_complete_files_are_not_written_again_and_leftovers_are_removed(tmp_path):
    for number in range(3):
        write(tmp_path / "in", [video(9), video(5)], f"train{number:04d}.tfrecord")
    shards, out = find_files(f"{tmp_path}/in/*.tfrecord"), tmp_path / "out"
    jobs = compact.prepare_folder(shards[:2], FOUR, out)
    compact.compact_file(*jobs[0][:1], FOUR, jobs[0][1])
    (out / ".train0001.tfrecord.x.partial").mkdir()  # left by a killed process
    left = [path.name for _, path in compact.prepare_folder(shards, FOUR, out)]
    assert left == ["train0001.tfrecord", "train0002.tfrecord"]
    assert sorted(path.name for path in out.iterdir()) == ["compact.json", "train0000.tfrecord"]


def test_an_incomplete_file_never_appears(tmp_path):
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
def started(tmp_path):
    """A folder with the compact form of one file."""
    make(write(tmp_path / "in", [video(9)]), tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize(
    "view, words",
    [
        (config.FrameView(frame_selection="uniform", frames_per_video=5), "frames_per_video (4 there, 5 here)"),
        (config.FrameView(frame_selection="first", frames_per_video=K), "frame_selection (uniform there, first here)"),
        (config.FrameView(frame_selection="random", frames_per_video=K), "seed (not set there, 0 here)"),
    ],
)
def test_a_folder_with_other_settings_is_refused(tmp_path, started, view, words):
    line = refusal(tmp_path, f"{tmp_path}/in/*", started, view=view)
    assert line.startswith(": holds compact files with other settings: ") and words in line


def test_compact_files_of_another_part_of_the_videos_are_refused(tmp_path):
    write(tmp_path / "in", [video(length) for length in LENGTHS])
    part = FOUR.replace(max_video_frames=100)
    found = make(f"{tmp_path}/in/*", tmp_path / "out", part)
    compact.check_networks(found, [network(part)])
    np.testing.assert_array_equal(
        read(found, part)["student"]["frames"], read(find_files(f"{tmp_path}/in/*"), part)["student"]["frames"]
    )
    with pytest.raises(
        ValueError, match=r"hold only 4 uniform frames of the first 100, but a \w+ .* needs 4 uniform frames\."
    ):
        compact.check_networks(found, [network(FOUR)])


def of_format(folder, number):
    """The compact files in a folder, marked as written by an earlier version."""
    manifest = json.loads((folder / "compact.json").read_text())
    manifest["compact"]["format"] = number
    (folder / "compact.json").write_text(json.dumps(manifest))
    return find_files(f"{folder}/*.tfrecord")


def test_compact_files_of_the_first_format_hold_what_is_now_called_centered(started):
    shards = of_format(started, 1)
    compact.check_networks(shards, [network(FOUR.replace(frame_selection="centered"))])
    with pytest.raises(ValueError, match=r"hold only 4 centered frames, but a \w+ .* needs 4 uniform frames\."):
        compact.check_networks(shards, [network(FOUR)])


def test_compact_files_without_indices_are_refused_for_networks_that_read_them(started):
    reader = network(FOUR, "TransformerModel")
    compact.check_networks(find_files(f"{started}/*.tfrecord"), [reader])
    shards = of_format(started, 2)
    compact.check_networks(shards, [network(FOUR)])
    words = "are of an earlier version and do not hold .* which a TransformerModel reads; write them again, or"
    with pytest.raises(ValueError, match=words):
        compact.check_networks(shards, [reader])


def test_a_folder_with_compact_files_of_other_originals_is_refused(tmp_path, started):
    write(tmp_path / "in", [video(9), video(3)])
    line = refusal(tmp_path, f"{tmp_path}/in/*", started)
    assert "holds other compact files: train0000.tfrecord was made from another file of that name. Name" in line


def test_unknown_files_are_not_overwritten(tmp_path, started):
    write(tmp_path / "in", [video(3)], "train0001.tfrecord")
    (started / "train0001.tfrecord").write_bytes(b"mine")
    assert "train0001.tfrecord exists and was not made from" in refusal(tmp_path, f"{tmp_path}/in/*", started)
    (started / "compact.json").unlink()
    assert refusal(tmp_path, f"{tmp_path}/in/*", started).startswith(": is not empty and holds no compact.json")
    assert (started / "train0001.tfrecord").read_bytes() == b"mine"


def test_the_folder_of_the_originals_is_refused_under_any_name(tmp_path):
    path = write(tmp_path / "in", [video(9)])
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for folder in (tmp_path / "in", tmp_path / "link"):
        assert refusal(tmp_path, path, folder).startswith(": is the folder of /in/train0000.tfrecord; name another")


def test_two_files_with_the_same_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder, [video(9)])
    assert "several files are called train0000.tfrecord" in refusal(tmp_path, f"{tmp_path}/?/*", tmp_path / "out")


@pytest.mark.parametrize(
    "record, words",
    [
        (b"\xff\xff", "neither a SequenceExample nor an Example"),
        (records.frame_record(frames_of(2), video_id=None), "no video id; it should be under id or video_id"),
        (records.video_record({"mean_rgb": np.zeros(6)}), "no frame-level feature"),
        (records.frame_record({"audio": [], "rgb": []}), "no frames under 'audio'"),
        (
            records.frame_record({"audio": [b"abc"], "rgb": [b"123456"] * 2}),
            "'audio' has 1 frames and 'rgb' 2, and compact does not pad",
        ),
    ],
)
def test_an_invalid_record_is_named(tmp_path, record, words):
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
