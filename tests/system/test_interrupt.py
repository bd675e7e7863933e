"""Ctrl-C in the first half second of a command, and the signals that end one."""

from __future__ import annotations

import signal
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_unwinds_the_command_and_a_second_signal_does_not_end_that(
    number: signal.Signals,
) -> None:
    code = (
        "import os, sys, time\nfrom edge_daemon.system.interrupt import unwound_at_termination\n"
        "with unwound_at_termination():\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(20)\n"
        "    finally:\n"
        f"        os.kill(os.getpid(), {number})\n"
        "        print('cleaned up', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == "cleaned up\n"
    assert process.returncode == 128 + number


def test_an_ignored_termination_stays_ignored_and_another_is_put_back() -> None:
    code = (
        "import signal\nfrom edge_daemon.system.interrupt import unwound_at_termination\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with unwound_at_termination():\n"
        "    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
        "    assert callable(signal.getsignal(signal.SIGTERM))\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=15)
