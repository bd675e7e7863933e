"""The web port is open only if configured, and its thread has a lower priority than classification."""

from __future__ import annotations

from pathlib import Path

from tests.box.command import run
from tests.box.service import Service
from tests.box.wait_until import wait_until
from tests.box.wiring import configure


def check_web_port_is_open_only_if_enabled(service: Service) -> None:
    service.wait_until_seeing()
    assert _listening(service.pid) == []
    configure("web: {listen: 8080}\n")
    try:
        service.control("reload")
        wait_until(
            lambda: _listening(service.pid) == ["127.0.0.1:8080"],
            "the web port, on the loopback interface only",
        )
        wait_until(lambda: max(_niceness(service.pid)) > 0, "a thread with a lower priority")
        assert min(_niceness(service.pid)) == 0
    finally:
        configure()
        service.control("restart")
        service.wait_until_seeing()
    assert _listening(service.pid) == []


def _listening(pid: int) -> list[str]:
    sockets = run("ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp", "--processes")
    return [line.split()[4] for line in sockets.splitlines() if f"pid={pid}," in line]


def _niceness(pid: int) -> list[int]:
    """Return the nice value of each thread."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return [int(stat.rpartition(")")[2].split()[16]) for stat in stats]
