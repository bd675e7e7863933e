"""A real mosquitto for tests: started, killed and restarted on a free port."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_START_S = 10.0


@dataclass(frozen=True)
class Certificates:
    """Paths of a server's certificate and key, and of the authority that signed it."""

    ca: Path
    cert: Path
    key: Path


class Mosquitto:
    """A mosquitto on a free port of 127.0.0.1; a context manager that starts and stops it.

    With `users` (name to password) nobody else may connect. It forgets everything when it ends, as a
    broker without persistence does.
    """

    def __init__(
        self,
        users: dict[str, str] | None = None,
        acl: str | None = None,
        tls: Certificates | None = None,
        settings: str = "",
        port: int | None = None,
    ) -> None:
        self.host = "127.0.0.1"
        self.port = free_port() if port is None else port
        self._folder = Path(tempfile.mkdtemp(prefix="mosquitto-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._config = self._folder / "mosquitto.conf"
        self._config.write_text(self._settings(users or {}, acl, tls) + settings + "\n")

    def _settings(self, users: dict[str, str], acl: str | None, tls: Certificates | None) -> str:
        lines = ["user root", "persistence false", f"allow_anonymous {'false' if users else 'true'}"]
        lines.append(f"listener {self.port} {self.host}")
        if users:
            lines.append(f"password_file {self._passwords(users)}")
        if acl is not None:
            path = self._folder / "acl"
            path.write_text(acl)
            lines.append(f"acl_file {path}")
        if tls is not None:
            lines += [f"cafile {tls.ca}", f"certfile {tls.cert}", f"keyfile {tls.key}"]
        return "\n".join(lines) + "\n"

    def _passwords(self, users: dict[str, str]) -> Path:
        path = self._folder / "passwords"
        path.touch(mode=0o600)
        for name, password in users.items():
            subprocess.run(["mosquitto_passwd", "-b", path, name, password], check=True, capture_output=True)
        return path

    def start(self) -> None:
        """Start it, or start it again, and return when it listens."""
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin")
        if program is None:
            raise FileNotFoundError("mosquitto is missing; scripts/test installs it")
        self._process = subprocess.Popen(
            [program, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_S
        while not listens(self.host, self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mosquitto did not start with {self._config.read_text()}")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        """Its process id while it runs."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End it in good order."""
        self._end(kill=False)

    def kill(self) -> None:
        """End it with SIGKILL: its clients see the connection break."""
        self._end(kill=True)

    def pause(self) -> None:
        """Let it hang: its connections stay open, and it answers nothing until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End the pause."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def _end(self, kill: bool) -> None:
        if self._process is None:
            return
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        self._process.wait()
        self._process = None


def listens(host: str, port: int) -> bool:
    """Return whether a program accepts connections at the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
