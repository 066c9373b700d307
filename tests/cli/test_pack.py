import numpy as np
import pytest

from tests import commands


@pytest.fixture
def arrays(tmp_path, monkeypatch):
    """Twenty arrays of a feature, and their labels by name."""
    monkeypatch.chdir(tmp_path)
    rows = ["file,labels"]
    for number in range(20):
        np.save(f"v{number:02d}.npy", np.random.default_rng(number).normal(size=(number + 1, 4)) * 3)
        rows.append(f"v{number:02d}.npy,{['Cat', 'Dog;Cat'][number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    (tmp_path / "names.txt").write_text("Cat\nDog\n")
    return tmp_path


def test_arrays_become_files_that_training_reads(arrays):
    flags = ["--labels=labels.csv", "--vocabulary=names.txt", "--validate_share=0.3", "--quantize", "--output_dir=own"]
    out = commands.succeed("pack", "*.npy", *flags).out.splitlines()
    assert out[0] == "own: 16 in train*.tfrecord and 4 in validate*.tfrecord."
    doubt = "were beyond -2 .. 2 and were clipped: these are probably not features of the official extractor."
    assert out[1].endswith(f"% of the numbers {doubt}")
    assert out[2:] == ["`yt8m train` reads these features with --feature_names=rgb --feature_sizes=4."]
    checked = commands.succeed("check", "--input_data_pattern=own/*.tfrecord", "--num_classes=2").out
    assert "rgb (4 bytes), labels under 'labels' in 20 of 20 valid records" in checked


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "FILE: is missing; name arrays, as in `yt8m pack arrays/*.npy`."),
        (["labels.csv"], "FILE=labels.csv: is not a file of .npy, .npz or .pb."),
        (["v00.npy", "--labels=labels.csv"], "--labels=labels.csv: row 2 (v00.npy) has the label 'Cat'; give numbers"),
        (["v00.npy", "--validate_share=1"], "--validate_share=1.0: choose a value from 0, below 1."),
        (["v00.npy", "--output_dir=."], "--output_dir=.: is in use; name a new folder."),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(arguments, message, arrays):
    assert commands.fail("pack", "--output_dir=own", *arguments).startswith(f"Error: {message}")
    assert not (arrays / "own").exists()


def test_bad_arrays_are_listed_and_nothing_is_written(arrays):
    np.save("v03.npy", np.full((2, 4), np.nan))
    np.save("v05.npy", np.zeros(4))
    ended = commands.run("pack", "*.npy", "--output_dir=own")
    assert ended.code == 2 and ended.lines[-1] == "Error: 2 of 20 files cannot be used; own was not written."
    assert sorted(line for line in ended.lines if line.startswith("Warning")) == [
        "Warning: v03.npy: rgb contains NaN, infinity, or a number that is too large.",
        "Warning: v05.npy: rgb is float64 [4]; it must be [frames, size], with one frame or more.",
    ]
    assert not (arrays / "own").exists()
