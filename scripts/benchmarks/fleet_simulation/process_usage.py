"""A temporary mosquitto on a free port; memory and CPU time of a process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
_START_TIMEOUT_S = 10.0


class Mosquitto:
    """A broker with default settings except persistence and `nodelay`; a context manager that runs it."""

    def __init__(self, folder: Path, nodelay: bool) -> None:
        self.host = "127.0.0.1"
        self.port = _free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"user root\npersistence false\nallow_anonymous true\nlistener {self.port} {self.host}\n"
            f"set_tcp_nodelay {str(nodelay).lower()}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The broker's process id."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Mosquitto:
        program = shutil.which("mosquitto", path=_PATH)
        if program is None:
            raise SystemExit("simulate_fleet: mosquitto is missing; install the package mosquitto")
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen([program, "-c", self._config], stdout=quiet, stderr=quiet)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("simulate_fleet: mosquitto did not start")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process. Linux only."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process. Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
