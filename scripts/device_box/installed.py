"""A machine with the service installed and configured."""

from __future__ import annotations

import shutil
from pathlib import Path

from scripts.device_box.junit import all_passed
from scripts.device_box.machine import Machine, MachineError

INSTALL_TIMEOUT_S = 1200.0


def installed(image: Path, work: Path, results: Path) -> Machine:
    """Return such a machine with an empty results folder. Raises MachineError if the installation fails."""
    shutil.rmtree(results, ignore_errors=True)
    machine = Machine(image, work, results.absolute())
    (results / "arguments").write_text("-k\ncheck_01_install\n")
    machine.run("box.job=checks/first_boot", INSTALL_TIMEOUT_S)
    if not all_passed(results / "first_boot.xml"):
        raise MachineError(f"the installation failed; see {results}/first_boot.txt")
    return machine
