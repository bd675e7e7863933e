from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.config.mqtt import check_host
from edge_daemon.config.schema import load_with_sources
from edge_daemon.domain.errors import ConfigError


@pytest.mark.parametrize("host", ["localhost", "broker.local", "192.168.1.5", "::1", "fe80::1%eth0", "a-b_c"])
def test_names_and_addresses_pass(host: str) -> None:
    check_host(host)


@pytest.mark.parametrize(
    ("host", "ways"),
    [
        ("mqtt://broker.local", ["`host: broker.local`"]),
        ("mqtt://broker.local:1884/", ["`host: broker.local`", "`port: 1884`"]),
        ("mqtts://broker.local", ["`host: broker.local`", "`port: 8883`", "`tls: {enabled: true}`"]),
        ("MQTTS://broker.local:99", ["`host: broker.local`", "`port: 99`", "`tls: {enabled: true}`"]),
        ("broker.local:1883", ["`host: broker.local`", "`port: 1883`"]),
        ("[::1]:1883", ["`host: ::1`", "`port: 1883`"]),
        ("broker.local/", ["`host: broker.local`"]),
        (" broker.local\n", ["`host: broker.local`"]),
        ("me@broker.local", ["`host: broker.local`", "`username`", "`password_file`"]),
        ("ws://broker.local", ["ws:// is not supported"]),
        ("a b", ["no space"]),
        ("a\0b", ["no space and no control character"]),
        ("", ["null to turn MQTT off"]),
        ("mqtt://", ["null to turn MQTT off"]),
    ],
)
def test_other_hosts_are_refused_with_a_remedy(host: str, ways: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        check_host(host)
    assert [way for way in ways if way not in str(caught.value)] == []


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(ValueError) as caught:
        check_host("mqtt://me:s3cret@broker.local:1883")
    assert "s3cret" not in str(caught.value)


def test_the_configuration_names_the_key_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mqtt:\n  host: mqtt://broker.local\n")
    with pytest.raises(ConfigError, match=r"config.yaml:2.*mqtt\.host.*`host: broker\.local`"):
        load_with_sources(path)
