"""`edge-daemon keys`: the label of what the camera sees holds a key down, for every program."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.box.scene import BARS, RED, Scene
from tests.box.service import CONFIG, Service
from tests.box.wait_until import eventually, told

KEYS = {"bars": "KEY_LEFT", "red": "KEY_RIGHT"}

# Above what a frame takes here.
DEAD_MAN_S = 10


@pytest.fixture
def held() -> Iterator[Any]:
    """Ask the kernel which keys of the virtual keyboard are down. It is removed when the program ends."""
    told("modprobe", "uinput")
    words = ["/usr/local/bin/edge-daemon", "keys", "--config", str(CONFIG)]
    words += ["--dead-man", str(DEAD_MAN_S), *(f"--key={label}={key}" for label, key in KEYS.items())]
    with subprocess.Popen(words) as process:
        try:
            (keyboard,) = eventually(_keyboards, "a virtual keyboard")
            yield lambda: [name for name, _ in keyboard.active_keys(verbose=True)]
        finally:
            process.terminate()
    assert (process.returncode, _keyboards()) == (0, [])


def _keyboards() -> list[Any]:
    evdev: Any = import_module("evdev")
    devices = [evdev.InputDevice(path) for path in evdev.list_devices()]
    return [device for device in devices if device.name == "edge_daemon keys"]


def check_the_label_holds_its_key_down(held: Any, service: Service, scene: Scene) -> None:
    service.await_seeing()
    for pattern, label in ((BARS, "bars"), (RED, "red"), (BARS, "bars")):
        scene.show(pattern)
        eventually(lambda: held() == [KEYS[label]], f"only the key of {label} is down")  # noqa: B023
    service.control("stop")
    try:
        eventually(lambda: held() == [], "no key is down without the device", within_s=DEAD_MAN_S)
    finally:
        service.control("start")
        service.await_seeing()
