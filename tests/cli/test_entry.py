"""What all commands share: yt8m and its subcommands, help, parsing, error lines, logging."""

import io
import logging
import os
import pathlib
import subprocess
import sys

import pytest

from tests import commands
from youtube8m_distill import display
from youtube8m_distill.cli import entry, main
from youtube8m_distill.errors import SettingError

ROOT = pathlib.Path(__file__).parents[2]
UNSUPPORTED = {
    "train": (
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
    "eval": ("num_readers",),
    "infer": ("num_readers",),
}


def yt8m(monkeypatch, capsys, *arguments, program="/usr/bin/yt8m"):
    """Exit code and the captured output of the console command in this process."""
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    monkeypatch.setattr(entry, "_leave", sys.exit)
    code = 0
    with commands.fresh_flags():
        try:
            main.main()
        except SystemExit as ended:
            code = ended.code
    return code, capsys.readouterr()


def subprocess_of(*command, cwd=ROOT):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


# ---- yt8m


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_yt8m_lists_every_command_with_one_line(monkeypatch, capsys, arguments):
    code, printed = yt8m(monkeypatch, capsys, *arguments)
    assert code == 0 and printed.out.startswith("Usage: yt8m COMMAND")
    for name, command in main.COMMANDS.items():
        assert f"\n  {name:<14}{command.description.splitlines()[0]}\n" in printed.out


@pytest.mark.parametrize(
    "name, hint", [("trian", " Did you mean train?"), ("inference", " Did you mean infer?"), ("xyz", "")]
)
def test_an_unknown_command_is_one_line_with_the_nearest_name(monkeypatch, capsys, name, hint):
    code, printed = yt8m(monkeypatch, capsys, name, "--train_dir=x")
    assert code == 2 and printed.out == ""
    assert printed.err == f"Error: unknown command {name!r}.{hint} `yt8m` lists all commands.\n"


@pytest.mark.parametrize(
    "program, train, infer",
    [
        ("/usr/bin/yt8m", "yt8m train --train_data", "yt8m infer"),
        (
            "/x/youtube8m_distill/__main__.py",
            "python -m youtube8m_distill train --train",
            "python -m youtube8m_distill infer",
        ),
    ],
)
def test_help_names_the_program_as_it_was_called(monkeypatch, capsys, program, train, infer):
    _, printed = yt8m(monkeypatch, capsys, "train", "--helpshort", program=program)
    assert train in printed.out
    monkeypatch.setattr(sys, "argv", ["python -m youtube8m_distill eval" if "-m" in infer else "yt8m eval"])
    assert entry.program("infer") == infer


def test_the_scripts_in_the_root_are_named_as_scripts(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["./eval.py"])
    assert [entry.program(name) for name in ("train", "eval", "infer", "demo")] == [
        "train.py",
        "eval.py",
        "inference.py",
        "yt8m demo",
    ]


@pytest.mark.parametrize("script, name", [("train", "train"), ("eval", "eval"), ("inference", "infer")])
def test_a_script_in_the_root_is_a_door_to_its_command(script, name):
    lines = (ROOT / f"{script}.py").read_text().splitlines()
    assert lines == ["from youtube8m_distill.cli.main import run", "", f'run("{name}")']


def test_the_script_prints_nothing_but_its_one_line(tmp_path):
    """TensorFlow's start-up lines stay hidden, also where it is loaded to read files."""
    ended = subprocess_of(
        ROOT / "train.py", f"--train_data_pattern={tmp_path}/none*", f"--train_dir={tmp_path}/run", cwd=tmp_path
    )
    assert ended.returncode == 2 and ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1 and not (tmp_path / "run").exists()
    assert ended.stderr.startswith(f"Error: --train_data_pattern={tmp_path}/none*: ")


# ---- without TensorFlow

WITHOUT_TENSORFLOW = """
import sys
from youtube8m_distill.cli import main
sys.argv = ["yt8m", *sys.argv[1:]]
try:
    main.main()
finally:
    assert not {"tensorflow", "keras", "pandas"} & set(sys.modules), set(sys.modules)
"""


@pytest.mark.parametrize(
    "arguments, code",
    [
        (("train", "--helpshort"), 0),
        (("infer", "--input_data=x"), 2),
        (("train", "--train_data_pattern=x", "--mode=parallel", "--freeze_classifier"), 2),
        (("eval", "--train_dir=x"), 2),
        (("synthesize", "--output_dir=x", "--num_classes=1"), 2),
    ],
)
def test_help_and_checks_of_flags_do_not_load_tensorflow(arguments, code):
    ended = subprocess_of("-c", WITHOUT_TENSORFLOW, *arguments)
    assert ended.returncode == code, ended.stderr
    assert len(ended.stderr.splitlines()) == bool(code)


def test_a_reader_that_closes_the_pipe_sees_no_traceback():
    program = subprocess.Popen(
        [sys.executable, "-m", "youtube8m_distill", "train", "--helpshort"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    program.stdout.close()
    assert program.stderr.read() == ""
    assert program.wait() == 128 + 13


# ---- help


@pytest.mark.parametrize("command", main.COMMANDS)
@pytest.mark.parametrize("spelling", ["--helpshort", "-h"])
def test_help_prints_the_description_and_every_flag_once(command, spelling):
    ended = commands.succeed(command, spelling)
    with commands.fresh_flags():
        assert ended.out.startswith(commands.defined(command))
        for title, names in commands.our_flags.GROUPS.items():
            assert f"\n{title}:\n" in ended.out
            for name in names:
                usages = [
                    line for line in ended.out.splitlines() if line == f"  --[no]{name}" or line.startswith(f"  --{name}=")
                ]
                assert len(usages) == 1, name


def test_help_shows_choices_and_defaults():
    printed = commands.succeed("train", "--helpshort").out
    assert "--mode=teacher|serial|parallel" in printed and "Default: teacher." in printed
    assert "--[no]start_new_model" in printed and "--student_loss=" in printed


def test_unsupported_flags_are_not_in_the_help():
    assert "cl_lambda" not in commands.succeed("train", "--helpshort").out


# ---- parsing


def test_an_unknown_flag_is_one_line_with_the_nearest_name():
    assert commands.fail("train", "--frames_per_vide=3") == (
        "Error: Unknown command line flag 'frames_per_vide'. Did you mean: frames_per_video? See --helpshort."
    )


@pytest.mark.parametrize(
    "command, name, names",
    [
        ("train", "epochs", "num_epochs, finetune_epochs"),
        ("train", "learning_rate", "base_learning_rate, learning_rate_decay, learning_rate_decay_examples"),
        ("synthesize", "train_videos", "num_train_videos"),
    ],
)
def test_an_unknown_flag_is_one_line_with_the_names_that_contain_it(command, name, names):
    line = commands.fail(command, f"--{name}=3")
    assert line == f"Error: Unknown command line flag {name!r}. Did you mean: {names}? See --helpshort."


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--mode=both", "--mode=both: value should be one of <teacher|serial|parallel>"),
        ("--batch_size=many", "--batch_size=many: is not a whole number. See --helpshort."),
        ("--max_video_frames=abc", "--max_video_frames=abc: is not a whole number. See"),
        ("--base_learning_rate=0,1", "--base_learning_rate=0,1: is not a number. See"),
        ("--flagfile=/nowhere/flags", "Unable to open flagfile"),
    ],
)
def test_a_value_that_cannot_be_parsed_is_one_line(argument, words):
    assert commands.fail("train", argument).startswith(f"Error: {words}")


@pytest.mark.parametrize("command, name", [(command, name) for command, names in UNSUPPORTED.items() for name in names])
def test_an_unsupported_flag_is_refused_with_the_reason(command, name):
    for argument in (f"--{name}", f"--{name}=3"):
        line = commands.fail(command, argument)
        assert line.startswith(f"Error: --{name}=") and any(
            words in line for words in ("not in this version", "use ", "train with ", "only training reads")
        )


@pytest.mark.parametrize("command", [name for name, command in main.COMMANDS.items() if not command.takes_arguments])
def test_an_argument_that_is_not_a_flag_is_refused(command):
    line = commands.fail(command, "b.tfrecord", "c.tfrecord")
    assert line.startswith("Error: unexpected argument 'b.tfrecord'") and "quote patterns" in line


def test_a_flagfile_gives_flags(tmp_path):
    (tmp_path / "flags").write_text("# of the run\n--batch_size=12\n--mode=serial\n")
    with commands.parsed("train", f"--flagfile={tmp_path}/flags", "--seed=4") as flags:
        assert (flags.batch_size, flags.mode, flags.seed) == (12, "serial", 4)
    (tmp_path / "flags").write_text("--segment_labels=3\n")
    assert commands.fail("eval", f"--flagfile={tmp_path}/flags").startswith(
        "Error: --segment_labels=3: is not true or false."
    )


@pytest.mark.parametrize(
    "command, missing, given",
    [
        (name, missing, set(command.required) - {missing})
        for name, command in main.COMMANDS.items()
        for missing in command.required
    ],
)
def test_a_required_flag_that_is_missing_is_named(command, missing, given):
    line = commands.fail(command, *[f"--{name}=x" for name in given])
    assert line == f"Error: --{missing}: is missing; see --helpshort."


# ---- errors and logging


@pytest.mark.parametrize(
    "error, line",
    [
        (SettingError("batch_size", "is odd.", 3), "--batch_size=3: is odd."),
        (SettingError("train_dir", "is missing."), "--train_dir: is missing."),
        (SettingError("network_size", "is odd.", 3), "network_size=3: is odd."),
        (OSError("/data/x is empty"), "/data/x is empty"),
        (ValueError("a\nb\x1b[1m"), "a\\nb\\x1b[1m"),
    ],
)
def test_a_users_error_is_one_line_and_names_its_flag(capsys, error, line):
    with pytest.raises(SystemExit) as ended, commands.parsed("train"), entry.user_errors():
        raise error
    assert ended.value.code == 2 and capsys.readouterr().err == f"Error: {line}\n"


def test_a_programming_error_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), entry.user_errors():
        raise ZeroDivisionError


