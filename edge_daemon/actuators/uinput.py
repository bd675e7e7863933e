"""Keys of a keyboard that is not there, through Linux's uinput."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from edge_daemon.domain.errors import PanelError


class VirtualKeyboard:
    """Presses the keys named, such as KEY_LEFT; a context manager. Raises PanelError.

    The kernel releases what is held when the process ends, however it ends.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        try:
            evdev: Any = import_module("evdev")
        except ImportError as exc:
            raise PanelError("keys need python-evdev; pip install evdev") from exc
        names = list(keys)
        self._codes: Any = evdev.ecodes
        if unknown := [key for key in names if key not in self._codes.ecodes]:
            raise PanelError(f"there is no key {', '.join(unknown)}; names are such as KEY_LEFT or KEY_SPACE")
        capabilities = {self._codes.EV_KEY: [self._codes.ecodes[key] for key in names]}
        try:
            self._device: Any = evdev.UInput(capabilities, name="edge_daemon arcade")
        except (OSError, evdev.UInputError) as exc:
            raise PanelError(f"/dev/uinput can't be used: {exc}; try `sudo modprobe uinput`") from exc

    def __enter__(self) -> VirtualKeyboard:
        return self

    def __exit__(self, *_: object) -> None:
        self._device.close()

    def switch(self, key: str, down: bool) -> None:
        """Press or release a key."""
        self._device.write(self._codes.EV_KEY, self._codes.ecodes[key], int(down))
        self._device.syn()
