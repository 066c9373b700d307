"""yt8m ensemble: the average of CSVs of predictions."""

import numpy as np
import pytest

from tests import commands
from youtube8m_distill.cli import ensemble
from youtube8m_distill.export import write_predictions


def predictions(path, count=3, seed=0, k=3):
    random = np.random.default_rng(seed)
    scores = -np.sort(-random.uniform(0, 1, (count, k)).astype(np.float32))
    classes = np.array([random.permutation(9)[:k] for _ in range(count)])
    write_predictions(path, [([commands.video_id(number) for number in range(count)], classes, scores)])
    return path


@pytest.fixture
def files(tmp_path):
    return [predictions(tmp_path / name, seed=seed) for seed, name in enumerate(("a.csv", "b.csv"))]


def by_class(path):
    return {video: dict(pairs) for video, pairs in commands.read_csv(path).items()}


def test_the_average_is_written_and_its_terms_are_printed(tmp_path, files):
    a, b, out = *map(by_class, files), tmp_path / "new" / "average.csv"
    ended = commands.succeed("ensemble", *files, "--weights=7,3", f"--output_file={out}", "--top_k=4")
    assert ended.out.startswith("3 videos in ") and ended.out.endswith(f"{out} = 0.7 {files[0]} + 0.3 {files[1]}\n")
    found = commands.read_csv(out)
    assert list(found) == list(a)
    for video, pairs in found.items():
        expected = {c: 0.7 * a[video].get(c, 0) + 0.3 * b[video].get(c, 0) for c in {*a[video], *b[video]}}
        assert [score for _, score in pairs] == pytest.approx(sorted(expected.values(), reverse=True)[:4], rel=2e-6)
        assert all(score == pytest.approx(expected[c], rel=2e-6) for c, score in pairs)


def test_a_single_video_is_counted_in_the_singular(tmp_path):
    path = predictions(tmp_path / "a.csv", count=1)
    assert commands.succeed("ensemble", path, path, f"--output_file={tmp_path}/b.csv").out.startswith("1 video in ")


def test_files_of_many_chunks_averaged_with_themselves_stay_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(ensemble, "CHUNK", 7)
    path = predictions(tmp_path / "a.csv", count=25)
    commands.succeed("ensemble", path, path, path, f"--output_file={tmp_path}/b.csv")
    assert (tmp_path / "b.csv").read_bytes() == path.read_bytes()


def test_a_duplicate_video_is_named_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(ensemble, "CHUNK", 2)
    (tmp_path / "a.csv").write_text("VideoId,LabelConfidencePairs\nv1,1 0.5\nv2,1 0.5\nv3,1 0.5\nv1,1 0.5\n")
    (tmp_path / "out.csv").write_text("kept")
    a = f"{tmp_path}/a.csv"
    ended = commands.run("ensemble", a, a, f"--output_file={tmp_path}/out.csv")
    assert ended.code == 2
    assert ended.lines[-1] == f"Error: {a}, line 5: video 'v1' is a duplicate of line 2. Remove one of them."
    assert (tmp_path / "out.csv").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "out.csv"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("{a}",), "FILE={a}: name two or more CSVs of predictions, as in `yt8m ensemble a.csv b.csv --output_file="),
        ((), "FILE: name two or more CSVs of predictions"),
        (("{a}", "{b}.gz"), "FILE={b}.gz: is not a file."),
        (("{a}", "{b}", "--weights=1"), "--weights=1: names 1 weight(s) for 2 files."),
        (("{a}", "{b}", "--weights=1,2,3"), "--weights=1,2,3: names 3 weight(s) for 2 files."),
        (("{a}", "{b}", "--weights=1,much"), "--weights=1,much: give numbers, as in 0.7,0.3."),
        (("{a}", "{b}", "--weights=1,0"), "--weights=1,0: give finite numbers above 0; leave out"),
        (("{a}", "{b}", "--weights=1,nan"), "--weights=1,nan: give finite numbers above 0"),
        (("{a}", "{b}", "--weights=1,-1"), "--weights=1,-1: give finite numbers above 0"),
        (("{a}", "{b}", "--top_k=0"), "top_k"),
        (("{a}", "{b}", "--output_file={b}"), "--output_file={b}: is also an input file; name another."),
    ],
)
def test_wrong_arguments_are_reported(tmp_path, files, arguments, words):
    names = dict(zip("ab", files))
    arguments = [text.format(**names) for text in arguments]
    if not any(text.startswith("--output_file") for text in arguments):
        arguments.append(f"--output_file={tmp_path}/out.csv")
    assert words.format(**names) in commands.fail("ensemble", *arguments)
    assert not (tmp_path / "out.csv").exists()


def test_the_output_file_is_required(files):
    assert "--output_file: is missing" in commands.fail("ensemble", *files)
