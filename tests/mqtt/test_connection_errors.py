"""Connection errors with a cause in this device."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from pathlib import Path

import pytest

from edge_daemon.board.clock import clock_synced
from edge_daemon.config.mqtt import MqttOptions, TlsOptions
from edge_daemon.mqtt import connection_errors as module
from edge_daemon.mqtt.connection_errors import explain_local_cause
from tests.board.layout import lay_link, lay_loopback, lay_route, write
from tests.harness.certificates import make_certificates
from tests.harness.mosquitto import Mosquitto, free_port
from tests.harness.mqtt_harness import Device, wait_until

UNREACHABLE = OSError(errno.ENETUNREACH, "Network is unreachable")
NO_NAME = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
HOSTS = "hosts: files mdns4_minimal [NOTFOUND=return] dns\n"


def lay_network(root: Path, *, carrier: str = "1") -> None:
    lay_loopback(root)
    lay_link(root, "wlan0", carrier=carrier, wireless=True)
    lay_route(root, "wlan0\t00000000\t0101A8C0")
    write(root, "etc/nsswitch.conf", HOSTS)


@pytest.mark.parametrize("exc", [UNREACHABLE, NO_NAME, TimeoutError("timed out")])
def test_a_dead_link_is_named_instead_of_the_broker(tmp_path: Path, exc: Exception) -> None:
    lay_network(tmp_path, carrier="0")

    assert "wlan0 has no link" in (explain_local_cause("broker.local", exc, tmp_path) or "")


def test_a_refused_connection_has_no_local_cause(tmp_path: Path) -> None:
    lay_network(tmp_path, carrier="0")

    error = ConnectionRefusedError(errno.ECONNREFUSED, "Connection error")
    assert explain_local_cause("10.0.0.9", error, tmp_path) is None


def test_a_broker_on_this_device_needs_no_link(tmp_path: Path) -> None:
    lay_network(tmp_path, carrier="0")

    assert explain_local_cause("127.0.0.1", TimeoutError("timed out"), tmp_path) is None


def test_with_a_link_an_unreachable_broker_has_no_local_cause(tmp_path: Path) -> None:
    lay_network(tmp_path)

    for exc in (UNREACHABLE, TimeoutError("timed out"), ValueError("bad host")):
        assert explain_local_cause("10.0.0.9", exc, tmp_path) is None


@pytest.mark.parametrize(
    ("host", "hosts", "text"),
    [
        ("broker.local", HOSTS, "nothing on the local network answers to broker.local yet"),
        ("broker.local", "hosts: files dns\n", "libnss-mdns"),
        ("broker.example.org", HOSTS, "broker.example.org is not resolved yet"),
    ],
)
def test_a_name_that_is_not_resolved_yet(tmp_path: Path, host: str, hosts: str, text: str) -> None:
    lay_network(tmp_path)
    write(tmp_path, "etc/nsswitch.conf", hosts)

    assert text in (explain_local_cause(host, NO_NAME, tmp_path) or "")


def expired() -> ssl.SSLCertVerificationError:
    exc = ssl.SSLCertVerificationError("certificate verify failed")
    exc.verify_code = 10
    return exc


def test_an_expired_certificate_is_a_local_cause_while_the_clock_is_not_synchronised(
    tmp_path: Path,
) -> None:
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)

    assert "TLS waits for the time" in (explain_local_cause("broker.local", expired(), tmp_path) or "")

    write(tmp_path, "run/systemd/timesync/synchronized", "")
    assert explain_local_cause("broker.local", expired(), tmp_path) is None


def test_another_certificate_error_has_no_local_cause(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    exc = ssl.SSLCertVerificationError("certificate verify failed")
    exc.verify_code = 19  # self-signed

    assert explain_local_cause("127.0.0.1", exc, tmp_path) is None


def test_tls_connects_once_the_clock_is_synchronised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A real handshake with a certificate that is expired by this device's clock."""
    root = tmp_path / "root"
    (root / "run/systemd/timesync").mkdir(parents=True)
    monkeypatch.setattr(module, "clock_synced", lambda _: clock_synced(root))
    monkeypatch.setattr("edge_daemon.mqtt.connection_loop.LOCAL_RETRY_S", 0.2)
    bad, good = make_certificates(tmp_path / "bad", days=0), make_certificates(tmp_path / "good")
    ca = tmp_path / "ca.crt"
    ca.write_text(bad.ca.read_text() + good.ca.read_text())
    port = free_port()
    options = MqttOptions(
        host="127.0.0.1", port=port, tls=TlsOptions(enabled=True, ca_file=str(ca)), max_reconnect_s=600
    )
    with caplog.at_level(logging.WARNING), Device(options) as device:
        with Mosquitto(port=port, tls=bad):
            wait_until(lambda: any("TLS waits for the time" in text for text in caplog.messages))
        with Mosquitto(port=port, tls=good):
            device.wait_connected()


def test_an_unresolved_name_is_retried_every_few_seconds(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As at boot, when the resolver starts after the service."""
    real, names = socket.getaddrinfo, [0]

    def late(host: object, *rest: object, **more: object) -> object:
        if host in ("broker.local", b"broker.local"):
            names[0] += 1
            if names[0] <= 6:
                raise NO_NAME
            host = "127.0.0.1"
        return real(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", late)
    monkeypatch.setattr("edge_daemon.mqtt.connection_loop.LOCAL_RETRY_S", 0.1)
    monkeypatch.setattr(module, "link_fault", lambda _: None)  # independent of this machine's network
    options = MqttOptions(host="broker.local", port=broker.port, max_reconnect_s=600)
    with caplog.at_level(logging.WARNING), Device(options) as device:
        device.wait_connected()
    assert names[0] == 7
    assert [text for text in caplog.messages if "broker.local" in text] != []
