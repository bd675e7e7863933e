"""The command with which a terminal calls this program, for hints."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

NAME = "edge-daemon"

_SUDO_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Folders in which Debian's sudo looks for a command, the `secure_path` of its configuration."""


def program(prefix: Path | None = None, path: str | None = None) -> str:
    """Return how this terminal calls this program: by its name if `PATH` leads to it, else by its path.

    `prefix` is the Python environment, the running one by default; `path` replaces `PATH`.
    """
    own = command_of(prefix or Path(sys.prefix))
    if is_on_path(own, path):
        return NAME
    if own.exists():
        return shlex.quote(str(own))
    return f"{shlex.quote(sys.executable)} -m edge_daemon"


def program_as_root(prefix: Path | None = None) -> str:
    """Return how root calls this program: directly in a root shell, else with `sudo`, which sets `PATH`."""
    if os.geteuid() == 0 and "SUDO_USER" not in os.environ:
        return program(prefix)
    return f"sudo {program(prefix, _SUDO_PATH)}"


def command_of(prefix: Path) -> Path:
    """Return the command's path. The Debian package has its environment, lib/edge-daemon, beside bin."""
    inside = prefix / "bin" / NAME
    beside = prefix.parent.parent / "bin" / NAME
    is_packaged = prefix.parent.name == "lib" and not inside.exists() and beside.exists()
    return beside if is_packaged else inside


def is_on_path(own: Path, path: str | None = None) -> bool:
    """Return whether `PATH`, or `path`, leads to this command by its name."""
    found = shutil.which(NAME, path=path)
    return found is not None and Path(found).resolve() == own.resolve()
