"""`edge-daemon sort` and `keys` as a user starts them: a process whose JSON lines are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener

BASE = "edge_daemon/pi"
TIMEOUT_S = 60.0


class Program:
    """A running command of which `lines` and `log` are kept in files."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self._out = out
        self._err = err

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines printed so far."""
        return [json.loads(line) for line in self._out.read_text().splitlines(keepends=True) if "\n" in line]

    @property
    def log(self) -> str:
        """The log written so far."""
        return self._err.read_text()

    def wait_for_log(self, text: str) -> None:
        """Wait until the log holds `text`."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.log:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def wait_for_lines(self, count: int) -> list[dict[str, Any]]:
        """Wait until that many lines are printed, and return them."""
        deadline = time.monotonic() + TIMEOUT_S
        while len(self.lines) < count:
            assert time.monotonic() < deadline, (self.lines, self.log)
            time.sleep(0.02)
        return self.lines

    def publish_until_lines(self, device: Listener, topic: str, payloads: Iterator[str], count: int) -> None:
        """Publish repeatedly, as a device does, until that many lines are printed."""
        deadline = time.monotonic() + TIMEOUT_S
        while len(self.lines) < count:
            assert time.monotonic() < deadline, (self.lines, self.log)
            device.publish(topic, next(payloads))
            time.sleep(0.1)


@contextmanager
def started(
    command: str, words: list[str], broker: Mosquitto, folder: Path, environ: Mapping[str, str]
) -> Iterator[Program]:
    """Start `edge-daemon COMMAND --json` at the broker, as the device `pi`; it is killed at the end."""
    settings = [f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", "device.id=pi"]
    options = [word for setting in settings for word in ("--set", setting)]
    out, err = folder / "out", folder / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_daemon", command, "--json", *options, *words],
            env={**os.environ, **environ},
            stdout=stdout,
            stderr=stderr,
        )
    try:
        yield Program(process, out, err)
    finally:
        process.kill()
        process.wait()
