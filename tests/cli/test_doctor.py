"""The doctor: each fault provoked, named and hinted at; nothing is made, nothing harmed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from msgspec import convert
from PIL import Image

from edge_daemon.cli.checks import gpio as checks_gpio
from edge_daemon.cli.checks import storage as checks_storage
from edge_daemon.cli.checks.check import Check
from edge_daemon.cli.checks.machine import check_clock, check_power
from edge_daemon.cli.checks.network import check_network
from edge_daemon.cli.main import main
from edge_daemon.config.schema import Config
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.panel.pin_factory import gpio_fault
from edge_daemon.system.testing import ManualClock
from tests.board.layout import (
    FIRMWARE,
    lay_link,
    lay_loopback,
    lay_model,
    lay_route,
    lay_throttled,
    write,
)
from tests.harness import fake_picamera2
from tests.harness.mosquitto import Mosquitto, free_port

ALL = (
    "python",
    "camera",
    "gpio",
    "groups",
    "network",
    "broker",
    "fleet",
    "model",
    "store",
    "disk",
    "mount",
    "writes",
    "memory",
    "clock",
    "power",
)
BUTTON = "buttons=[{label: cat, pin: 17}]"
AS_NOBODY = """
import contextlib, io, os, sys
from edge_daemon.cli.main import main
if os.geteuid() == 0:
    # Once before, so that all is imported: Python's own files may be closed to nobody.
    with contextlib.redirect_stdout(io.StringIO()):
        main(sys.argv[1:])
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


def run_check(capsys: pytest.CaptureFixture[str], only: str, *settings: str) -> tuple[int, Check]:
    """Return the doctor's exit status and the result of one check."""
    status = main(_words(only, settings))
    return status, _found(only, capsys.readouterr().out)


