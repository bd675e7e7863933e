"""`scripts/device-box test`: install the service in the machine, check it, reboot, check again."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from scripts.device_box import last_pass
from scripts.device_box.junit import all_passed
from scripts.device_box.machine import Machine, MachineError

RESULTS = Path("artefacts/device-box")
PARTS = ("first_boot", "second_boot")
PACKAGE_PART = "package"
PART_TIMEOUT_S = 3600.0


def run(image: Path, work: Path, words: list[str]) -> int:
    """Run the parts in order; 0 if every results file exists and has no failure."""
    parser = argparse.ArgumentParser(prog="scripts/device-box test", allow_abbrev=False)
    parser.add_argument("--deb", type=Path, help="a Debian package to install in a third part")
    options, pytest_args = parser.parse_known_args(words)
    parts = PARTS if options.deb is None else (*PARTS, PACKAGE_PART)
    if options.deb and not options.deb.is_file():
        raise MachineError(f"--deb {options.deb}: no such file; scripts/build-deb makes one")
    shutil.rmtree(RESULTS, ignore_errors=True)
    machine = Machine(image, work, RESULTS.absolute())
    (RESULTS / "arguments").write_text("".join(f"{word}\n" for word in pytest_args))
    if options.deb:
        shutil.copy(options.deb, RESULTS / "edge-daemon.deb")
    if not _all_pass(machine, parts):
        return 1
    if not pytest_args:
        last_pass.record_pass()
    return 0


def _all_pass(machine: Machine, parts: tuple[str, ...]) -> bool:
    passed = []
    for part in parts:
        took_s = machine.run(f"box.job=checks/{part}", PART_TIMEOUT_S)
        print(f"{part}: {took_s:.0f} s", flush=True)
        passed.append(all_passed(RESULTS / f"{part}.xml"))
    figures = RESULTS / "figures.md"
    if figures.exists():
        print(figures.read_text(), end="")
    return all(passed)
