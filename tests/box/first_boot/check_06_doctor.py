"""`edge-daemon doctor` reports each fault with a hint while the fault lasts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.box.command import run
from tests.box.scene import Scene
from tests.box.service import CONFIG, Service


def _doctor(groups: str = "video,gpio", **environment: str) -> dict[str, dict[str, str]]:
    """Run the doctor as the service's user; return its checks by name."""
    words = ["setpriv", "--reuid=edge-daemon", "--regid=edge-daemon", f"--groups={groups}"]
    words += ["env", *(f"{name}={value}" for name, value in environment.items())]
    command = [*words, "edge-daemon", "doctor", "--json", "--config", str(CONFIG)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/tmp")
    checks = {check["check"]: check for check in map(json.loads, done.stdout.splitlines())}
    assert checks, done.stderr
    assert done.returncode == any(check["state"] == "failed" for check in checks.values())
    return checks


@pytest.fixture(scope="module", autouse=True)
def _stopped() -> Iterator[None]:
    service = Service()
    service.control("stop")
    yield
    service.control("start")
    service.wait_until_seeing()


def check_no_fault() -> None:
    checks = _doctor()
    states = {name: check["state"] for name, check in checks.items()}
    assert states.pop("clock") == "warning", checks["clock"]  # there is no network time in the machine
    assert set(states.values()) == {"ok"}, states
    assert checks["gpio"]["detail"].startswith("pinctrl-bcm2711 (/dev/gpiochip"), checks["gpio"]


def check_not_in_group_gpio() -> None:
    checks = _doctor(groups="video")
    assert checks["gpio"]["state"] == checks["groups"]["state"] == "failed"
    assert "usermod -aG gpio" in checks["gpio"]["hint"]
    assert "usermod -aG gpio" in checks["groups"]["hint"]


def check_camera_busy(service: Service) -> None:
    service.control("start")
    service.wait_until_seeing()
    try:
        camera = _doctor()["camera"]
    finally:
        service.control("stop")
    assert camera["state"] == "failed"
    assert "systemctl stop edge-daemon" in camera["hint"]


def check_camera_missing(scene: Scene) -> None:
    with scene.unplugged():
        camera = _doctor()["camera"]
    assert camera["state"] == "failed"
    assert "cable" in camera["hint"]


def check_broker_down() -> None:
    run("systemctl", "stop", "mosquitto")
    try:
        broker = _doctor()["broker"]
    finally:
        run("systemctl", "start", "mosquitto")
    assert broker["state"] == "failed"
    assert "mosquitto_sub" in broker["hint"]


def check_wrong_time() -> None:
    now = run("date", "+%s")
    run("date", "--set", "2021-02-03")
    try:
        clock = _doctor()["clock"]
    finally:
        run("date", "--set", f"@{now}")
    assert clock["state"] == "failed"
    assert "timedatectl" in clock["hint"]


def check_missing_working_directory_of_lgpio_has_no_effect() -> None:
    states = {name: check["state"] for name, check in _doctor(LG_WD="/nowhere").items()}
    assert states.pop("clock") == "warning"  # there is no network time in the machine
    assert set(states.values()) == {"ok"}, states
