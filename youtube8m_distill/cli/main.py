"""The console command `yt8m` and its subcommands."""

import difflib
import importlib
import pathlib
import sys

from youtube8m_distill.cli import entry, loading
from youtube8m_distill.cli.commands import COMMANDS


def main() -> None:
    """Runs the subcommand named first in `sys.argv`; without one, lists them all."""
    program = "python -m youtube8m_distill" if pathlib.Path(sys.argv[0]).name == "__main__.py" else "yt8m"
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in entry.HELP:
        lines = [f"  {name:<14}{command.description.splitlines()[0]}" for name, command in COMMANDS.items()]
        print(f"Usage: {program} COMMAND --flag=value ...", "", *lines, sep="\n")
        print(f"\n`{program} COMMAND --helpshort` lists its flags.")
    elif name in COMMANDS:
        sys.argv = [f"{program} {name}", *arguments]
        run(name)
    else:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        entry.fail(f"unknown command {name!r}.{hint} `{program}` lists all commands.")


def run(name: str) -> None:
    """Runs a command with the flags in `sys.argv`, from parsing them to the exit code."""
    command = COMMANDS[name]
    command.define_flags()

    def action(*names):
        with entry.user_errors():
            command.check_flags()
        if command.uses_tensorflow:
            loading.load_tensorflow()
        importlib.import_module(f"youtube8m_distill.cli.{command.module}").main(*names)

    entry.run(action, command.description, command.takes_arguments, command.about_unknown_flags)
