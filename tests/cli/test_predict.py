import numpy as np
import pytest

from tests import commands, networks, records
from youtube8m_distill.data import plain_records

NAMES = ["Speech", "Dog", "Rain", "Engine", "Bell"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return commands.save_run(tmp_path_factory.mktemp("run"), networks.frame_level())


@pytest.fixture
def video(tmp_path):
    """A file as MediaPipe's feature extraction writes it."""
    floats = records.random_frames(4, (("rgb", 6), ("audio", 3)), dtype=np.float32)
    frames = {"RGB/feature/floats": floats["rgb"], "AUDIO/feature/floats": 3 * floats["audio"]}
    (tmp_path / "dog.pb").write_bytes(records.frame_record(frames, video_id=None, labels=None))
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    return tmp_path / "dog.pb"


def test_the_best_classes_of_single_files_are_printed_with_their_names(run, video, tmp_path):
    others = commands.write_files(tmp_path / "data", "test", commands.frame_videos(2, labels=False), files=1)
    ended = commands.succeed(
        "predict", video, others, f"--train_dir={run.folder}", f"--vocabulary={tmp_path}/names.txt", "--top_k=3"
    )
    lines = ended.out.splitlines()
    assert lines[0] == "dog.pb: dog" and len(lines) == 3 * 4 + 1
    scores = [float(line.split()[0]) for line in lines[1:4]]
    assert scores == sorted(scores, reverse=True) and {line.split()[1] for line in lines[1:4]} <= set(NAMES)
    assert "of the stored numbers are beyond -2 .. 2 and were clipped" in lines[-1]


@pytest.mark.slow
def test_without_a_vocabulary_classes_have_numbers(run, video):
    out = commands.succeed("predict", video, f"--train_dir={run.folder}").out
    assert len(out.splitlines()) == 1 + 5 + 1 and "  class " in out


def test_no_file_or_one_that_is_missing_is_reported(run, tmp_path):
    line = commands.fail("predict", f"--train_dir={run.folder}")
    assert line.startswith("Error: FILE: is missing; name files, as in `yt8m")
    line = commands.fail("predict", f"{tmp_path}/none.pb", f"--train_dir={run.folder}")
    assert line.startswith(f"Error: FILE={tmp_path}/none.pb: ") and "matches no file" in line


def test_a_video_needs_its_features_first(run, tmp_path):
    video = tmp_path / "new.MP4"
    video.write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0")
    line = commands.fail("predict", video, f"--train_dir={run.folder}")
    advice = "is a video, not a TFRecord file: extract its features first, with `yt8m features`."
    assert line == f"Error: FILE={video}: {advice}"
    with pytest.raises(ValueError, match=advice):  # as a LiteRT file reads it
        list(plain_records.read_records(str(video)))


@pytest.mark.slow
def test_a_file_may_have_brackets_and_commas_in_its_name(run, video, tmp_path):
    odd = tmp_path / "Dog, barking [x1y2].pb"
    video.rename(odd)
    out = commands.succeed("predict", odd, f"--train_dir={run.folder}").out
    assert out.startswith("Dog, barking [x1y2].pb: Dog, barking [x1y2]")
