"""Labels as key presses: the current label of a device holds a key of a virtual keyboard down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from edge_daemon.actuators.device_regions import DeviceRegions
from edge_daemon.domain.errors import PanelError
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.topics import Topics


class KeyHold:
    """Holds the key of the current label down while the device sends results.

    The key is released when no result came for `dead_man_s`, for any reason. A retained label
    without results presses nothing.
    """

    def __init__(self, keys: Mapping[str, str], dead_man_s: float = 1.5) -> None:
        self._keys = dict(keys)
        self._dead_man_s = dead_man_s
        self._label = ""
        self._result_s: float | None = None

    def set_label(self, label: str) -> None:
        """Set the stable label; empty when there is none."""
        self._label = label

    def record_result(self, now: float) -> None:
        """Note that a result came at `now` (monotonic)."""
        self._result_s = now

    def active(self, now: float) -> frozenset[str]:
        """Return the keys that are down at `now` (monotonic): one, or none."""
        alive = self._result_s is not None and now - self._result_s <= self._dead_man_s
        key = self._keys.get(self._label)
        return frozenset([key]) if alive and key is not None else frozenset()

    def next_change(self, now: float) -> float | None:
        """Return when the key is released if no further result comes; None when no key is down."""
        if self._result_s is None or not self.active(now):
            return None
        return self._result_s + self._dead_man_s

    def all_off(self) -> None:
        """Release the key until the next result."""
        self._result_s = None


class LabelReader:
    """Sets the key of the label of `region`; results of that region keep it down.

    None means the device's first region.
    """

    def __init__(self, topics: Topics, key_hold: KeyHold, region: str | None) -> None:
        self.schedule = key_hold
        self._topics = topics
        self._regions = DeviceRegions(topics, region)
        self._labels: dict[str, str] = {}

    def forget(self) -> None:
        """Forget the labels; a new subscription gets them again, unless they were cleared meanwhile."""
        self._labels.clear()
        self.schedule.set_label("")

    def read(self, message: Incoming, now: float) -> None:
        """Apply one message. A retained result is old and keeps no key down."""
        self._regions.read(message)
        region = self._regions.followed
        if message.topic.endswith("/label"):
            self._labels[message.topic] = message.payload.decode("utf-8", "replace")
        elif message.topic == self._topics.result(region) and not message.retained:
            self.schedule.record_result(now)
        self.schedule.set_label(self._labels.get(self._topics.label(region), ""))


class VirtualKeyboard:
    """A keyboard of Linux's uinput with the named keys, such as KEY_LEFT; a context manager.

    The kernel releases every key when the process ends, however it ends. Raises PanelError.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        try:
            evdev: Any = import_module("evdev")
        except ImportError as exc:
            from edge_daemon.system.pip_hint import pip_install

            raise PanelError(
                "keys need the Python module evdev; run `sudo apt install python3-evdev`, "
                f"or {pip_install('arcade')}"
            ) from exc
        self._ecodes: Any = evdev.ecodes
        self._codes = {key: self._code(key) for key in keys}
        try:
            self._device: Any = evdev.UInput(
                {self._ecodes.EV_KEY: sorted(set(self._codes.values()))}, name="edge_daemon keys"
            )
        except (OSError, evdev.UInputError) as exc:
            raise PanelError(
                f"/dev/uinput can't be used: {exc}; run `sudo modprobe uinput`, and this command as root"
            ) from exc

    def _code(self, key: str) -> int:
        code = self._ecodes.ecodes.get(key)
        if not key.startswith(("KEY_", "BTN_")) or code is None:
            raise PanelError(f"there is no key '{key}'; names are such as KEY_LEFT, KEY_SPACE or BTN_LEFT")
        return int(code)

    def __enter__(self) -> VirtualKeyboard:
        return self

    def __exit__(self, *_: object) -> None:
        self._device.close()

    def switch(self, key: str, down: bool) -> None:
        """Press or release a key."""
        self._device.write(self._ecodes.EV_KEY, self._codes[key], int(down))
        self._device.syn()
