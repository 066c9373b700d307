"""What all commands share: parsing flags, grouped help, logging, and errors in one line."""

import contextlib
import fnmatch
import functools
import logging
import os
import pathlib
import re
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

import tqdm
from absl import flags

from youtube8m_distill.cli.flags import FLAGS, GROUPS
from youtube8m_distill.errors import BadRecordError, SettingError, UnreachableError, written

HELP = {f"{dashes}{name}" for dashes in ("-", "--") for name in ("h", "help", "helpshort", "helpfull")}
SCRIPTS = {"train": "train.py", "eval": "eval.py", "infer": "inference.py"}
TYPES = {"comma": "a,b,c", "string": "TEXT", "path": "PATH", "int": "N", "float": "X"}  # as --helpshort shows them
SIGNALLED = 128  # plus the signal's number: the exit code of a program that a signal ended
LOGGERS = ("youtube8m_distill", "reproduce")
# tensorflow-io 0.37.1 aborts in its destructors. With fsspec, threads may still be copying files that datasets wait for.
WITHOUT_DESTRUCTORS = {"tensorflow_io", "fsspec"}


def run(main: Callable[..., None], description: str, takes_names: bool = False, about_unknown_flags: str = "") -> None:
    """Parses flags, runs `main` and ends the process.

    Args:
        takes_names: whether `main` gets the arguments that are not flags.
        about_unknown_flags: advice after the message about one.
    """
    code = 0
    try:
        if HELP & set(sys.argv[1:]):
            print(grouped_help(description))
        else:
            names = _parse(takes_names, about_unknown_flags)
            # Like Ctrl-C, so that locks are released and finished work is kept.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(SIGNALLED + signal.SIGTERM))
            with logging_to_console():
                main(*names)
        sys.stdout.flush()
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        code = SIGNALLED + signal.SIGINT
    except BrokenPipeError:  # as in `yt8m train --helpshort | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = SIGNALLED + signal.SIGPIPE
    except Exception:
        if not WITHOUT_DESTRUCTORS & set(sys.modules):
            raise
        traceback.print_exc()  # as Python does, which would then run the destructors that `_leave` avoids
        code = 1
    _leave(code)


def _parse(takes_names, about_unknown_flags):
    """Parses the flags; returns the other arguments. What absl refuses is an error in one line."""
    try:
        _, *names = FLAGS(sys.argv)
    except flags.Error as error:
        _suggest_longer_names(error)
        message = " ".join(str(error).split()).removeprefix("flag ").removeprefix("ERROR:: ").replace(" ?", "?")
        message = re.sub(r"\('Non-boolean argument to boolean flag', .*\)", "is not true or false", message)
        is_unknown = isinstance(error, flags.UnrecognizedFlagError)
        advice = f"{about_unknown_flags} See --helpshort." if is_unknown and about_unknown_flags else "See --helpshort."
        fail(f"{message}{'' if message.endswith(('.', '?')) else '.'} {advice}")
    if names and not takes_names:
        fail(f"unexpected argument {names[0]!r}. Write flags as --name=value, and quote patterns for the shell.")
    return names


def _suggest_longer_names(error):
    """Fails with the flags whose names contain an unknown one, as num_epochs contains epochs, if there are any."""
    if isinstance(error, flags.UnrecognizedFlagError):
        names = [name for group in GROUPS.values() for name in group if f"_{error.flagname}_" in f"_{name}_"]
        if names:
            fail(f"Unknown command line flag {error.flagname!r}. Did you mean: {', '.join(names)}? See --helpshort.")


def _leave(code):
    """Ends the process, without the destructors where these may hang or abort."""
    if not WITHOUT_DESTRUCTORS & set(sys.modules):
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


class Console(logging.Handler):
    """Prints information to standard output, and warnings to standard error with "Warning: " in front."""

    def emit(self, record):
        with tqdm.tqdm.external_write_mode(file=sys.stderr):  # on a line of its own, not at the end of a progress bar
            if record.levelno >= logging.WARNING:
                print(f"Warning: {record.getMessage()}", file=sys.stderr, flush=True)
            else:
                print(record.getMessage(), flush=True)


