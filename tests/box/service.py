"""The installed service by systemctl, the journal and its store."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

from tests.box.command import run
from tests.box.wait_until import wait_until

UNIT = "edge-daemon.service"
CONFIG = Path("/etc/edge_daemon/config.yaml")
STATE = Path("/var/lib/edge_daemon")


class Service:
    """The unit under test."""

    def show(self, name: str) -> str:
        """Return a property of the unit."""
        return run("systemctl", "show", "--property", name, "--value", UNIT)

    @property
    def pid(self) -> int:
        """The main process id; 0 if there is none."""
        return int(self.show("MainPID"))

    @property
    def restarts(self) -> int:
        """Number of automatic restarts by systemd."""
        return int(self.show("NRestarts"))

    def control(self, verb: str) -> None:
        """Start, stop, restart or reload the unit. Raises AssertionError if it fails."""
        run("systemctl", verb, UNIT)

    def wait_until_seeing(self) -> None:
        """Wait until the service has classified a frame since its last start."""
        wait_until(lambda: self.show("StatusText") == "seeing" and self.active, f"seeing: {self.status()}")

    @property
    def active(self) -> bool:
        """True if the unit is active."""
        return self.show("ActiveState") == "active"

    def wait_for_new_process(self, old: int) -> None:
        """Wait until a process other than `old` classifies frames."""
        wait_until(lambda: self.pid not in (0, old), f"a process other than {old}")
        self.wait_until_seeing()

    def status(self) -> str:
        """Return the output of `systemctl status`."""
        done = subprocess.run(["systemctl", "status", "--no-pager", UNIT], capture_output=True, text=True)
        return done.stdout

    def log(self) -> str:
        """Return the journal of the unit in this boot."""
        return run("journalctl", "--boot", "--unit", UNIT, "--output", "cat", "--no-pager")


def stored_examples() -> dict[int, str]:
    """Return the labels of the stored examples by id, read by a separate connection."""
    with sqlite3.connect(f"file:{STATE / 'examples.sqlite'}?mode=ro", uri=True) as store:
        return dict(store.execute("select id, label from examples where removed_at is null"))
