import json
import pathlib

import pandas as pd
import pytest

from tests import commands
from youtube8m_distill.cli import demo


@pytest.fixture
def called(monkeypatch):
    """The commands that the demo runs, in order, as (name, {flag: value}, switches). They only write metrics."""
    calls = []

    def command(name, *switches, **values):
        calls.append((name, values, switches))
        if name == "eval":
            folder = pathlib.Path(values["train_dir"])
            role = "student" if folder.name.startswith(("serial", "parallel")) else "teacher"
            (folder / "eval" / role).mkdir(parents=True)
            record = {name: 0.5 + len(calls) / 1000 for name in demo.COLUMNS}
            record |= {"max_frames": 300, "multiply_adds": 1_234_000, "videos_per_second": 56.0}
            (folder / "eval" / role / "metrics.json").write_text(json.dumps(record))

    monkeypatch.setattr(demo, "command", command)
    return calls


def flags_of(command, calls):
    return [values for name, values, _ in calls if name == command]


def test_the_commands_run_in_order(tmp_path, called):
    ended = commands.succeed("demo", f"--output_dir={tmp_path}/demo")
    assert [name for name, _, _ in called] == ["synthesize", *["train", "eval"] * 4, "infer"]
    teacher, uniform, serial, parallel = flags_of("train", called)
    assert serial["teacher_dir"] == teacher["train_dir"] and serial["mode"] == "serial"
    assert serial["teacher_targets_dir"] == tmp_path / "demo/targets/teacher"
    assert (teacher["mode"], uniform["mode"], parallel["mode"]) == ("teacher", "teacher", "parallel")
    assert uniform["frames_per_video"] == serial["frames_per_video"] == parallel["frames_per_video"] == 10
    assert "frames_per_video" not in teacher
    assert flags_of("infer", called)[0]["train_dir"] == serial["train_dir"]
    assert [line.split()[:2] for line in ended.out.splitlines() if line.startswith(tuple(demo.RUNS))] == [
        [name, "300"] for name in demo.RUNS
    ]
    assert "1.23 M" in ended.out
    assert (tmp_path / "demo" / "results.txt").read_text().strip() in ended.out


def test_the_best_epoch_is_not_chosen_on_the_scored_files(tmp_path, called):
    commands.succeed("demo", f"--output_dir={tmp_path}/demo")
    shards = [f"sample/validate{number:04d}.tfrecord" for number in range(5)]
    scored = [shard for shard in shards if pathlib.PurePath(shard).match(demo.HELD_OUT_FILES)]
    assert demo.SELECTION_FILES in shards and demo.SELECTION_FILES not in scored
    assert len(scored) * demo.SAMPLE["videos_per_shard"] == demo.NUM_HELD_OUT == 1000
    for values in flags_of("train", called):
        assert values["validation_data_pattern"] == tmp_path / "demo" / demo.SELECTION_FILES
    for values in flags_of("eval", called):
        assert values["eval_data_pattern"] == tmp_path / "demo" / demo.HELD_OUT_FILES


def test_several_seeds_give_means_and_standard_deviations(tmp_path, called):
    ended = commands.succeed("demo", f"--output_dir={tmp_path}/demo", "--seeds=2")
    assert sorted(values["seed"] for values in flags_of("train", called)) == [0] * 4 + [1] * 4
    assert len({values["train_dir"] for values in flags_of("train", called)}) == 8
    for serial in [values for values in flags_of("train", called) if values["mode"] == "serial"]:
        assert str(serial["teacher_dir"]).endswith(f"teacher_seed{serial['seed']}")
    # The 3rd and the 11th command score the teacher: 0.503 and 0.511. Their sample deviation is 0.008 / sqrt(2).
    assert "0.5070 ± 0.0057" in ended.out
    assert len(json.loads((tmp_path / "demo" / "results.json").read_text())) == 8


def test_a_command_that_fails_ends_the_demo(monkeypatch, capsys):
    class Failed:
        returncode = 3

    monkeypatch.setattr(demo.subprocess, "run", lambda *arguments, **options: Failed)
    with pytest.raises(SystemExit):
        demo.command("train", "--x", output_dir="a b")
    said = capsys.readouterr()
    assert said.out == "\n$ yt8m train --x '--output_dir=a b'\n"
    assert "`yt8m train` failed with exit code 3; see its message above." in said.err


def test_the_table_has_one_line_per_network():
    rows = pd.DataFrame(
        [
            {
                "run": name,
                **dict.fromkeys(demo.COLUMNS, 0.25),
                "max_frames": 10,
                "multiply_adds": 5e6,
                "videos_per_second": 7.0,
            }
            for name in demo.RUNS
        ]
    )
    lines = demo.table(rows).splitlines()
    assert [line.split()[0] for line in lines] == ["network", *demo.RUNS]
    assert lines[1].split() == ["teacher", "10", "0.2500", "0.2500", "0.2500", "0.2500", "5.00", "M", "7"]
