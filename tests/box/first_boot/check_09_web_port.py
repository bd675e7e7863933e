"""The page's port is open only when the configuration says so, and serving it comes after seeing."""

from __future__ import annotations

from pathlib import Path

from tests.box.service import Service
from tests.box.wait_until import eventually, told
from tests.box.wiring import configure


def check_the_web_port_opens_only_when_enabled(service: Service) -> None:
    service.await_seeing()
    assert _listening(service.pid) == []
    configure("web: {listen: 8080}\n")
    try:
        service.control("reload")
        eventually(
            lambda: _listening(service.pid) == ["127.0.0.1:8080"], "the page's port, on this machine only"
        )
        eventually(lambda: max(_niceness(service.pid)) > 0, "a thread that gives way to the others")
        assert min(_niceness(service.pid)) == 0
    finally:
        configure()
        service.control("restart")
        service.await_seeing()
    assert _listening(service.pid) == []


def _listening(pid: int) -> list[str]:
    sockets = told("ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp", "--processes")
    return [line.split()[4] for line in sockets.splitlines() if f"pid={pid}," in line]


def _niceness(pid: int) -> list[int]:
    """Return that of each thread."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return [int(stat.rpartition(")")[2].split()[16]) for stat in stats]
