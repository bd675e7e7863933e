"""The commands printed at the end of the demo, as they work in the terminal that shows them."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from edge_daemon.system.own_command import NAME, command_of, is_on_path, program

_PLACES = ("first", "second", "third")


def next_commands(prefix: Path | None = None) -> list[tuple[str, str]]:
    """Return three commands that work in this terminal one after the other, each with its effect.

    The first activates the virtual environment if the program is not on the `PATH`.
    """
    prefix = prefix or Path(sys.prefix)
    activate = prefix / "bin" / "activate"
    activates = not is_on_path(command_of(prefix)) and activate.exists()
    called = NAME if activates else program(prefix)
    steps = [
        (f"{called} try", "serves the page for a camera of this machine, to teach it"),
        (f"{called} models recommend", "measures which model suits this machine"),
        (f"{called} --help", "lists all commands"),
    ]
    first = (f". {shlex.quote(_short(activate))}", f"makes `{NAME}` a command of this terminal")
    return [first, *steps[:2]] if activates else steps


def next_steps(prefix: Path | None = None) -> str:
    """Return the end of the demo's output: three commands, each on its own line, and their effects."""
    steps = next_commands(prefix)
    commands = "\n".join(command for command, _ in steps)
    effects = [f"The {place} {effect}." for place, (_, effect) in zip(_PLACES, steps, strict=True)]
    return f"Three commands for the next steps:\n\n{commands}\n\n" + "\n".join(effects)


def _short(path: Path) -> str:
    """Return the path relative to the working directory if it is below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
