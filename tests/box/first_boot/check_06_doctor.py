"""`edge-daemon doctor` names each fault while it is there, and what to do about it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.box.scene import Scene
from tests.box.service import CONFIG, Service
from tests.box.wait_until import told


def _doctor(groups: str = "video,gpio", **environment: str) -> dict[str, dict[str, str]]:
    """Return its checks by name, run as the service's user."""
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
    service.await_seeing()


def check_all_is_well() -> None:
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
    service.await_seeing()
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
    told("systemctl", "stop", "mosquitto")
    try:
        broker = _doctor()["broker"]
    finally:
        told("systemctl", "start", "mosquitto")
    assert broker["state"] == "failed"
    assert "mosquitto_sub" in broker["hint"]


def check_wrong_time() -> None:
    now = told("date", "+%s")
    told("date", "--set", "2021-02-03")
    try:
        clock = _doctor()["clock"]
    finally:
        told("date", "--set", f"@{now}")
    assert clock["state"] == "failed"
    assert "timedatectl" in clock["hint"]


def check_a_working_directory_for_lgpio_that_is_not_there_does_no_harm() -> None:
    states = {name: check["state"] for name, check in _doctor(LG_WD="/nowhere").items()}
    assert states.pop("clock") == "warning"  # there is no network time in the machine
    assert set(states.values()) == {"ok"}, states
