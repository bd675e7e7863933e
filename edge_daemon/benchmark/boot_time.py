"""Timeline of a boot up to the first label, from systemd's timestamps and the service's own marks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.board.clock import boot_id
from edge_daemon.board.digits import read_digits
from edge_daemon.domain.errors import EdgeError

UNIT = "edge-daemon.service"
MARKS = "run/edge_daemon/boot.json"
_MANAGER = {"UserspaceTimestampMonotonic": "systemd started", "FinishTimestampMonotonic": "boot finished"}
_UNIT = {
    "InactiveExitTimestampMonotonic": "service started",
    "ActiveEnterTimestampMonotonic": "service ready",
}
_OWN = {
    "process": "process started",
    "loaded": "program loaded",
    "wired": "model and examples loaded",
    "first_label": "first label",
}

Show = Callable[[Sequence[str]], str]
"""Runs `systemctl show` with arguments and returns what it prints."""


@dataclass(frozen=True, slots=True)
class BootStep:
    """A point of the boot, in seconds after the kernel's start."""

    name: str
    at_s: float


def systemctl_show(arguments: Sequence[str]) -> str:
    """Return the output of `systemctl show`. Raises EdgeError if systemd does not run."""
    try:
        done = subprocess.run(["systemctl", "show", *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise EdgeError(f"can't ask systemd: {exc}; run this on the board, where the service runs") from exc
    if done.returncode:
        raise EdgeError(f"can't ask systemd: {' '.join(done.stderr.split())} Run this on the board")
    return done.stdout


def read_boot(root: Path = Path("/"), show: Show = systemctl_show) -> list[BootStep]:
    """Return the steps of this boot in chronological order.

    Raises EdgeError if the service has produced no label in this boot, or was restarted since.
    """
    manager = _properties(show(_property_options(_MANAGER)))
    unit = _properties(show([UNIT, *_property_options(_UNIT)]))
    marks = _read_marks(root)
    steps = [BootStep("kernel started", 0.0), *_steps(_MANAGER, manager), *_steps(_UNIT, unit)]
    steps += [BootStep(text, marks[key]) for key, text in _OWN.items() if key in marks]
    finish_s = manager.get("FinishTimestampMonotonic", 0.0)
    if finish_s and unit.get("InactiveExitTimestampMonotonic", 0.0) > finish_s:
        raise EdgeError("the service was started again after the boot; restart the board to measure")
    return sorted(steps, key=lambda step: step.at_s)


def _property_options(names: dict[str, str]) -> list[str]:
    return [f"--property={name}" for name in names]


def _properties(output: str) -> dict[str, float]:
    """Return systemd's timestamps in seconds, without those that are 0, which are not reached yet."""
    found = {}
    for line in output.splitlines():
        name, _, value = line.partition("=")
        if microseconds := read_digits(value):
            found[name] = microseconds / 1e6
    return found


def _steps(names: dict[str, str], values: dict[str, float]) -> Iterator[BootStep]:
    return (BootStep(text, values[name]) for name, text in names.items() if name in values)


def _read_marks(root: Path) -> dict[str, float]:
    path = root / MARKS
    try:
        content = json.loads(path.read_text())
        marks = {str(name): float(at_s) for name, at_s in content["marks"].items()}
        same = content["boot_id"] == boot_id(root)
    except OSError as exc:
        raise EdgeError(
            f"{path}: {exc.strerror}; the service writes it with its first label: `systemctl status {UNIT}`"
        ) from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise EdgeError(f"{path}: no marks of a boot; restart the service") from exc
    if not same or "first_label" not in marks:
        raise EdgeError(f"{path} is of another boot; restart the board to measure")
    return marks


def table(steps: Sequence[BootStep]) -> str:
    """Return the steps as lines of text, without the time before the kernel's start."""
    previous = [0.0, *(step.at_s for step in steps)]
    lines = [
        f"{step.at_s:8.2f} s  +{step.at_s - earlier:6.2f} s  {step.name}"
        for step, earlier in zip(steps, previous, strict=False)
    ]
    return "\n".join([*lines, "The board's firmware runs before the kernel: add its time with a stopwatch."])
