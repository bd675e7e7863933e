"""Bodies above their limit: the refusal arrives, and a far end is not waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.web import security
from tests.harness.web_harness import WebHarness


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[WebHarness]:
    with WebHarness(tmp_path) as site:
        yield site


def test_oversize_requests_are_refused_announced_or_not(open_site: WebHarness) -> None:
    big = b'{"label": "' + b"x" * 20_000 + b'"}'
    kind = {"content-type": "application/json"}
    with open_site.client() as client:
        assert client.post("/api/teach", content=big, headers=kind).status_code == 413
    with open_site.client() as client:
        assert client.post("/api/teach", content=iter([big]), headers=kind).status_code == 413
    with open_site.client() as client:
        assert client.get("/", headers={"x-long": "y" * 70_000}).status_code in (400, 431)


def test_a_body_above_the_limit_is_refused_before_its_end_if_that_is_far(
    open_site: WebHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "DRAIN_S", 0.3)
    head = b"POST /api/picture?label=a HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Edge-Daemon: 1\r\n"
    head += b"Content-Type: application/octet-stream\r\nContent-Length: 99999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", open_site.port), timeout=5) as channel:
        channel.sendall(head + b"x" * 100)
        assert b" 413 " in channel.recv(65536)
