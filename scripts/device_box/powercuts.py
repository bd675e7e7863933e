"""`scripts/device-box powercuts`: cut the power while the machine is taught, and see what it lost."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from scripts.device_box.installed import installed
from scripts.device_box.machine import Machine, MachineError

RESULTS = Path("artefacts/power-cuts")
BOOT_S = 600.0
TEACHING_S = 12.0
"""The cut comes within so long after this start's first acknowledged example."""


def run(image: Path, work: Path, words: list[str]) -> int:
    """Install, then cut N times; 0 when every start after a cut was well."""
    cuts = int(words[0]) if words else 50
    machine = installed(image, work, RESULTS)
    moments = random.Random()
    for cut in range(1, cuts + 1):
        _teach_until_cut(machine, cut, moments.uniform(0, TEACHING_S))
        print(
            f"cut {cut}: before it {_lines('boots')[-1]}; {len(_lines('acknowledged'))} acknowledged",
            flush=True,
        )
    _await_boot(machine, cuts + 1)
    return _sum_up(cuts)


def _teach_until_cut(machine: Machine, boot: int, after_s: float) -> None:
    with machine.running("box.job=teach"):
        _await_line("boots", boot)
        _await_line("acknowledged", len(_lines("acknowledged")) + 1)
        time.sleep(after_s)


def _await_boot(machine: Machine, boot: int) -> None:
    """Start once more, to see what the last cut did."""
    with machine.running("box.job=teach"):
        _await_line("boots", boot)


def _await_line(name: str, count: int) -> None:
    until_s = time.monotonic() + BOOT_S
    while len(_lines(name)) < count:
        if time.monotonic() > until_s:
            raise MachineError(f"not {count} lines in '{name}' within {BOOT_S:.0f} s; see {RESULTS}")
        time.sleep(0.1)


def _lines(name: str) -> list[str]:
    path = RESULTS / name
    return path.read_text().splitlines() if path.exists() else []


def _sum_up(cuts: int) -> int:
    bad = [line for line in _lines("boots") if line != "well"]
    for line in bad:
        print(f"error: {line}", file=sys.stderr)
    kept = len(_lines("acknowledged"))
    print(f"{cuts} power cuts, {kept} acknowledged examples, {len(bad)} starts with a fault")
    return 1 if bad else 0
