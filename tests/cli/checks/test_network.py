"""The doctor's checks of network, broker and fleet, each fault provoked."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import convert

from edge_daemon.cli.checks.network import check_network
from edge_daemon.config.schema import Config
from tests.board.layout import (
    lay_link,
    lay_loopback,
    lay_route,
    write,
)
from tests.harness.doctor import run_check
from tests.harness.mosquitto import Mosquitto, free_port


def test_a_broker_that_is_down_is_named_with_a_command_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()

    status, check = run_check(capsys, "broker", "mqtt.host=127.0.0.1", f"mqtt.port={port}")

    assert (status, check.state) == (1, "failed")
    assert f"127.0.0.1:{port}" in check.detail
    assert f"mosquitto_sub -h 127.0.0.1 -p {port} " in check.hint


def test_without_a_broker_on_this_machine_the_hint_installs_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    port = free_port()
    _, here = run_check(capsys, "broker", "mqtt.host=localhost", f"mqtt.port={port}")
    _, elsewhere = run_check(capsys, "broker", "mqtt.host=127.0.0.2", f"mqtt.port={port}")
    assert "`sudo apt install mosquitto`" in here.hint
    assert elsewhere.hint == "is it up? see mqtt: in the configuration"


def test_a_password_that_only_the_service_can_read_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    status, check = run_check(capsys, "broker", "mqtt.credential=edge_mqtt-password")

    assert (status, check.state) == (0, "warning")
    assert "'edge_mqtt-password'" in check.detail
    assert "systemd-run" in check.hint


def test_an_access_list_that_forbids_the_fleet_is_a_failure_of_the_broker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    acl = "topic readwrite edge_daemon/tray-1/#\ntopic deny edge_daemon/fleet/#\n"
    with Mosquitto(acl=acl) as broker:
        settings = [
            "device.id=tray-1",
            f"mqtt.host={broker.host}",
            f"mqtt.port={broker.port}",
            "mqtt.discovery.enabled=false",
        ]
        alone = run_check(capsys, "broker", *settings)
        status, check = run_check(capsys, "broker", *settings, "fleet.group=sorters")
    assert (alone[0], alone[1].state) == (0, "ok")
    assert (status, check.state) == (1, "failed")
    assert "edge_daemon/fleet/sorters/tray-1/ask: Not authorized" in check.detail
    assert "mosquitto-acl.conf" in check.hint


def test_a_group_with_a_valid_key_passes_and_the_key_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fleet-key"
    path.write_text("5e" * 32)

    status, check = run_check(capsys, "fleet", "fleet.group=sorters", f"fleet.key_file={path}")

    assert (status, check.state) == (0, "ok")
    assert check.detail == "group 'sorters', a key of 32 bytes"


@pytest.mark.parametrize("content", [None, "", "no key", "5e5e"])
def test_a_key_that_can_not_be_used_is_named(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fleet-key"
    if content is not None:
        path.write_text(content)

    status, check = run_check(capsys, "fleet", "fleet.group=sorters", f"fleet.key_file={path}")

    assert (status, check.state) == (1, "failed")
    assert check.detail.startswith("fleet.key_file")
    assert str(path) in check.detail
    assert "the same key" in check.hint


def test_a_key_that_only_the_service_can_read_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("fleet.group=sorters", "fleet.credential=edge_fleet-key")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    status, check = run_check(capsys, "fleet", *settings)
    assert (status, check.state) == (0, "warning")
    assert "systemd-run" in check.hint

    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    status, check = run_check(capsys, "fleet", *settings)
    assert (status, check.state) == (1, "failed")
    assert str(tmp_path / "edge_fleet-key") in check.detail


def test_a_dead_link_is_a_failure_of_the_network_where_a_broker_is_wanted(tmp_path: Path) -> None:
    lay_loopback(tmp_path)
    lay_link(tmp_path, "wlan0", carrier="0", wireless=True)

    check = check_network(convert({"mqtt": {"host": "10.0.0.9"}}, Config), tmp_path)

    assert (check.state, check.detail) == ("failed", "wlan0 has no link")
    assert "password" in check.hint
    for host in (None, "127.0.0.1"):
        assert check_network(convert({"mqtt": {"host": host}}, Config), tmp_path).state == "ok"


def test_an_unresolved_name_is_reported(tmp_path: Path) -> None:
    lay_link(tmp_path, "eth0", carrier="1")
    lay_route(tmp_path, "eth0\t00000000\t0101A8C0")
    write(tmp_path, "etc/nsswitch.conf", "hosts: files dns\n")

    check = check_network(convert({"mqtt": {"host": "no-such-broker.local"}}, Config), tmp_path)

    assert check.state == "failed"
    assert "libnss-mdns" in check.hint


def test_a_broker_behind_a_dead_link_is_not_blamed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "edge_daemon.mqtt.connection_errors.link_fault", lambda _: "wlan0 has no link: is it near?"
    )

    _, check = run_check(capsys, "broker", "mqtt.host=no-such-broker.invalid")

    assert (check.state, "wlan0 has no link" in check.detail) == ("failed", True)
    assert "mosquitto_sub" not in check.hint


def test_wifi_power_saving_is_a_warning_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_daemon.cli.checks.network.power_saving", lambda name: True)  # no Wi-Fi here
    lay_link(tmp_path, "wlan0", carrier="1", wireless=True)

    check = check_network(convert({"mqtt": {"host": None}}, Config), tmp_path)

    assert check.state == "warning"
    assert "wifi.powersave" in check.hint
    assert "iw dev wlan0 set power_save off" in check.hint


@pytest.mark.parametrize(
    ("settings", "words"),
    [("max_qos 0", "takes QoS 0 at most"), ("retain_available false", "keeps no retained messages")],
)
def test_a_broker_that_takes_less_is_a_warning(
    capsys: pytest.CaptureFixture[str], settings: str, words: str
) -> None:
    with Mosquitto(settings=settings) as narrow:
        status, check = run_check(capsys, "broker", "mqtt.host=127.0.0.1", f"mqtt.port={narrow.port}")

    assert (status, check.state) == (0, "warning")
    assert words in check.detail


def test_a_broker_that_supports_the_configuration_passes(capsys: pytest.CaptureFixture[str]) -> None:
    with Mosquitto(settings="max_qos 0") as narrow:
        where = ("mqtt.host=127.0.0.1", f"mqtt.port={narrow.port}")
        status, check = run_check(capsys, "broker", *where, "mqtt.qos=0")

    assert (status, check.state) == (0, "ok")


def test_topics_that_the_broker_refuses_are_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with Mosquitto(acl="topic readwrite other/#\n") as closed:
        where = ("mqtt.host=127.0.0.1", f"mqtt.port={closed.port}")
        status, check = run_check(capsys, "broker", *where, "device.id=tray-1")

    assert (status, check.state) == (1, "failed")
    assert "publishing at edge_daemon/tray-1/info: Not authorized" in check.detail
    assert "mosquitto-acl.conf" in check.hint
