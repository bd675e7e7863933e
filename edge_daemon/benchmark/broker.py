"""A temporary mosquitto for the benchmark, if mosquitto is installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from edge_daemon.domain.errors import BrokerError
from edge_daemon.system.free_port import free_port

HOST = "127.0.0.1"
_SEARCH_PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/sbin"
_START_TIMEOUT_S = 5.0


class Mosquitto:
    """A mosquitto process on a free port of the loopback interface; a context manager. Raises BrokerError."""

    def __init__(self, program: str) -> None:
        self.port = free_port()
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="edge-daemon-broker-")

    def __enter__(self) -> Mosquitto:
        config = Path(self._folder.name) / "mosquitto.conf"
        # Without nodelay the broker delays a message by 40 ms, until the previous one is acknowledged.
        lines = [
            f"listener {self.port} {HOST}",
            "allow_anonymous true",
            "persistence false",
            "set_tcp_nodelay true",
        ]
        config.write_text("\n".join(lines))
        self._process = subprocess.Popen(
            [self._program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            self._wait_until_it_listens(self._process)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _wait_until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not _listens(self.port):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise BrokerError(f"{self._program} did not start; give a broker: --set mqtt.host=HOST")
            time.sleep(0.01)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        self._folder.cleanup()


def find_mosquitto() -> str | None:
    """Return the path of the installed mosquitto, or None."""
    return shutil.which("mosquitto", path=_SEARCH_PATH)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
