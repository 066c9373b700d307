"""With a fake network; tests/cli/test_inference.py has a real one."""

import contextlib
import dataclasses
import errno
import gzip
import json
import logging
import os
import types

import numpy as np
import pytest

from tests import commands, networks, records
from youtube8m_distill import config as config_module
from youtube8m_distill import runs
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.export.kaggle import read_predictions
from youtube8m_distill.runs import predictions

BATCH_SIZE, NUM_VIDEOS = 4, 23


class Network:
    """A fake LoadedNetwork. A score depends on all videos of its batch, as the last bits of a real one may."""

    role, seed, batch_size = "teacher", 0, 3
    config, reading = networks.frame_level(), config_module.Reading()
    row_settings = runs.LoadedNetwork.row_settings

    def __init__(self, top_k=2, weights="step 7", dtype="float32", devices=("/device:CPU:0",), frames=None):
        self.predictor = types.SimpleNamespace(
            outputs=types.SimpleNamespace(top_k=top_k),
            strategy=types.SimpleNamespace(extended=types.SimpleNamespace(worker_devices=devices)),
        )
        self.network = types.SimpleNamespace(compute_dtype=dtype)
        self.weights, self.frames = weights, frames or {}
        self.batches, self.stop_after, self.error = [], None, KeyboardInterrupt

    @property
    def configs(self):
        return (self.config,)

    def fingerprint(self):
        return self.weights

    def predict(self, shards, batch_size, done):
        videos = [
            (shard, record)
            for shard in range(done.shard, len(shards))
            for record in range(shards[shard].size)
            if record not in shards[shard].excluded and not (shard == done.shard and record < done.records)
        ]
        for start in range(0, len(videos), batch_size):
            if len(self.batches) == self.stop_after:
                raise self.error
            batch = self.batch(shards, videos[start : start + batch_size])
            assert done.seen.add(predictions.hash_ids(batch["video_id"]), batch["shard"], batch["record"]) is None
            self.batches.append([video_id.decode() for video_id in batch["video_id"]])
            yield batch

    def batch(self, shards, places):
        ids = [f"{shards[shard].path}-{record}".encode() for shard, record in places]
        together = sum(map(len, ids)) + sum(ids[0]) + len(ids)
        scores = np.array([[together + 0.5, together / (1 + record)] for _, record in places], np.float32)
        shard, record = np.array(places).T
        frames = np.array([self.frames.get(video_id.decode(), 9) for video_id in ids])
        classes, finite = np.array([[1, 0]] * len(ids), np.int32), np.ones(len(ids), bool)
        return {
            "video_id": np.array(ids, object),
            "classes": classes,
            "scores": scores,
            "finite": finite,
            "shard": shard.astype(np.int32),
            "record": record,
            "notes": np.float32([[frames > 300, 0, 0, 0, 0] for frames in frames]),
        }


def files_of(*sizes, name="test"):
    """Shards with these numbers of records; the fake network reads a size as the number of records."""
    return tuple(Shard(f"{name}{number}", "", size) for number, size in enumerate(sizes))


SHARDS = files_of(6, 6, 6, 5)
IDS = [f"test{shard}-{record}" for shard, size in enumerate((6, 6, 6, 5)) for record in range(size)]


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def shards():
    return SHARDS


@pytest.fixture
def csv(tmp_path):
    return tmp_path / "out" / "p.csv"


@contextlib.contextmanager
def logged_lines():
    """Collects the lines that are logged inside the block."""
    lines, handler = [], logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    predictions.log.addHandler(handler)
    predictions.log.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        predictions.log.removeHandler(handler)


def predict(path, network, shards, batch_size=BATCH_SIZE):
    """Returns a NoteCounter and the lines that were logged."""
    network.batches, network.stop_after = [], None
    with logged_lines() as lines:
        return predictions.predict_to_csv(path, network, shards, batch_size).notes, lines


def stop(path, network, shards, batches, error=KeyboardInterrupt):
    """A prediction that ends after this many batches; returns the lines that were logged."""
    network.batches, network.stop_after, network.error = [], batches, error
    with logged_lines() as lines, pytest.raises(error):
        predictions.predict_to_csv(path, network, shards, BATCH_SIZE)
    return lines


@pytest.fixture
def expected(network, shards, tmp_path):
    predict(tmp_path / "expected.csv", network, shards)
    return (tmp_path / "expected.csv").read_bytes()


