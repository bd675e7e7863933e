"""Commands that add missing packages to the running environment."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path


def pip_install(extra: str) -> str:
    """Return the command in backticks, as it works in any folder; extras are in pyproject.toml.

    The pip of a system's Python refuses to install, and the Debian package has none, so that a virtual
    environment is named there.
    """
    wanted = f"'edge-daemon[{extra}]'"
    if sys.prefix == sys.base_prefix or find_spec("pip") is None:
        return f"`pip install {wanted}` in a virtual environment"
    sudo = "" if os.access(sys.prefix, os.W_OK) else "sudo "
    return f"`{sudo}{shlex.quote(sys.executable)} -m pip install {wanted}`"


def install_opencv() -> str:
    """Return the command that installs OpenCV: apt's where Debian's packages are seen, else the extra's."""
    return "`sudo apt install python3-opencv`" if _sees_system_packages() else pip_install("usb")


def _sees_system_packages() -> bool:
    if sys.prefix == sys.base_prefix:
        return True
    settings = (Path(sys.prefix) / "pyvenv.cfg").read_text().lower()
    return "include-system-site-packages = true" in settings
