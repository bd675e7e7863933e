"""A module that stands in for python-evdev, whose keyboards need /dev/uinput."""

from __future__ import annotations

from pathlib import Path

_CODE = """
class UInputError(Exception):
    pass
class ecodes:
    EV_KEY = 1
    ecodes = {"EV_KEY": 1, "REL_X": 0, "KEY_LEFT": 105, "KEY_RIGHT": 106, "KEY_DOWN": 108}
class UInput:
    def __init__(self, capabilities, name):
        assert capabilities[1] and name
    def write(self, kind, code, value):
        assert (kind, value in (0, 1)) == (1, True)
    def syn(self):
        pass
    def close(self):
        pass
"""


def evdev_stand_in(folder: Path) -> dict[str, str]:
    """Write the module into a new folder; return the environment of a process that finds it."""
    folder.mkdir()
    (folder / "evdev.py").write_text(_CODE)
    return {"PYTHONPATH": str(folder)}
