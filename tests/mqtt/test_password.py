from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.errors import BrokerError
from edge_daemon.mqtt.options import MqttOptions
from edge_daemon.mqtt.password import read_password


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


def test_an_empty_or_binary_file_is_refused(tmp_path: Path) -> None:
    for content, words in ((b"\n", "is empty"), (b"\xff", "not UTF-8")):
        (tmp_path / "secret").write_bytes(content)
        with pytest.raises(BrokerError, match=words):
            read_password(MqttOptions(password_file=str(tmp_path / "secret")), {})


def test_a_credential_without_systemd_says_what_to_do() -> None:
    with pytest.raises(BrokerError, match="LoadCredential="):
        read_password(MqttOptions(credential="mqtt"), {})
