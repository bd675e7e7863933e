"""The command that adds the packages of an extra to the running environment."""

from __future__ import annotations

import shlex
import sys


def pip_install(extra: str) -> str:
    """Return the command in backticks, as it works in any folder; extras are in pyproject.toml.

    The pip of a system's Python refuses to install, so that a virtual environment is named there.
    """
    wanted = f"'edge-daemon[{extra}]'"
    if sys.prefix == sys.base_prefix:
        return f"`pip install {wanted}` in a virtual environment"
    return f"`{shlex.quote(sys.executable)} -m pip install {wanted}`"
