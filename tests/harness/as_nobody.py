"""Runs commands and checks as the user nobody, who may write nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from tests.harness.child_process import in_child

NOBODY = 65534

_COMMAND = """
import contextlib, io, os, sys
from edge_daemon.cli.main import main
if os.geteuid() == 0:
    # Once before, so that all is imported: Python's own files may be closed to nobody.
    with contextlib.redirect_stdout(io.StringIO()):
        main(sys.argv[1:])
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


def run_as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of the user nobody."""
    return subprocess.run([sys.executable, "-c", _COMMAND, *words], capture_output=True, text=True)


def in_child_as_nobody(check: Callable[[], None]) -> None:
    """Run `check` in a forked process of the user nobody."""

    def check_as_nobody() -> None:
        if os.geteuid() == 0:
            os.setuid(NOBODY)
        check()

    in_child(check_as_nobody)