def run_check_as_nobody(only: str, *settings: str) -> tuple[int, Check]:
    """Return the same from a process of the user nobody."""
    command = [sys.executable, "-c", AS_NOBODY, *_words(only, settings)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, _found(only, done.stdout)


def _words(only: str, settings: tuple[str, ...]) -> list[str]:
    skips = [f"--skip={name}" for name in ALL if name != only]
    return ["doctor", "--json", *skips, *(f"--set={setting}" for setting in settings)]


def _found(name: str, printed: str) -> Check:
    lines = {line["check"]: line for line in map(json.loads, printed.splitlines())}
    assert set(lines) <= {"config", name}
    line = lines[name]
    return Check(line["check"], line["state"], line["detail"], line["hint"])


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A folder that another user can reach: pytest keeps its own to itself."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    return tmp_path


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


def test_a_device_without_faults_passes_and_exits_0(
    tmp_path: Path, broker: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (
        f"mqtt.port={broker.port}",
        "mqtt.host=127.0.0.1",
        f"store.path={tmp_path}/examples.sqlite",
        "camera.type=synthetic",
    )

    status = main(["doctor", "--json", *(f"--set={setting}" for setting in settings)])

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    states = {line["check"]: line["state"] for line in lines}
    of_this_machine = {name: states.pop(name) for name in ("clock", "mount", "writes", "memory")}
    assert states == {name: "ok" for name in ("config", *ALL) if name not in of_this_machine}
    assert status == int("failed" in of_this_machine.values())


def test_a_failure_shows_its_hint_to_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    skips = [f"--skip={name}" for name in ALL if name != "camera"]

    status = main(["doctor", *skips, "--set=camera.type=v4l2", "--set=camera.device=/dev/none"])

    failure, hint = capsys.readouterr().out.splitlines()[-2:]
    assert status == 1
    assert failure.startswith("FAIL  camera  no camera at /dev/none")
    assert hint.startswith("      -> is the cable in?")


def test_a_wrong_configuration_is_a_failure_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mqtt: {prot: 1}\n")

    status = main(["doctor", "--json", "--config", str(path)])

    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (status, line["check"], line["state"]) == (1, "config", "failed")
    assert "did you mean 'port'?" in line["detail"]
    assert line["hint"]


@pytest.mark.parametrize(
    ("code", "words", "way_out"),
    [
        (
            "raise ImportError('numpy.core.multiarray failed to import')",
            "numpy.core.multiarray",
            "scripts/install",
        ),
        ("raise ValueError('numpy.dtype size changed')", "size changed", "scripts/install"),
        ("import libcamera_that_is_not_there", "libcamera_that", "apt install python3-picamera2"),
    ],
)
def test_a_camera_library_that_can_not_be_imported_is_named_before_the_camera_is_tried(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: str,
    words: str,
    way_out: str,
) -> None:
    (tmp_path / "picamera2.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("picamera2", "picamera2.allocators"):
        monkeypatch.delitem(sys.modules, module, raising=False)

    status, check = run_check(capsys, "python", "camera.type=picamera2")

    assert (status, check.state) == (1, "failed")
    assert words in check.detail
    assert way_out in check.detail
    assert "\n" not in check.detail


def test_imported_libraries_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_picamera2.install(monkeypatch)

    status, check = run_check(capsys, "python", "camera.type=picamera2")

    assert (status, check.state) == (0, "ok")
    assert f"numpy {np.__version__} of " in check.detail
    assert sys.prefix in check.detail


def test_a_busy_camera_names_its_likely_holder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_picamera2.install(monkeypatch).held_by_another = True

    status, check = run_check(capsys, "camera", "camera.type=picamera2")

    assert (status, check.state) == (1, "failed")
    assert "another program may hold it" in check.detail
    assert "systemctl stop edge-daemon" in check.hint


def test_a_black_picture_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "black.png"
    Image.new("RGB", (64, 48)).save(picture)

    status, check = run_check(capsys, "camera", "camera.type=replay", f"camera.path={picture}")

    assert (status, check.state) == (0, "warning")
    assert "lens cap" in check.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_missing_group_is_a_failure_with_the_command() -> None:
    status, check = run_check_as_nobody("groups", "camera.type=v4l2", BUTTON)

    assert (status, check.state) == (1, "failed")
    assert check.detail == "not in gpio, video"
    assert check.hint.startswith("sudo usermod -aG gpio,video nobody")


def test_root_gets_a_warning_that_the_service_is_not_root(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    status, check = run_check(capsys, "groups", "camera.type=v4l2")

    assert (status, check.state) == (0, "warning")
    assert "sudo -u edge-daemon" in check.hint


def test_a_missing_chip_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks_gpio, "gpio_fault", lambda _: gpio_fault(tmp_path))

    status, check = run_check(capsys, "gpio", BUTTON)

    assert (status, check.state) == (1, "failed")
    assert "no GPIO chip" in check.detail
    assert "GPIOZERO_PIN_FACTORY=mock" in check.hint


def test_lgpio_without_a_folder_to_write_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks_gpio, "gpio_fault", lambda _: None)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "missing"))

    status, check = run_check(capsys, "gpio", BUTTON)

    assert (status, check.state) == (1, "failed")
    assert str(tmp_path / "missing") in check.detail
    assert "RUNTIME_DIRECTORY" in check.hint


def test_a_broker_that_is_down_is_named_with_a_command_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()

    status, check = run_check(capsys, "broker", "mqtt.host=127.0.0.1", f"mqtt.port={port}")

    assert (status, check.state) == (1, "failed")
    assert f"127.0.0.1:{port}" in check.detail
    assert f"mosquitto_sub -h 127.0.0.1 -p {port} " in check.hint


def test_a_password_that_only_the_service_can_read_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    status, check = run_check(capsys, "broker", "mqtt.credential=edge_mqtt-password")

    assert (status, check.state) == (0, "warning")
    assert "'edge_mqtt-password'" in check.detail
    assert "systemd-run" in check.hint


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


@pytest.mark.parametrize("content", [None, b"", b"no model at all", b"\x1c\0\0\0TFL3" + bytes(4000)])
def test_a_missing_or_corrupt_model_is_named(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.tflite"
    if content is not None:
        path.write_bytes(content)

    status, check = run_check(capsys, "model", f"model.name={path}")

    assert (status, check.state) == (1, "failed")
    assert str(path) in check.detail
    assert "edge-daemon models list" in check.hint


def test_a_store_that_is_not_there_yet_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state/examples.sqlite"

    status, check = run_check(capsys, "store", f"store.path={path}")

    assert (status, check.state, check.detail) == (0, "ok", f"{path}: nothing taught yet")
    assert list(tmp_path.iterdir()) == []


def test_a_corrupt_store_is_named_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "examples.sqlite"
    path.write_bytes(b"damage" * 500)

    status, check = run_check(capsys, "store", f"store.path={path}")

    assert (status, check.state) == (1, "failed")
    assert "corrupt" in check.detail
    assert list(tmp_path.iterdir()) == [path]


def test_an_example_that_is_left_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path) as store:
        store.add(np.ones(8, np.float32), "cat")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE examples SET created_at = 'x'")
        connection.commit()

    status, check = run_check(capsys, "store", f"store.path={path}")

    assert (status, check.state) == (0, "warning")
    assert "example 1 ('cat'): its created_at is not a time" in check.detail