def test_an_uninterrupted_prediction_leaves_only_the_csv(network, shards, csv):
    counted, lines = predict(csv, network, shards)
    assert (counted.num_videos, counted.in_words(), lines) == (NUM_VIDEOS, [], [])
    assert [path.name for path in csv.parent.iterdir()] == ["p.csv"]
    found = read_predictions(csv)
    assert [video_id.decode() for video_id in found.video_ids] == sum(network.batches, []) == IDS
    assert found.classes.tolist() == [[1, 0]] * NUM_VIDEOS
    scores = np.concatenate(
        [network.batch(shards, [(IDS.index(i) // 6, int(i[-1])) for i in batch])["scores"] for batch in network.batches]
    )
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)


def test_the_default_batch_size_is_that_of_the_network(network, shards, csv):
    predictions.predict_to_csv(csv, network, shards)
    assert [len(batch) for batch in network.batches] == [3] * 7 + [2]


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz"])
@pytest.mark.parametrize("stops", [(1,), (3, 1, 1), (0, 4)])
def test_a_resumed_prediction_gives_the_same_bytes(network, shards, csv, expected, name, stops):
    path = csv.parent / name
    for batches in stops:
        said = stop(path, network, shards, batches)
    done = sum(stops)
    assert said[-1] == f"{4 * done} predictions are kept in {path}.progress; the same command resumes after them."
    assert not path.exists()
    predicted, said = predict(path, network, shards)
    assert said == [
        f"Resuming after {4 * done} videos, in file {(4 * done - 1) // 6 + 1} of 4; they are in {path}.progress."
    ]
    assert (predicted.num_videos, predicted.in_words()) == (NUM_VIDEOS, [])
    # No duplicates, none missing, and every batch has the same videos as without an interruption.
    assert network.batches == [IDS[start : start + 4] for start in range(4 * done, NUM_VIDEOS, 4)]
    found = path.read_bytes()
    assert (gzip.decompress(found) if name.endswith(".gz") else found) == expected
    assert [path.name for path in path.parent.iterdir()] == [name]


def test_an_old_csv_stays_until_the_end(network, shards, csv, expected):
    csv.parent.mkdir()
    csv.write_text("old")
    stop(csv, network, shards, 3)
    assert csv.read_text() == "old"
    predict(csv, network, shards)
    assert csv.read_bytes() == expected


def test_an_interrupt_before_the_first_batch_leaves_nothing(network, shards, csv):
    assert stop(csv, network, shards, 0) == []
    assert list(csv.parent.iterdir()) == []


def test_committed_rows_are_kept_after_a_failed_write(network, shards, csv, expected, monkeypatch):
    commits, write = [], predictions._write

    def full(path, value):
        commits.append(value)
        if len(commits) == 5:  # the first two are those of the start
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions, "COMMIT_SECONDS", 0)
        patch.setattr(predictions, "_write", full)
        with pytest.raises(OSError, match="No space left"):
            predict(csv, network, shards)
    assert not csv.exists()
    predicted, said = predict(csv, network, shards)
    assert said[0].startswith("Resuming after 8 videos, in file 2 of 4; ") and predicted.num_videos == NUM_VIDEOS
    assert csv.read_bytes() == expected


def test_rows_after_the_last_commit_are_dropped(network, shards, csv, expected):
    stop(csv, network, shards, 3)
    for name in ("rows.csv", "videos.bin"):
        with open(csv.parent / "p.csv.progress" / name, "ab") as file:
            file.write(b"half a r")
    predict(csv, network, shards)
    assert csv.read_bytes() == expected


def test_a_folder_that_was_not_removed_does_not_matter(network, shards, csv, expected, monkeypatch):
    monkeypatch.setattr(predictions.files, "remove_folder", lambda folder: None)
    predict(csv, network, shards)
    monkeypatch.undo()
    assert csv.read_bytes() == expected and (csv.parent / "p.csv.progress").exists()
    predict(csv, network, shards)
    assert csv.read_bytes() == expected and not (csv.parent / "p.csv.progress").exists()


# ---- changed files


def test_a_changed_file_and_those_after_it_are_predicted_again(network, shards, csv):
    stop(csv, network, shards, 4)
    shards = files_of(6, 7, 6, 5)
    predicted, said = predict(csv, network, shards)
    assert said == [
        f"10 of the 16 videos in {csv}.progress are in a file that has changed, or after it, and are predicted again.",
        f"Resuming after 4 videos, in file 1 of 4; they are in {csv}.progress.",
    ]
    assert predicted.num_videos == NUM_VIDEOS + 1
    predict(csv.parent / "uninterrupted.csv", network, shards)
    assert csv.read_bytes() == (csv.parent / "uninterrupted.csv").read_bytes()


@pytest.mark.parametrize("batches", [5, 6])
@pytest.mark.parametrize("sizes", [(6, 6, 6, 5, 7), (6, 6, 6), (6, 6, 1, 5)])
def test_files_after_the_finished_ones_may_change(network, shards, csv, sizes, batches):
    stop(csv, network, files_of(6, 6, 6, 5, 100), batches)
    shards = files_of(*sizes)
    assert predict(csv, network, shards)[0].num_videos == sum(sizes)
    predict(csv.parent / "uninterrupted.csv", network, shards)
    assert csv.read_bytes() == (csv.parent / "uninterrupted.csv").read_bytes()


def test_a_changed_first_file_starts_over(network, shards, csv):
    stop(csv, network, shards, 1)
    predicted, said = predict(csv, network, files_of(5, 6))
    assert predicted.num_videos == 11 and len(said) == 1 and said[0].startswith("4 of the 4 videos in ")


def test_newly_excluded_records_are_predicted_no_more(network, shards, csv, tmp_path):
    """The rows before the file with such a record stay."""
    stop(csv, network, shards, 4)
    fewer = (*shards[:2], dataclasses.replace(shards[2], excluded=(0, 3)), shards[3])
    predicted, said = predict(csv, network, fewer)
    assert "Resuming after 12 videos, in file 2 of 4" in said[1] and predicted.num_videos == NUM_VIDEOS - 2
    stop(csv, network, fewer, 4)  # and resume within that file, after video 17
    predict(csv, network, fewer)
    predict(tmp_path / "uninterrupted.csv", network, fewer)
    assert csv.read_bytes() == (tmp_path / "uninterrupted.csv").read_bytes()
    assert b"test2-0," not in csv.read_bytes() and b"test2-3," not in csv.read_bytes()


def refused(path, network, shards, words, batch_size=BATCH_SIZE):
    before = commands.entries(path.parent)
    with pytest.raises(ValueError, match=words):
        predict(path, network, shards, batch_size)
    assert commands.entries(path.parent) == before, "something was written or removed"


def test_another_first_file_is_refused(network, shards, csv):
    stop(csv, network, shards, 2)
    refused(
        csv,
        network,
        files_of(6, 6, name="validate"),
        r"^input_data_pattern: starts with .*/validate0, and the partial predictions in .*p.csv.progress with .*/test0\.",
    )


# ---- changed settings


def test_other_weights_and_settings_are_refused(network, shards, csv):
    stop(csv, network, shards, 2)
    refused(
        csv,
        network,
        shards,
        r"holds partial predictions with other settings: batch_size \(4 there, 5 here\)\. Give the same settings to resume, "
        "name another --output_file, or remove that folder",
        5,
    )
    for other, words in (
        (Network(top_k=1, weights="step 3"), r"top_k \(2 there, 1 here\); weights \(step 7 there, step 3 here\)\."),
        (Network(dtype="bfloat16"), r"mixed_precision \(false there, true here\)\."),
        (Network(devices=["/device:GPU:0"] * 2), r"devices \(CPU there, GPU,GPU here\)\."),
    ):
        refused(csv, other, shards, f"with other settings: {words}")
    network.config = networks.frame_level(lstm_cells=5)
    refused(csv, network, shards, "with other settings: settings of the network ")


# ---- damaged folders


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda folder: (folder / "notes.txt").write_text("mine"), "holds 'notes.txt', which is not part of"),
        (
            lambda folder: os.truncate(folder / "rows.csv", 50),
            r"is damaged \(some of its 8 videos are missing\)\. Remove this",
        ),
        (lambda folder: os.truncate(folder / "videos.bin", 50), r"is damaged \(some of its 8 videos are missing\)"),
        (lambda folder: (folder / "videos.bin").unlink(), "is damaged "),
        (lambda folder: (folder / "committed.json").unlink(), "is damaged "),
        (lambda folder: (folder / "committed.json").write_text("[]"), "is damaged "),
        (lambda folder: (folder / "committed.json").write_text('{"videos": -1}'), "is damaged "),
        (lambda folder: (folder / "committed.json").write_text('{"videos": "8"}'), "is damaged "),
        (lambda folder: (folder / "about.json").write_text("{"), "is damaged "),
        (lambda folder: (folder / "about.json").write_text("[]"), "is damaged "),
        (lambda folder: (folder / "about.json").write_text('{"made with": 3, "files": [["a"]]}'), "is damaged "),
        (lambda folder: (folder / "about.json").write_text('{"made with": {}, "files": []}'), "is damaged "),
    ],
)
def test_a_damaged_or_foreign_folder_is_refused_and_not_changed(network, shards, csv, spoil, words):
    stop(csv, network, shards, 2)
    spoil(csv.parent / "p.csv.progress")
    refused(csv, network, shards, words)


