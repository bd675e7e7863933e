"""`scripts/device-box shell`: a terminal in the machine, until it is powered off."""

from __future__ import annotations

from pathlib import Path

from scripts.device_box.machine import Machine


def run(image: Path, work: Path, words: list[str]) -> int:
    """Start the machine; Ctrl-A X or `poweroff` ends it."""
    machine = Machine(image, work, work / "results")
    with machine.running("", interactive=True) as process:
        return process.wait()
