"""The socket to a broker: each address is tried, and every wait can be cancelled."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge_daemon.config.mqtt import MqttOptions, TlsOptions
from edge_daemon.domain import events
from edge_daemon.mqtt import broker_socket
from edge_daemon.mqtt.broker_socket import open_socket
from edge_daemon.mqtt.credentials import tls_context
from edge_daemon.mqtt.persistent_queue import PersistentQueue
from tests.harness.certificates import make_certificates
from tests.harness.mosquitto import Mosquitto, free_port
from tests.harness.mqtt_harness import Device, label_changed, wait_until

SOON_S = 1.5
"""Longer than a cancelled wait takes, shorter than each time limit."""


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def unreachable() -> Iterator[int]:
    """A port that answers no SYN, as a broker behind a firewall does: its queue of connections is full."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_the_socket_is_connected_and_sends_small_packets_at_once(silent: int) -> None:
    with closing(open_socket("127.0.0.1", silent, None, lambda: False)) as sock:
        assert sock.getpeername()[1] == silent
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getblocking()


def test_the_next_address_is_tried_after_one_that_refuses(
    silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in (free_port(), silent)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    with closing(open_socket("broker", 1883, None, lambda: False)) as sock:
        assert sock.getpeername()[1] == silent
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found[:1] * 2)
    with pytest.raises(ConnectionRefusedError, match="Connection refused"):
        open_socket("broker", 1883, None, lambda: False)


@pytest.mark.parametrize(("stage", "text"), [("connect", "timed out"), ("handshake", "the TLS handshake")])
def test_a_server_without_an_answer_is_left_when_cancelled_and_in_time(
    stage: str, text: str, silent: int, unreachable: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, tls = (unreachable, None) if stage == "connect" else (silent, ssl.create_default_context())
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=text):
        open_socket("127.0.0.1", port, tls, lambda: time.monotonic() > begun + 0.2)
    assert time.monotonic() - begun < SOON_S
    monkeypatch.setattr(broker_socket, "CONNECT_S", 0.2)
    with pytest.raises(TimeoutError, match=text):
        open_socket("127.0.0.1", port, tls, lambda: False)


def test_an_encrypted_socket_checks_the_certificate(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    tls = tls_context(TlsOptions(enabled=True, ca_file=str(certificates.ca)))
    with Mosquitto(tls=certificates) as broker:
        with closing(open_socket("127.0.0.1", broker.port, tls, lambda: False)) as sock:
            assert isinstance(sock, ssl.SSLSocket)
            assert sock.version() is not None
        with pytest.raises(ssl.SSLCertVerificationError):
            open_socket("127.0.0.1", broker.port, ssl.create_default_context(), lambda: False)


@pytest.mark.parametrize("stage", ["connect", "handshake", "answer"])
def test_a_stop_while_connecting_keeps_the_events(
    stage: str, silent: int, unreachable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, resolve = threading.Event(), socket.getaddrinfo

    def watched(*arguments: Any, **named: Any) -> Any:
        opening.set()
        return resolve(*arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    options = MqttOptions(
        host="127.0.0.1",
        port=unreachable if stage == "connect" else silent,
        tls=TlsOptions(enabled=stage == "handshake"),
    )
    path = tmp_path / "events.sqlite"
    with Device(options, queue_path=path) as device:
        assert opening.wait(5)
        device.sink.handle(label_changed("cat"))
        begun = time.monotonic()
    assert time.monotonic() - begun < SOON_S
    stored = PersistentQueue(path, 10)
    assert len(stored) == 1
    stored.close()


def test_events_go_to_disk_while_a_name_server_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, path = threading.Event(), tmp_path / "events.sqlite"

    def resolve(*_: object, **__: object) -> None:
        answer.wait(20)
        raise socket.gaierror("temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr("edge_daemon.mqtt.connection_loop._PERSIST_INTERVAL_S", 0.02)
    with Device(MqttOptions(host="broker.invalid"), queue_path=path) as device:
        device.sink.handle(events.Button("red", "press"))
        wait_until(lambda: len(PersistentQueue(path, 10)) == 1)
        answer.set()


def test_a_name_is_resolved_without_the_codec_of_international_names(silent: int) -> None:
    code = f"""
import sys
from edge_daemon.mqtt.broker_socket import open_socket
open_socket("localhost", {silent}, None, lambda: False).close()
print("stringprep" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("host", ["a..b", "", ".", "x" * 64, "bücher.invalid"])
def test_a_host_that_is_no_name_or_unknown_is_an_error(host: str) -> None:
    with pytest.raises((OSError, ValueError)):
        open_socket(host, 1, None, lambda: False)
