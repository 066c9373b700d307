import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import clips, commands, stand_ins
from tests.cli.test_entry import ROOT
from youtube8m_distill.cli import commands as all_commands

MODULE = """
import numpy as np

def color(frames):
    return frames.mean(axis=(1, 2)) / 255

def loudness(sound):
    return np.abs(sound).max(axis=1, keepdims=True)
"""
COLOR = "--extractor=own_color:color"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two videos of 3 and 5 seconds, the first with sound, and a broken one; labels of them; an extractor."""
    folder = tmp_path_factory.mktemp("clips")
    clips.write(folder / "a.mkv", clips.at_rate(5, 3), sound=np.full((1, 48_000), 0.5, np.float32))
    clips.write(folder / "b.mp4", clips.at_rate(5, 5))
    (folder / "c.mp4").write_bytes(b"no video")
    (folder / "labels.csv").write_text("file,id,labels\na.mkv,,2\nb.mp4,second,1;4\nc.mp4,,0\n")
    (folder / "names.txt").write_text("Cat\nDog\nRain\nBell\nCar\n")
    (folder / "own_color.py").write_text(MODULE)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))  # the command adds the current folder
    yield folder
    sys.modules.pop("own_color", None)


def test_videos_become_records_and_the_flags_of_training_are_printed(here, tmp_path):
    output = tmp_path / "o.tfrecord"
    sound = "--audio_extractor=own_color:loudness"
    ended = commands.succeed("features", "a.mkv", "b.mp4", "--labels=labels.csv", COLOR, sound, f"--output_file={output}")
    assert ended.out.splitlines() == [
        f"{output}: 2 video(s) of 8 frame(s) with rgb (3 numbers), audio (1 numbers).",
        "1 video(s) without sound: the audio features are those of silence.",
        "`yt8m train` reads these features with --feature_names=rgb,audio --feature_sizes=3,1.",
    ]
    assert "features: 8 frames" in ended.err and "video 2 of 2: b.mp4" in ended.err
    checked = commands.succeed("check", f"--input_data_pattern={output}", "--num_classes=5").out
    assert "rgb (3 floats)" in checked and "labels under 'labels' in 2 of 2 valid records" in checked


def test_a_broken_video_is_reported_and_the_exit_code_is_1(here, tmp_path):
    ended = commands.run("features", "?.m*", COLOR, "--max_video_frames=4", f"--output_file={tmp_path}/o.tfrecord")
    assert ended.code == 1
    assert ended.lines[0] == (
        "Warning: c.mp4: is not a video, or its header is damaged (Invalid data found when processing input)."
    )
    assert ended.out.splitlines() == [
        f"{tmp_path}/o.tfrecord: 2 video(s) of 7 frame(s) with rgb (3 numbers).",
        "1 video(s) longer than 4 seconds (--max_video_frames): the rest was not read.",
        "`yt8m train` reads these features with --feature_names=rgb --feature_sizes=3.",
        "1 of 3 videos left out, which cannot be used: see the warnings.",
    ]


def test_official_features_need_no_flags(here, tmp_path):
    stand_ins.write_inception(tmp_path)
    stand_ins.write_vggish(tmp_path)
    output = f"--output_file={tmp_path}/o.tfrecord"
    ended = commands.succeed("features", "a.mkv", f"--extractor_dir={tmp_path}", output)
    assert ended.out.splitlines() == [
        f"{tmp_path}/o.tfrecord: 1 video(s) of 3 frame(s) with rgb (1024 numbers), audio (128 numbers)."
    ]
    (record,) = tf.data.TFRecordDataset(f"{tmp_path}/o.tfrecord").as_numpy_iterator()
    lists = tf.train.SequenceExample.FromString(record).feature_lists.feature_list
    sizes = {name: [len(frame.bytes_list.value[0]) for frame in lists[name].feature] for name in lists}
    assert sizes == {"rgb": [1024] * 3, "audio": [128] * 3}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([COLOR], "FILE: is missing; name videos, as in `yt8m features clips/*.mp4`."),
        (["no.mp4", COLOR], "FILE=no.mp4: there is no such file."),
        (["a.mkv"], "--extractor_dir: is missing: the folder with the files of inception2015 and vggish"),
        (
            ["a.mkv", "--extractor_dir=."],
            "--extractor_dir=.: inception2015 needs classify_image_graph_def.pb in this folder.",
        ),
        (["a.mkv", "--extractor=x"], "--extractor=x: choose inception2015, keras:NAME, or module:callable."),
        (
            ["a.mkv", "--extractor=own_color:size"],
            "--extractor=own_color:size: cannot be imported (module 'own_color' has no",
        ),
        (["a.mkv", "own_color.py", "--labels=labels.csv", COLOR], "--labels=labels.csv: has no row for own_color.py."),
        (["a.mkv", "--labels=no.csv", COLOR], "--labels=no.csv: cannot be read: "),
        (["a.mkv", "--vocabulary=names.txt", COLOR], "--vocabulary=names.txt: has an effect only with --labels."),
        (["c.mp4", COLOR], "0 of 1 video(s) can be used; "),
        (["a.mkv", "--max_video_frames=0", COLOR], "--max_video_frames=0: choose a value from 1 to 10,000."),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(arguments, message, here, tmp_path):
    ended = commands.run("features", *arguments, f"--output_file={tmp_path}/o.tfrecord")
    assert ended.code == 2 and ended.lines[-1].startswith(f"Error: {message}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mkv", "labels.csv", "names.txt", "own_color.py"])
def test_an_input_is_not_overwritten(name, here):
    content = (here / name).read_bytes()
    inputs = ["a.mkv", "--labels=labels.csv", "--vocabulary=names.txt", COLOR]
    line = commands.fail("features", *inputs, f"--output_file=./{name}")
    assert line == f"Error: --output_file=./{name}: is also an input file; name another."
    assert (here / name).read_bytes() == content


def test_without_pyav_the_package_is_named(here, tmp_path, monkeypatch):
    monkeypatch.setattr(all_commands.importlib.util, "find_spec", lambda name: None)
    line = commands.fail("features", "a.mkv", COLOR, f"--output_file={tmp_path}/o")
    assert line == "Error: reading videos needs PyAV: pip install 'av>=18' (the extra `features`)."


@pytest.mark.slow
def test_a_run_that_is_terminated_leaves_no_file(here, tmp_path):
    (tmp_path / "slow.py").write_text("import time\ndef f(frames):\n    print('started', flush=True)\n    time.sleep(60)\n")
    command = [sys.executable, "-m", "youtube8m_distill", "features", str(here / "a.mkv"), "--extractor=slow:f"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    with subprocess.Popen(
        [*command, "--output_file=o.tfrecord"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "started\n"
        process.terminate()
    assert process.returncode == 128 + 15
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["slow.py"]