def test_logged_information_goes_to_standard_output_and_warnings_to_standard_error(capsys):
    log = logging.getLogger("youtube8m_distill.runs")
    with entry.logging_to_console():
        log.info("Resuming at step %d.", 3)
        log.warning("The disk is nearly full.")
        log.debug("Not shown.")
        logging.getLogger("tensorflow").info("Not shown either.")
    log.info("Nor this.")
    printed = capsys.readouterr()
    assert printed.out == "Resuming at step 3.\n" and printed.err == "Warning: The disk is nearly full.\n"


def test_a_warning_does_not_end_up_in_a_progress_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with entry.logging_to_console(), display.ProgressBar(9, "features", "frames") as bar:
        bar.update()
        logging.getLogger("youtube8m_distill").warning("a.mp4: is empty.")
    before, line, _ = terminal.getvalue().partition("Warning: a.mp4: is empty.\n")
    assert line and before.rpartition("\r")[2].strip() == ""  # the bar was cleared


@pytest.mark.parametrize("package", ["tensorflow_io", "fsspec"])
def test_destructors_are_skipped_where_a_package_is_loaded_that_they_may_hang_in(monkeypatch, package):
    codes = []
    monkeypatch.setattr(entry.os, "_exit", codes.append)
    monkeypatch.setitem(sys.modules, package, None)
    entry._leave(None)
    entry._leave(2)
    assert codes == [0, 2]


@pytest.mark.parametrize("with_io", [False, True])
def test_an_unexpected_error_is_shown_with_its_traceback(monkeypatch, capsys, with_io):
    """tensorflow-io aborts in its destructors, so a program that has loaded it ends without them, and with code 1."""

    def broken():
        raise RuntimeError("a bug")

    left = []
    monkeypatch.setattr(entry, "_parse", lambda *_: [])
    monkeypatch.setattr(entry.os, "_exit", left.append)
    monkeypatch.setattr(entry.sys, "argv", ["yt8m"])
    if with_io:
        monkeypatch.setitem(entry.sys.modules, "tensorflow_io", entry)
        entry.run(broken, "A command.")
        assert left == [1] and "Traceback" in (shown := capsys.readouterr().err) and "RuntimeError: a bug" in shown
    else:
        monkeypatch.setattr(entry, "WITHOUT_DESTRUCTORS", set())
        with pytest.raises(RuntimeError, match="a bug"):
            entry.run(broken, "A command.")
        assert left == []