def test_links_are_not_followed(network, shards, csv, tmp_path):
    stop(csv, network, shards, 2)
    folder, precious = csv.parent / "p.csv.progress", tmp_path / "precious"
    precious.write_bytes((folder / "rows.csv").read_bytes() + b"more")
    (folder / "rows.csv").unlink()
    (folder / "rows.csv").symlink_to(precious)
    with pytest.raises(OSError, match="rows.csv"):
        predict(csv, network, shards)
    assert precious.read_bytes().endswith(b"more")


def test_missing_rows_start_over(network, shards, csv, expected):
    stop(csv, network, shards, 2)
    (csv.parent / "p.csv.progress" / "rows.csv").unlink()  # as if killed when the rows had just become the CSV
    predicted, said = predict(csv, network, shards)
    assert (predicted.num_videos, said) == (NUM_VIDEOS, [])
    assert csv.read_bytes() == expected


def test_two_processes_at_once_are_refused(network, shards, csv):
    with runs.locked(csv.parent / "p.csv.progress", flag="output_file"):
        with pytest.raises(ValueError, match="output_file=.*p.csv.progress: is in use: process "):
            predict(csv, network, shards)
    assert not csv.exists()


# ---- counts and contents


def test_long_videos_are_counted_over_all_processes(shards, csv):
    network = Network(frames={"test0-1": 301, "test1-0": 300, "test0-3": 400, "test3-4": 302})
    stop(csv, network, shards, 1)
    counted = predict(csv, network, shards)[0]
    assert (counted.num_videos, counted.totals.tolist()) == (NUM_VIDEOS, [3, 0, 0, 0, 0])


