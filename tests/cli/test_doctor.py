"""The doctor: each fault provoked, named and hinted at; nothing is made, nothing harmed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_daemon.cli.checks import gpio as checks_gpio
from edge_daemon.cli.checks.all import CHECKS, run_checks
from edge_daemon.cli.checks.check import Check
from edge_daemon.cli.main import main
from edge_daemon.config.schema import load_config
from edge_daemon.panel.pin_factory import gpio_fault
from tests.harness import fake_picamera2
from tests.harness.doctor import ALL, BUTTON, run_check, run_check_as_nobody
from tests.harness.mosquitto import Mosquitto


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


def test_a_camera_without_its_library_refers_to_the_check_of_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    others = [name for name in CHECKS if name not in ("python", "camera")]
    library, camera = run_checks(load_config(overrides=["camera.type=picamera2"]), skip=others)
    assert (library.name, library.state) == ("python", "failed")
    assert camera == Check("camera", "failed", "not tried: see python")


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
    assert check.hint.startswith("`sudo usermod -aG gpio,video nobody`")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_leds_without_a_button_need_their_group() -> None:
    _, check = run_check_as_nobody("groups", "camera.type=synthetic", "panel.leds={ready: 26}")

    assert (check.state, check.detail) == ("failed", "not in gpio")


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


@pytest.mark.parametrize("seconds", ["0", "-1", "601", "soon"])
def test_a_time_to_watch_that_can_not_be_is_a_usage_error(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", f"--buttons={seconds}"])
    assert ended.value.code == 2
    assert f"--buttons: '{seconds}' is no time in seconds above 0 and at most 600" in capsys.readouterr().err


def test_a_check_that_does_not_exist_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--skip", "nonsense"])
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"no check 'nonsense'; there are {', '.join(ALL)}" in captured.err


def test_a_missing_camera_library_and_missing_pictures_have_their_own_hints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    _, missing = run_check(capsys, "camera", "camera.type=picamera2")
    assert missing.state == "failed"
    assert "picamera2" in missing.detail
    assert "camera.type: v4l2" in missing.hint
    assert "cable" not in missing.hint
    _, replay = run_check(capsys, "camera", "camera={type: replay, path: /nowhere}")
    assert replay.state == "failed"
    assert "see camera.path" in replay.hint
    assert "cable" not in replay.hint
