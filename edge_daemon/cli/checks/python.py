"""The doctor's check of Python and its libraries."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np

from edge_daemon.board.system_python import system_python
from edge_daemon.camera.factory import import_library
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.schema import Config

_REBUILD = "run `sudo scripts/install` again: it builds the program for the new one"
_WRITE_AGAIN = "write the card again with Raspberry Pi OS (64-bit); a Pi 1, Zero or Zero W can't run it"


def check_python(
    config: Config,
    root: Path = Path("/"),
    base: str = sys.base_prefix,
    bits: int = sys.maxsize.bit_length() + 1,
) -> Check:
    """Compare with the system's Python, and import the camera's library without claiming the camera."""
    if bits < 64:
        return Check(
            "python", "failed", f"this is a {bits}-bit Python, and LiteRT needs a 64-bit one", _WRITE_AGAIN
        )
    import_library(config.camera)
    mine, current = ".".join(platform.python_version_tuple()[:2]), system_python(root)
    if base == "/usr" and current not in (None, mine):
        return Check(
            "python", "warning", f"installed for {mine}, and the system's is {current} now", _REBUILD
        )
    numpy = f"numpy {np.__version__} of {Path(np.__file__).parents[1]}"
    return Check("python", "ok", f"{platform.python_version()} in {sys.prefix}, {numpy}")