@contextlib.contextmanager
def logging_to_console() -> Iterator[None]:
    """Shows what the package logs inside the block."""
    handler, loggers = Console(logging.INFO), [logging.getLogger(name) for name in LOGGERS]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
            logger.propagate = True


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Ends the program with one line on what the user gave and can change."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        fail(message_of(error))
    except Exception as error:
        if "tensorflow" not in sys.modules:
            raise
        fail(_about_unreachable(error))


def _about_unreachable(error):
    """The message for an error of TensorFlow about files or object stores; raises all others again."""
    from youtube8m_distill.data.find_files import is_unreachable, unreachable_files

    if not is_unreachable(error):
        raise error
    try:
        with unreachable_files("a file"):
            raise error
    except OSError as unreachable:
        return message_of(unreachable)


@contextlib.contextmanager
def about(flag: str, what: str = "") -> Iterator[None]:
    """Turns errors inside the block into SettingErrors about a flag, with `what` before the reason.

    Errors that are about another flag, or about a file to read, pass.
    """
    try:
        yield
    except (SettingError, UnreachableError):
        raise
    except (ValueError, OSError) as error:
        raise SettingError(flag, f"{what}{error}", FLAGS[flag].value) from error


def skip_bad_records(of_segments: bool = False) -> str:
    """Advice after an error about a record, of whole videos or `of_segments`."""
    flag = " --segment_labels" if of_segments else ""
    return f"`yt8m check{flag}` lists all such records, and --exclude_records skips them."


@contextlib.contextmanager
def advising_on_bad_records(of_segments: bool = False) -> Iterator[None]:
    """Adds `skip_bad_records` to the errors inside the block that are about a record."""
    try:
        yield
    except BadRecordError as error:
        raise BadRecordError(f"{str(error).rstrip('.')}. {skip_bad_records(of_segments)}") from error


def message_of(error: Exception) -> str:
    """An error in words; as `--name=value: reason` if it is about a flag, or about a file that a flag's pattern matches."""
    if isinstance(error, UnreachableError):
        for name in FLAGS:
            pattern = name.endswith("_pattern") and FLAGS[name].value or ""
            globs = [pattern, *(glob.strip() for glob in pattern.split(","))]
            if error.path in globs or any(fnmatch.fnmatchcase(error.path, glob) for glob in globs):
                return f"--{name}={pattern}: {error}"
    return f"--{error}" if isinstance(error, SettingError) and error.name in FLAGS else str(error)


def fail(message: str) -> NoReturn:
    """Ends the program with one line."""
    print(f"Error: {printable(message)}", file=sys.stderr)
    sys.exit(2)


def printable(text: str) -> str:
    """A text, as from a file of unknown origin, with the characters escaped that do not print."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def program(command: str) -> str:
    """How to call a command, in the way in which this one was called: `train.py` or `yt8m train`."""
    called = sys.argv[0]
    if pathlib.Path(called).name in SCRIPTS.values():
        return SCRIPTS.get(command, f"yt8m {command}")
    return f"{called.rpartition(' ')[0] or 'yt8m'} {command}"


def grouped_help(description: str) -> str:
    """The flags of this command by group, each with its default."""
    lines = [description.strip(), "", "Flags (all commands also take --flagfile=FILE):"]
    for title, names in GROUPS.items():
        lines += ["", f"{title}:"]
        for name in names:
            lines += _flag_lines(FLAGS[name])
    return re.sub(r"\byt8m (train|eval|infer)\b", lambda match: program(match[1]), "\n".join(lines))


def _flag_lines(flag):
    kind, choices = flag.flag_type().split()[0], getattr(flag.parser, "enum_values", None)
    usage = f"--[no]{flag.name}" if kind == "bool" else f"--{flag.name}={'| '.join(choices) if choices else TYPES[kind]}"
    help_text = re.sub(r"^<[^>]*>: ", "", flag.help)  # absl repeats the choices there
    default = "" if flag.default in (None, "") else f" Default: {written(flag.default)}."
    wrap = functools.partial(textwrap.wrap, width=110, subsequent_indent=" " * 6)
    lines = wrap(usage, initial_indent="  ", break_on_hyphens=False)
    return [line.replace("| ", "|") for line in lines] + wrap(help_text + default, initial_indent=" " * 6)
