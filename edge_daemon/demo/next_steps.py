"""Commands of this program as they work in the terminal that shows them: in hints, and after the demo."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

NAME = "edge-daemon"

_PLACES = ("first", "second", "third")

_SUDO_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Folders in which Debian's sudo looks for a command, the `secure_path` of its configuration."""


def program(prefix: Path | None = None, path: str | None = None) -> str:
    """Return how this terminal calls this program: by its name if `PATH` leads to it, else by its path.

    `prefix` is the Python environment, the running one by default; `path` replaces `PATH`.
    """
    own = _command_of(prefix or Path(sys.prefix))
    if _is_on_path(own, path):
        return NAME
    if own.exists():
        return shlex.quote(str(own))
    return f"{shlex.quote(sys.executable)} -m edge_daemon"


def program_as_root(prefix: Path | None = None) -> str:
    """Return how root calls this program: directly in a root shell, else with `sudo`, which sets `PATH`."""
    if os.geteuid() == 0 and "SUDO_USER" not in os.environ:
        return program(prefix)
    return f"sudo {program(prefix, _SUDO_PATH)}"


def next_commands(prefix: Path | None = None) -> list[tuple[str, str]]:
    """Return three commands that work in this terminal one after the other, each with its effect.

    The first activates the virtual environment if the program is not on the `PATH`.
    """
    prefix = prefix or Path(sys.prefix)
    activate = prefix / "bin" / "activate"
    activates = not _is_on_path(_command_of(prefix)) and activate.exists()
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


def _command_of(prefix: Path) -> Path:
    """Return the command's path. The Debian package has its environment, lib/edge-daemon, beside bin."""
    inside = prefix / "bin" / NAME
    beside = prefix.parent.parent / "bin" / NAME
    is_packaged = prefix.parent.name == "lib" and not inside.exists() and beside.exists()
    return beside if is_packaged else inside


def _is_on_path(own: Path, path: str | None = None) -> bool:
    found = shutil.which(NAME, path=path)
    return found is not None and Path(found).resolve() == own.resolve()


def _short(path: Path) -> str:
    """Return the path relative to the working directory if it is below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
