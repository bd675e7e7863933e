from __future__ import annotations

import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from edge_daemon.config.mqtt import MqttOptions, TlsOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.broker_limits import BrokerLimits
from edge_daemon.mqtt.client import ConnectOptions
from edge_daemon.mqtt.embedded_broker import EmbeddedBroker
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.negotiation import connect
from edge_daemon.system.wakeup import Wakeup
from tests.harness.certificates import make_certificates
from tests.harness.mosquitto import Mosquitto, free_port
from tests.harness.mqtt_client import Listener
from tests.harness.unreliable_proxy import Proxy

WILL = Message("b/availability", b"offline", 1, retain=True)


def negotiated_version(port: int, will: Message | None = None) -> str:
    connection = connect(
        MqttOptions(host="127.0.0.1", port=port), ConnectOptions("x", will), {}, lambda: False
    )
    connection.close(graceful=True)
    return connection.version


def test_a_broker_that_rejects_version_5_is_connected_with_3_1_1() -> None:
    with EmbeddedBroker() as broker:
        assert negotiated_version(broker.port) == "3.1.1"


def test_a_broker_that_does_not_answer_version_5_is_connected_with_3_1_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_daemon.mqtt.negotiation._FIRST_ANSWER_S", 0.2)
    with EmbeddedBroker() as broker:
        assert negotiated_version(broker.port, WILL) == "3.1.1"


def test_a_broker_with_version_5_is_connected_with_it(broker: Mosquitto) -> None:
    assert negotiated_version(broker.port, WILL) == "5"


def test_the_receive_maximum_of_the_broker_is_the_window() -> None:
    with Mosquitto(settings="max_inflight_messages 2") as narrow:
        options = MqttOptions(host=narrow.host, port=narrow.port)
        connection = connect(options, ConnectOptions("x"), {}, lambda: False)
        connection.close(graceful=True)
    assert connection.window == 2


def test_an_error_of_all_versions_is_reported() -> None:
    with (
        Mosquitto(users={"tray": "secret"}) as broker,
        pytest.raises(BrokerError, match="refused the connection: Not auth"),
    ):
        negotiated_version(broker.port)
    with pytest.raises(BrokerError, match="Connection refused"):
        negotiated_version(free_port())


def error_with(port: int, **settings: object) -> str:
    options = MqttOptions(host="127.0.0.1", port=port, **settings)  # type: ignore[arg-type]
    with pytest.raises(BrokerError) as caught:
        connect(options, ConnectOptions("x", WILL), {}, lambda: False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("version", ["auto", "5", "3.1.1"])
def test_a_mismatch_of_tls_and_port_is_named(tmp_path: Path, version: str) -> None:
    certificates = make_certificates(tmp_path)
    with Mosquitto(tls=certificates) as encrypted:
        text = error_with(encrypted.port, version=version)
    assert "set mqtt.tls.enabled: true" in text
    with Mosquitto() as plain:
        tls = TlsOptions(enabled=True, ca_file=str(certificates.ca))
        assert "set mqtt.tls.enabled: false" in error_with(plain.port, version=version, tls=tls)


def test_a_required_client_certificate_is_named(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    tls = TlsOptions(enabled=True, ca_file=str(certificates.ca))
    with Mosquitto(tls=certificates, settings="require_certificate true") as broker:
        assert "set mqtt.tls.cert_file" in error_with(broker.port, tls=tls)


def test_a_key_with_a_passphrase_is_rejected_without_a_prompt(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    locked = tmp_path / "locked.key"
    command: list[str | Path] = [
        "openssl",
        "pkey",
        "-in",
        certificates.key,
        "-aes256",
        "-passout",
        "pass:x",
        "-out",
        locked,
    ]
    subprocess.run(command, check=True, capture_output=True)
    tls = TlsOptions(enabled=True, cert_file=str(certificates.cert), key_file=str(locked))
    assert "the key has a passphrase" in error_with(free_port(), tls=tls)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ("", BrokerLimits()),
        ("max_qos 0", BrokerLimits(max_qos=0)),
        ("max_qos 1", BrokerLimits(max_qos=1)),
        ("retain_available false", BrokerLimits(retain=False)),
        ("max_qos 0\nretain_available false", BrokerLimits(max_qos=0, retain=False)),
    ],
)
def test_a_will_is_reduced_to_the_limits_of_the_broker(
    version: Literal["5", "3.1.1"], settings: str, limits: BrokerLimits
) -> None:
    with Mosquitto(settings=settings) as broker:
        options = MqttOptions(host=broker.host, port=broker.port, version=version)
        connection = connect(options, ConnectOptions("x", WILL), {}, lambda: False)
        connection.close(graceful=True)
    if version == "3.1.1" and settings == "max_qos 1":
        limits = BrokerLimits()  # the will of QoS 1 was accepted, so no limit is known
    assert connection.limits == limits


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_a_proxy_that_hung_up_while_its_broker_started_limits_nothing(
    broker: Mosquitto, refused: int
) -> None:
    with Proxy(broker.port) as network:
        network.refuse(refused)
        options = MqttOptions(host="127.0.0.1", port=network.port, version="3.1.1")
        connection = connect(options, ConnectOptions("x", WILL), {}, lambda: False)
        connection.close(graceful=True)
    assert connection.limits == BrokerLimits()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_huge_publication_uses_little_memory(broker: Mosquitto, version: Literal["5", "3.1.1"]) -> None:
    options = MqttOptions(host=broker.host, port=broker.port, version=version)
    connection = connect(options, ConnectOptions("x", max_packet=65_536), {}, lambda: False)
    connection.subscribe("t", 1)
    with Listener(broker.port, "nothing") as sender, closing(Wakeup()) as wakeup:
        sender.client.publish("t", b"x" * 50_000_000, 1)
        sender.client.publish("t", b"end", 1)
        longest = 0
        deadline = time.monotonic() + 60
        while not connection.received or connection.received[-1].payload != b"end":
            assert time.monotonic() < deadline
            connection.poll(wakeup, timeout_s=0.1)
            longest = max([longest, *(len(incoming.payload) for incoming in connection.received)])
    connection.close(graceful=True)
    assert longest <= 70_000
