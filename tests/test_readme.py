"""What the README tells a newcomer to type works as it stands there."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests import networks
from youtube8m_distill import config

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What a command of the README is given besides, so that it ends soon: cells, classes, set and batch, nothing else.
SHRUNK = {
    "synthesize": [
        "--num_classes=10",
        "--num_train_videos=40",
        "--num_validate_videos=30",
        "--num_test_videos=5",
        "--videos_per_shard=20",
        "--max_frames=40",
    ],
    "train": ["--batch_size=16", "--num_epochs=1"],
    "eval": [],
    "inference": [],
    "extract": [],
    "compact": [],
    "reproduce": [
        "--num_classes=10",
        "--lstm_cells=4",
        "--batch_size=4",
        "--num_epochs=1",
        "--ks=4",
        "--families=HierarchicalLstmModel",
        "--methods=skyline,uniform",
    ],
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def our_commands():
    """(name, arguments) of every command of ours in the README's shell blocks, in order."""
    found = []
    for line in "\n".join(blocks("sh")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["python"]:
            name = words[2].rpartition(".")[2] if words[1] == "-m" else words[1].removesuffix(".py")
            found.append((name, words[3:] if words[1] == "-m" else words[2:]))
    return found


@pytest.mark.slow
def test_the_python_program_runs_and_leaves_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (program,) = blocks("python")
    assert len([line for line in program.splitlines() if line.strip()]) <= 26
    exec(compile(program, "README.md", "exec"), {})
    assert "'gap_at_20'" in capsys.readouterr().out
    assert len(pd.read_csv("predictions.csv")) == 64
    assert pathlib.Path("student.keras").exists()


def test_every_promise_names_tests_that_exist():
    section = README.partition("## Reliability and safety")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(rows) > 15
    for row in rows:
        named = set(re.findall(r"`(test_\w+)`", row))
        assert named <= tests, named - tests
        assert named or "make audit" in row, row


def test_every_target_named_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def shrunk(name, arguments):
    """A command's arguments with small numbers in place of its own; a student's network is its teacher's."""
    if arguments[:1] == ["report"]:  # trains nothing
        return arguments
    arguments = [argument for argument in arguments if not argument.startswith(("--num_classes", "--gating_reduction"))]
    if name == "train" and "--mode=serial" not in arguments:
        model = next((a.removeprefix("--model=") for a in arguments if a.startswith("--model=")), "HierarchicalLstmModel")
        tiny = {"num_classes": 10, **networks.TINY.get(model, {})}
        arguments = arguments + [f"--{setting}={value}" for setting, value in tiny.items()]
    return arguments + SHRUNK[name]


@pytest.mark.slow
def test_the_road_for_real_data_runs_as_written(tmp_path):
    commands = our_commands()
    names = [name for name, _ in commands]
    assert names == [
        "synthesize",
        *["train"] * 2,
        "eval",
        "inference",
        *["train"] * 10,
        "extract",
        *["train"] * 4,
        "compact",
        "inference",
        *["reproduce"] * 3,
    ]
    models = [model for _, arguments in commands for model in config.MODELS if f"--model={model}" in arguments]
    assert list(config.MODELS) == models[:10]
    np.save(tmp_path / "eigenvals.npy", np.linspace(14, 0.01, 2048))
    (data_flags,) = re.findall(r"printf (.*?) > (data.flags)", README, re.DOTALL)
    lines = shlex.split(data_flags[0].replace("\\\n", " "))[1:]
    (tmp_path / data_flags[1]).write_text("\n".join(lines) + "\n")
    for name, arguments in [("synthesize", ["--output_dir=yt8m/frame", "--video_level"]), *commands[1:]]:
        program = ["reproduce"] if name == "reproduce" else ["youtube8m_distill", name.replace("inference", "infer")]
        subprocess.run(
            [sys.executable, "-m", *program, *shrunk(name, arguments)],
            cwd=tmp_path,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        if name == "synthesize":
            (tmp_path / "yt8m/video").symlink_to(tmp_path / "yt8m/frame/video_level")
    assert len(pd.read_csv(tmp_path / "predictions.csv.gz")) == 5
