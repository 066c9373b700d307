import os
import subprocess
import sys

import pytest

from tests import commands
from youtube8m_distill.cli import entry

COMMANDS = ("train", "eval", "inference", "demo", "synthesize", "extract", "compact")
REFUSED = {
    "train": (
        "segment_labels",
        "export_model_steps",
        "cl_lambda",
        "final_lambda",
        "final_temperature",
        "moe_low_rank_gating",
        "pretrain_model_path",
        "vlagd",
        "iterations",
        "sample_random_frames",
        "gpu",
        "bagging",
    ),
    "eval": ("segment_labels",),
    "inference": ("segment_labels", "segment_max_pred", "segment_label_ids_file"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("spelling", ["--helpshort", "--help", "-h"])
def test_help_prints_the_description_and_every_group(command, spelling):
    ended = commands.succeed(command, spelling)
    with commands.fresh_flags():
        assert ended.out.startswith(commands.defined(command).__doc__)
        for title, names in commands.our_flags.GROUPS.items():
            assert f"\n{title}:\n" in ended.out
            for name in names:
                usages = [
                    line for line in ended.out.splitlines() if line == f"  --[no]{name}" or line.startswith(f"  --{name}=")
                ]
                assert len(usages) == 1, name


def test_help_shows_choices_and_defaults():
    shown = commands.succeed("train", "--helpshort").out
    assert "--mode=teacher|serial|parallel" in shown and "(default: teacher)" in shown
    assert "--[no]start_new_model" in shown and "--student_loss=" in shown


def test_an_unknown_flag_suggests_the_nearest_name():
    assert commands.fail("train", "--frames_per_vide=3") == (
        "Error: Unknown command line flag 'frames_per_vide'. Did you mean: frames_per_video? See --helpshort."
    )


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--mode=both", "--mode=both: value should be one of <teacher|serial|parallel>"),
        ("--batch_size=many", "--batch_size=many: invalid literal for int()"),
        ("--flagfile=/nowhere/flags", "ERROR:: Unable to open flagfile"),
    ],
)
def test_what_cannot_be_parsed_is_refused_by_flag(argument, words):
    assert commands.fail("train", argument).startswith(f"Error: {words}")


@pytest.mark.parametrize("command, name", [(command, name) for command, names in REFUSED.items() for name in names])
def test_a_flag_that_is_not_served_is_refused_with_its_reason(command, name, tmp_path):
    flagfile = tmp_path / "flags"
    flagfile.write_text(f"--{name}=3\n")
    for argument in (f"--{name}", f"--{name}=3", f"--flagfile={flagfile}"):
        line = commands.fail(command, argument)
        assert line.startswith(f"Error: --{name}=") and ("not in this version" in line or "use " in line)


def test_a_refused_flag_does_not_hide_in_the_help():
    assert "segment_labels" not in commands.succeed("train", "--helpshort").out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_positional_argument_is_refused(command):
    line = commands.fail(command, "b.tfrecord", "c.tfrecord")
    assert line.startswith("Error: unexpected argument 'b.tfrecord'") and "quote patterns" in line


def test_a_flagfile_gives_flags(tmp_path):
    (tmp_path / "flags").write_text("# of the run\n--batch_size=12\n--mode=serial\n")
    with commands.parsed("train", f"--flagfile={tmp_path}/flags", "--seed=4"):
        assert (commands.FLAGS.batch_size, commands.FLAGS.mode, commands.FLAGS.seed) == (12, "serial", 4)


def test_user_errors_are_one_line_and_others_pass(capsys):
    with pytest.raises(SystemExit) as ended, commands.parsed("train"), entry.user_errors():
        raise ValueError("seed=x is not a number")
    assert ended.value.code == 2 and capsys.readouterr().err == "Error: --seed=x is not a number\n"
    with pytest.raises(ZeroDivisionError), entry.user_errors():
        raise ZeroDivisionError


def test_where_tensorflow_io_was_loaded_the_process_ends_without_its_destructors(monkeypatch):
    codes = []
    monkeypatch.setattr(entry.os, "_exit", codes.append)
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    entry._leave(None)
    entry._leave(2)
    assert codes == [0, 2]


def test_the_script_in_the_root_is_quiet_but_for_its_one_line(tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    ended = subprocess.run(
        [sys.executable, f"{root}/train.py", f"--train_data_pattern={tmp_path}/none*", f"--train_dir={tmp_path}/run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2 and ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1 and not (tmp_path / "run").exists()
    assert ended.stderr.startswith(f"Error: --train_data_pattern={tmp_path}/none*: ")
