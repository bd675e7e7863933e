from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.client import ConnectOptions
from edge_daemon.mqtt.credentials import read_credentials
from edge_daemon.mqtt.negotiation import connect
from tests.harness.mosquitto import Mosquitto


def read_password(options: MqttOptions, environ: Mapping[str, str]) -> str | None:
    return read_credentials(msgspec.structs.replace(options, username="pi"), environ).password


def test_a_file_comes_before_the_environment_and_loses_its_newline(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pass word\n")
    options = MqttOptions(password_file=str(tmp_path / "secret"))
    assert read_password(options, {"EDGE_DAEMON_MQTT_PASSWORD": "other"}) == "pass word"


def test_a_credential_is_read_from_systemd_s_folder(tmp_path: Path) -> None:
    (tmp_path / "mqtt").write_text("s3cret")
    options = MqttOptions(credential="mqtt")
    assert read_password(options, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "s3cret"


def test_the_environment_is_the_last_place() -> None:
    assert read_password(MqttOptions(), {"EDGE_DAEMON_MQTT_PASSWORD": "x"}) == "x"
    assert read_password(MqttOptions(), {}) is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone"
    with pytest.raises(BrokerError, match=f"mqtt.password_file.*{path}: No such file"):
        read_password(MqttOptions(password_file=str(path)), {})


def test_an_empty_or_binary_file_is_rejected(tmp_path: Path) -> None:
    contents = (
        (b"\n", "is empty"),
        (b"\xff\xfes", "not UTF-8"),
        (b"a\nb\n", "in one line"),
        (b"a\0", "in one"),
    )
    for content, words in (*contents, (b"x" * 70_000, "at most 65535 bytes")):
        (tmp_path / "secret").write_bytes(content)
        with pytest.raises(BrokerError, match=words):
            read_password(MqttOptions(password_file=str(tmp_path / "secret")), {})


def test_a_credential_without_systemd_names_the_remedy() -> None:
    with pytest.raises(BrokerError, match="LoadCredential="):
        read_password(MqttOptions(credential="mqtt"), {})


def test_a_byte_order_mark_is_no_part_of_the_password(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xef\xbb\xbfs3cret\r\n")
    assert read_password(MqttOptions(password_file=str(tmp_path / "secret")), {}) == "s3cret"


def test_a_pipe_is_rejected_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BrokerError, match="pipe: it is a pipe"):
        read_password(MqttOptions(password_file=str(tmp_path / "pipe")), {})


@pytest.mark.parametrize("settings", ["", "password_file"])
def test_a_rejected_password_with_a_space_around_it_is_explained(
    tmp_path: Path, settings: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("right \n")
    monkeypatch.setenv("EDGE_DAEMON_MQTT_PASSWORD", "right ")
    file = str(tmp_path / "secret") if settings else None
    with Mosquitto(users={"tray": "right"}) as broker:
        options = MqttOptions(host=broker.host, port=broker.port, username="tray", password_file=file)
        with pytest.raises(BrokerError, match="begins or ends with a space") as caught:
            connect(options, ConnectOptions("x"), os.environ, lambda: False)
    assert "right" not in str(caught.value)


def test_a_password_that_ends_with_a_space_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("right \n")
    with Mosquitto(users={"tray": "right "}) as broker:
        options = MqttOptions(
            host=broker.host, port=broker.port, username="tray", password_file=str(tmp_path / "secret")
        )
        connect(options, ConnectOptions("x"), {}, lambda: False).close(graceful=True)
