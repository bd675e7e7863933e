"""The service as its owner sees it: systemctl, the journal, its store."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

from tests.box.wait_until import eventually, told

UNIT = "edge-daemon.service"
CONFIG = Path("/etc/edge_daemon/config.yaml")
STATE = Path("/var/lib/edge_daemon")


class Service:
    """The unit under test."""

    def show(self, name: str) -> str:
        """Return a property of the unit."""
        return told("systemctl", "show", "--property", name, "--value", UNIT)

    @property
    def pid(self) -> int:
        """The main process, 0 when there is none."""
        return int(self.show("MainPID"))

    @property
    def restarts(self) -> int:
        """How often systemd has started it again by itself."""
        return int(self.show("NRestarts"))

    def control(self, verb: str) -> None:
        """Start, stop, restart or reload the unit; its failure is a failed check."""
        told("systemctl", verb, UNIT)

    def await_seeing(self) -> None:
        """Wait until the service has classified a frame since it was started last."""
        eventually(lambda: self.show("StatusText") == "seeing" and self.active, f"seeing: {self.status()}")

    @property
    def active(self) -> bool:
        """Whether systemd counts it as up."""
        return self.show("ActiveState") == "active"

    def await_new_process(self, old: int) -> None:
        """Wait until another process does the work."""
        eventually(lambda: self.pid not in (0, old), f"a process other than {old}")
        self.await_seeing()

    def status(self) -> str:
        """Return what `systemctl status` says."""
        done = subprocess.run(["systemctl", "status", "--no-pager", UNIT], capture_output=True, text=True)
        return done.stdout

    def log(self) -> str:
        """Return the journal of the unit since this boot."""
        return told("journalctl", "--boot", "--unit", UNIT, "--output", "cat", "--no-pager")


def kept_examples() -> dict[int, str]:
    """Return the labels of the examples in the store by id, read as another program would."""
    with sqlite3.connect(f"file:{STATE / 'examples.sqlite'}?mode=ro", uri=True) as store:
        return dict(store.execute("select id, label from examples where removed_at is null"))
