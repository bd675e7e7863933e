"""The page's port is open only when the configuration says so."""

from __future__ import annotations

from tests.box.patience import eventually, told
from tests.box.service import Service
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
    finally:
        configure()
        service.control("restart")
        service.await_seeing()
    assert _listening(service.pid) == []


def _listening(pid: int) -> list[str]:
    sockets = told("ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp", "--processes")
    return [line.split()[4] for line in sockets.splitlines() if f"pid={pid}," in line]
