"""What the commands have in common: parsing, grouped help, one-line errors."""

import contextlib
import logging
import os
import re
import signal
import sys
import textwrap

import tensorflow as tf
from absl import app, flags

from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli.memory import keep_freed_memory

FLAGS = flags.FLAGS
TYPES = {"comma": "a,b,c", "string": "TEXT", "int": "N", "float": "X"}  # as --helpshort shows them
SIGNALLED = 128  # plus the signal's number: what shells report for a program that a signal has ended
INTERRUPTED = SIGNALLED + signal.SIGINT


def run(main, description, takes_names=False):
    """Parses flags and calls `main()`. Console commands and the scripts in the clone's root end here.

    Args:
        main: function without arguments; with `takes_names` it gets what stands on the command line beside flags.
        description: str, for --helpshort.
        takes_names: bool.
    """
    if any(argument.lstrip("-") in ("help", "helpshort", "h") and argument.startswith("-") for argument in sys.argv[1:]):
        print(grouped_help(description))
        sys.exit(0)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    keep_freed_memory()
    # As Ctrl-C: what holds something on the way out lets go of it, or keeps it for the next start.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(SIGNALLED + signal.SIGTERM))
    # With it TensorFlow 2.21 makes one operation of several sums, which adds them in an order that is left to chance: on
    # CPUs the same batch may differ in its last bits from one run to the next, and what is gone on with must be what one go
    # would have given.
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})

    def checked(argv):
        if len(argv) > 1 and not takes_names:
            fail(
                f"unexpected argument {argv[1]!r}. Flags are written --name=value; quote patterns so that the shell does "
                "not expand them."
            )
        if FLAGS.is_parsed() and "log_device_placement" in FLAGS and FLAGS.log_device_placement:
            tf.debugging.set_log_device_placement(True)
        main(*argv[1:])

    try:
        app.run(checked, flags_parser=_parse)
    except SystemExit as ended:
        _leave(ended.code)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        _leave(INTERRUPTED)


def _parse(arguments):
    """absl's parsing, with what it refuses in one line of the form that every other error has."""
    try:
        return FLAGS(arguments)
    except flags.Error as error:
        message = " ".join(str(error).split()).removeprefix("flag ").replace(" ?", "?")
        fail(f"{message}{'' if message.endswith(('.', '?')) else '.'} See --helpshort.")


def _leave(code):
    """Ends the process with a code. tensorflow-io 0.37.1 aborts in its destructors, so where it was used they do not run."""
    if "tensorflow_io" not in sys.modules:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


@contextlib.contextmanager
def user_errors():
    """Ends the program with one line on what the user gave and can change."""
    try:
        yield
    except (ValueError, OSError) as error:
        fail(our_flags.flag_of(error))


def fail(message):
    """Ends the program with one line, whatever a stranger's file has put into the message."""
    line = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in message)
    print(f"Error: {line}", file=sys.stderr)
    sys.exit(2)


def grouped_help(description):
    """The flags of this command by group, each with its default."""
    lines = [description.strip(), "", "Flags (all commands also take --flagfile=FILE, --helpfull):"]
    for title, names in our_flags.GROUPS.items():
        lines += ["", f"{title}:"]
        for name in names:
            lines += _flag_lines(FLAGS[name])
    return "\n".join(lines)


def _flag_lines(flag):
    help_text = re.sub(r"^<[^>]*>: ", "", flag.help)  # absl repeats the choices there
    default = "" if flag.default in (None, "") else f" (default: {flag.default_as_str.strip(chr(39))})"
    usage = textwrap.wrap(
        _usage(flag).replace("|", "| "), 110, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
    )
    return [line.replace("| ", "|") for line in usage] + textwrap.wrap(
        help_text + default, 110, initial_indent="      ", subsequent_indent="      "
    )


def _usage(flag):
    """How a flag is written: its name and what it takes."""
    kind = flag.flag_type().split()[0]
    if kind == "bool":
        return f"--[no]{flag.name}"
    choices = getattr(flag.parser, "enum_values", None)
    return f"--{flag.name}=" + ("|".join(choices) if choices else TYPES[kind])