def test_ids_of_an_interrupted_process_are_known(network, shards, csv, monkeypatch):
    stop(csv, network, shards, 2)
    known = []
    monkeypatch.setattr(network, "predict", lambda shards, batch_size, done: known.append(done.seen) or ())
    predictions.predict_to_csv(csv, network, shards, BATCH_SIZE)
    (seen,) = known
    assert seen.add(predictions.hash_ids([b"new", b"test1-1", b"test0-0"]), [3, 3, 3], [0, 1, 2]) == (1, (1, 1))


def test_the_folder_states_what_its_rows_depend_on(network, shards, csv):
    stop(csv, network, shards, 2)
    about = json.loads((csv.parent / "p.csv.progress" / "about.json").read_text())
    assert about["made with"] == {
        "format": 3,
        "network": "teacher",
        "weights": "step 7",
        "seed": 0,
        "label_key": "labels",
        "pad_missing_features": False,
        "feature_dtype": "uint8",
        "mixed_precision": False,
        "top_k": 2,
        "batch_size": 4,
        "devices": ["CPU"],
        "settings of the network": about["made with"]["settings of the network"],
    }
    assert about["files"] == [[os.path.abspath(shard.path), shard.size, None, [], None] for shard in shards]


def test_a_rewritten_file_counts_as_changed(tmp_path):
    path = records.write(tmp_path / "a", [b"one"])
    before = predictions.file_entry(Shard(path, "", 19))
    assert predictions.file_entry(Shard(path, "", 19)) == before
    os.utime(path, ns=(0, 7))
    assert predictions.file_entry(Shard(path, "", 19)) != before


def test_partial_predictions_of_another_version_are_refused_by_name(network, shards, csv):
    stop(csv, network, shards, 2)
    about = csv.parent / "p.csv.progress" / "about.json"
    found = json.loads(about.read_text())
    found["made with"]["format"] = 2
    about.write_text(json.dumps(found))
    with pytest.raises(ValueError, match="holds partial predictions of another version. Remove this folder"):
        predict(csv, network, shards)