@pytest.mark.parametrize("there", [True, False])
def test_a_store_that_may_not_be_written_is_named(there: bool, open_path: Path) -> None:
    path = open_path / "examples.sqlite"
    if there:
        ExampleStore(path).close()
        path.chmod(0o444)
    open_path.chmod(0o555)

    status, check = run_check_as_nobody("store", f"store.path={path}")
    open_path.chmod(0o755)

    assert (status, check.state) == (1, "failed")
    assert str(open_path) in check.detail
    assert check.hint


def test_a_disk_nearly_full_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks_storage, "MIN_FREE_MB", 10**12)

    status, check = run_check(capsys, "disk", f"store.path={tmp_path}/missing/examples.sqlite")

    assert (status, check.state) == (1, "failed")
    assert str(tmp_path) in check.detail
    assert "delete files" in check.hint


def test_the_disk_behind_a_closed_folder_is_still_measured(open_path: Path) -> None:
    closed = open_path / "closed"
    closed.mkdir(mode=0o700)

    _, check = run_check_as_nobody("disk", f"store.path={closed}/state/examples.sqlite")

    assert "MB free" in check.detail


def test_a_clock_that_was_never_set_is_a_failure() -> None:
    unset = ManualClock(start_at=datetime(1970, 1, 1, 0, 20, tzinfo=UTC))

    check = check_clock(Config(), unset)

    assert check.state == "failed"
    assert "timedatectl" in check.hint


def test_a_clock_without_network_time_is_a_warning_and_with_it_is_fine(tmp_path: Path) -> None:
    clock = ManualClock(start_at=datetime(2030, 1, 1, tzinfo=UTC))
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    config = convert({"mqtt": {"tls": {"enabled": True}}}, Config)

    check = check_clock(config, clock, tmp_path)

    assert (check.state, "TLS" in check.hint) == ("warning", True)
    assert "TLS" not in check_clock(Config(), clock, tmp_path).hint
    write(tmp_path, "run/systemd/timesync/synchronized", "")
    assert check_clock(config, clock, tmp_path).state == "ok"


@pytest.mark.parametrize(("model", "device"), FIRMWARE.items())
def test_a_weak_supply_is_a_failure_on_every_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, device: str
) -> None:
    monkeypatch.setenv("PATH", "")
    lay_model(tmp_path, model)
    lay_throttled(tmp_path, device, "50001\n")

    check = check_power(Config(), tmp_path)

    assert (check.state, check.detail) == ("failed", "under-voltage")
    assert "supply" in check.hint


def test_heat_and_a_weak_supply_have_different_hints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    lay_throttled(tmp_path, "soc/soc:firmware", "80000\n")

    check = check_power(Config(), tmp_path)

    assert (check.state, "heat sink" in check.hint) == ("warning", True)


def test_where_the_kernel_has_no_flags_the_firmware_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_model(tmp_path, "Raspberry Pi 5 Model B Rev 1.0")
    program = write(tmp_path, "bin/vcgencmd", "#!/bin/sh\necho throttled=0x50000\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    check = check_power(Config(), tmp_path)

    assert (check.state, "throttled" in check.detail) == ("warning", True)
    program.write_text("#!/bin/sh\necho 'VCHI initialization failed' >&2; exit 1\n")
    assert check_power(Config(), tmp_path).state == "ok"


def test_a_machine_without_such_flags_passes(tmp_path: Path) -> None:
    check = check_power(Config(), tmp_path)

    assert (check.state, check.detail) == ("ok", "this machine doesn't report under-voltage or throttling")


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


@pytest.mark.parametrize("seconds", ["0", "-1", "601", "soon"])
def test_a_time_to_watch_that_can_not_be_is_a_usage_error(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", f"--buttons={seconds}"])
    assert ended.value.code == 2
    assert "--buttons" in capsys.readouterr().err
