"""`scripts/device-box test`: install the product in the machine, check it, start it anew, check again."""

from __future__ import annotations

import shutil
from pathlib import Path

from scripts.device_box.junit import all_passed
from scripts.device_box.machine import Machine

RESULTS = Path("artefacts/device-box")
PARTS = ("first_boot", "second_boot")
LONGEST_S = 3600.0


def run(image: Path, work: Path, words: list[str]) -> int:
    """Run the parts in order; 0 only when every file of results is there and tells of no failure."""
    shutil.rmtree(RESULTS, ignore_errors=True)
    machine = Machine(image, work, RESULTS.absolute())
    (RESULTS / "arguments").write_text("".join(f"{word}\n" for word in words))
    passed = []
    for part in PARTS:
        took_s = machine.run(f"box.job=checks/{part}", LONGEST_S)
        print(f"{part}: {took_s:.0f} s", flush=True)
        passed.append(all_passed(RESULTS / f"{part}.xml"))
    figures = RESULTS / "figures.md"
    if figures.exists():
        print(figures.read_text(), end="")
    return 0 if all(passed) else 1
