"""`edge-daemon keys` holds a key of a virtual keyboard down while its label is current."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.box.command import run
from tests.box.scene import BARS, RED, Scene
from tests.box.service import CONFIG, Service
from tests.box.wait_until import wait_until

KEYS = {"bars": "KEY_LEFT", "red": "KEY_RIGHT"}

# Longer than the time of one frame in this machine.
DEAD_MAN_S = 10


@pytest.fixture
def held() -> Iterator[Any]:
    """Return a function that reads the held keys from the kernel. The program removes the keyboard."""
    run("modprobe", "uinput")
    words = ["/usr/local/bin/edge-daemon", "keys", "--config", str(CONFIG)]
    words += ["--dead-man", str(DEAD_MAN_S), *(f"--key={label}={key}" for label, key in KEYS.items())]
    with subprocess.Popen(words) as process:
        try:
            (keyboard,) = wait_until(_keyboards, "a virtual keyboard")
            yield lambda: [name for name, _ in keyboard.active_keys(verbose=True)]
        finally:
            process.terminate()
    assert (process.returncode, _keyboards()) == (0, [])


def _keyboards() -> list[Any]:
    evdev: Any = import_module("evdev")
    devices = [evdev.InputDevice(path) for path in evdev.list_devices()]
    return [device for device in devices if device.name == "edge_daemon keys"]


def check_label_holds_its_key_down(held: Any, service: Service, scene: Scene) -> None:
    service.wait_until_seeing()
    for pattern, label in ((BARS, "bars"), (RED, "red"), (BARS, "bars")):
        scene.show(pattern)
        wait_until(lambda: held() == [KEYS[label]], f"only the key of {label} is down")  # noqa: B023
    service.control("stop")
    try:
        wait_until(lambda: held() == [], "no key is down without the device", timeout_s=DEAD_MAN_S)
    finally:
        service.control("start")
        service.wait_until_seeing()
