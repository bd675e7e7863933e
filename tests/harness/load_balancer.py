"""HAProxy in front of a cluster's nodes, with config/haproxy-mqtt.cfg."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.harness.mosquitto import free_port, listens

CONFIG = Path(__file__).resolve().parents[2] / "config" / "haproxy-mqtt.cfg"
_START_S = 30.0


class LoadBalancer:
    """Passes connections to `port` on to the nodes' ports; a context manager that runs it."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="haproxy-"))
        text = CONFIG.read_text().replace("0.0.0.0:1883", f"{self.host}:{self.port}")
        for number, port in enumerate(ports, 1):
            text = text.replace(f"node{number}.example.com:1883", f"{self.host}:{port}")
        assert ".example.com" not in text
        (self._folder / "haproxy.cfg").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> LoadBalancer:
        program = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
        if program is None:
            raise FileNotFoundError("haproxy is missing; scripts/dev/test-cluster installs it")
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            [program, "-db", "-f", self._folder / "haproxy.cfg"], stdout=quiet, stderr=quiet
        )
        deadline = time.monotonic() + _START_S
        while not listens(self.host, self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("haproxy did not start")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder)
