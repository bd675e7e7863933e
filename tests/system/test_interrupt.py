"""Ctrl-C in the first half second of a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import edge_daemon

SLOW = """
import sys, os, signal, time

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(20)

sys.meta_path.insert(0, Finder())
sys.argv = ["edge-daemon", "config", "show"]
from edge_daemon.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "module", ["edge_daemon.cli.main", "edge_daemon.cli.config", "edge_daemon.config.schema"]
)
def test_an_interrupt_during_an_import_ends_silently(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SLOW.format(module=module)],
        capture_output=True,
        timeout=15,
        cwd=Path(edge_daemon.__file__).parents[1],
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_an_ignored_interrupt_stays_ignored() -> None:
    code = (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from edge_daemon.system.interrupt import end_at_interrupt, raise_at_interrupt\n"
        "end_at_interrupt(); raise_at_interrupt()\n"
        "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=15)


def test_the_command_itself_is_interrupted_as_before() -> None:
    code = (
        "import signal\nfrom edge_daemon.system.interrupt import end_at_interrupt, raise_at_interrupt\n"
        "end_at_interrupt(); raise_at_interrupt()\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=15)
