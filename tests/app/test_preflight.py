"""Checks before a start and a reload: the address of the page."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from edge_daemon.app.preflight import Running, preflight, refusals
from edge_daemon.config.schema import Config, load_config
from edge_daemon.domain.errors import WebError

ENVIRONMENT = {"EDGE_DAEMON_WEB_TOKEN": "a token of at least sixteen characters"}
OF_ANOTHER_MACHINE = "192.0.2.1"


def _config(tmp_path: Path, listen: str | None) -> Config:
    settings = [
        "camera.type=synthetic",
        "model.features=patch",
        "mqtt.host=null",
        f"store.path={tmp_path}/x.sqlite",
    ]
    return load_config(None, [*settings, f"web.listen={listen or 'null'}"])


def _set_link_fault(monkeypatch: pytest.MonkeyPatch, fault: str | None) -> None:
    monkeypatch.setattr("edge_daemon.web.listener.link_fault", lambda: fault)


def test_at_boot_nothing_refuses_an_address_that_no_interface_has_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_link_fault(monkeypatch, "wlan0 has no link: is the access point in reach?")
    config = _config(tmp_path, f"{OF_ANOTHER_MACHINE}:8080")
    preflight(config, ENVIRONMENT)
    preflight(config, ENVIRONMENT, Running(_config(tmp_path, None)))
    assert list(refusals(config, ENVIRONMENT)) == []


def test_an_ipv6_address_is_refused_where_ipv6_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithoutIpv6(socket.socket):
        def __init__(self, family: int = -1, *rest: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *rest)

    monkeypatch.setattr(socket, "socket", WithoutIpv6)
    with pytest.raises(WebError, match=r"^web\.listen \[::\]:8080: .*; IPv6 is off here, write 0\.0\.0\.0"):
        preflight(_config(tmp_path, "'[::]:8080'"), ENVIRONMENT)


def test_with_a_network_an_address_of_another_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_link_fault(monkeypatch, None)
    config = _config(tmp_path, f"{OF_ANOTHER_MACHINE}:8080")
    with pytest.raises(
        WebError, match=r"192\.0\.2\.1:8080: .*; write an address of this machine, or 0\.0\.0\.0"
    ):
        preflight(config, ENVIRONMENT)
