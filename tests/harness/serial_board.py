"""A board at the other end of a pseudo-terminal, whose path stays the same when it is plugged in again."""

from __future__ import annotations

import os
import select
import threading
import tty
from pathlib import Path

from tests.harness.mqtt_harness import wait_until


class SerialBoard:
    """Plugged in at `path`, a link as those in /dev/serial/by-id; the test reads and writes its bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.received = b""
        self._ends: tuple[int, int] | None = None

    def plug_in(self) -> None:
        """Connect; the kernel gives the board another number each time."""
        board, port = os.openpty()
        tty.setraw(port)
        self._ends = board, port
        self.path.symlink_to(os.ttyname(port))

    def unplug(self) -> None:
        """Pull the cable: the open port hangs up and its path is gone."""
        if self._ends is not None:
            self.path.unlink()
            for end in self._ends:
                os.close(end)
        self._ends = None

    def send(self, data: bytes) -> None:
        """Send bytes; waits while the kernel's buffer is full."""
        while data:
            data = data[os.write(self.fileno(), data) :]

    def flood(self, data: bytes, ended: threading.Event) -> None:
        """Send bytes as fast as they are taken until `ended` is set; read none."""
        while not ended.is_set():
            if select.select([], [self.fileno()], [], 0.05)[1]:
                os.write(self.fileno(), data[:64])

    def lines(self) -> list[str]:
        """Return the complete lines received since the board was made, without the empty ones."""
        while select.select([self.fileno()], [], [], 0)[0]:
            self.received += os.read(self.fileno(), 4096)
        *complete, _ = self.received.decode().split("\n")
        return [line for line in complete if line]

    def wait_for(self, line: str, times: int = 1) -> None:
        """Wait until a line was received `times` times."""
        wait_until(lambda: self.lines().count(line) >= times)

    def fileno(self) -> int:
        """The board's end of the line."""
        assert self._ends is not None
        return self._ends[0]
