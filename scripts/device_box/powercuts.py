"""`scripts/device-box powercuts`: cut the power while examples are added, and check for losses."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from scripts.device_box.installed import installed
from scripts.device_box.machine import Machine, MachineError

RESULTS = Path("artefacts/power-cuts")
BOOT_TIMEOUT_S = 600.0
MAX_DELAY_S = 12.0
"""Longest time from the first acknowledged example of a start to the power cut."""


def run(image: Path, work: Path, words: list[str]) -> int:
    """Install, then cut the power N times; 0 if no start after a cut has a fault."""
    cuts = int(words[0]) if words else 50
    machine = installed(image, work, RESULTS)
    rng = random.Random()
    for cut in range(1, cuts + 1):
        _teach_until_cut(machine, cut, rng.uniform(0, MAX_DELAY_S))
        print(
            f"cut {cut}: before it {_lines('boots')[-1]}; {len(_lines('acknowledged'))} acknowledged",
            flush=True,
        )
    _boot_again(machine, cuts + 1)
    return _summarize(cuts)


def _teach_until_cut(machine: Machine, boot: int, after_s: float) -> None:
    with machine.running("box.job=teach"):
        _wait_for_line("boots", boot)
        _wait_for_line("acknowledged", len(_lines("acknowledged")) + 1)
        time.sleep(after_s)


def _boot_again(machine: Machine, boot: int) -> None:
    """Start once more to check for faults of the last cut."""
    with machine.running("box.job=teach"):
        _wait_for_line("boots", boot)


def _wait_for_line(name: str, count: int) -> None:
    deadline_s = time.monotonic() + BOOT_TIMEOUT_S
    while len(_lines(name)) < count:
        if time.monotonic() > deadline_s:
            raise MachineError(f"not {count} lines in '{name}' within {BOOT_TIMEOUT_S:.0f} s; see {RESULTS}")
        time.sleep(0.1)


def _lines(name: str) -> list[str]:
    path = RESULTS / name
    return path.read_text().splitlines() if path.exists() else []


def _summarize(cuts: int) -> int:
    faults = [line for line in _lines("boots") if line != "well"]
    for line in faults:
        print(f"error: {line}", file=sys.stderr)
    acknowledged = len(_lines("acknowledged"))
    print(f"{cuts} power cuts, {acknowledged} acknowledged examples, {len(faults)} starts with a fault")
    return 1 if faults else 0
