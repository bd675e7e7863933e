"""Teach until the power goes: `python -m tests.box.teach`. First it says how the machine came up.

What the outside must remember is appended to files in /results, which no power cut here can undo:
`acknowledged` has the id of each example that a subscriber was told of, `boots` a line for each start.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import time
from pathlib import Path

from tests.box.lines import Lines
from tests.box.scene import BARS, RED, Scene
from tests.box.service import STATE, Service, kept_examples
from tests.box.subscriber import Ear, listening
from tests.box.wait_until import told
from tests.box.wiring import BUTTON_BARS, BUTTON_RED

RESULTS = Path("/results")
PRESS_S, GAP_S = 0.1, 0.15
ROUND = 8
"""Presses of one button before the scene changes."""


def main() -> None:
    """Judge this start; when all is well, teach."""
    RESULTS.joinpath("acknowledged").touch()
    lines, scene, service = Lines(), Scene(), Service()
    with listening() as ear:
        service.await_seeing()
        _append("boots", _faults() or "well")
        seen = 0
        for button, pattern in itertools.cycle(((BUTTON_RED, RED), (BUTTON_BARS, BARS))):
            scene.show(pattern)
            for _ in range(ROUND):
                lines.press(button, PRESS_S)
                time.sleep(GAP_S)
                seen = _remember(ear, seen)


def _faults() -> str:
    """Return what a power cut has broken, in one line; empty when nothing."""
    faults = []
    with sqlite3.connect(f"file:{STATE / 'examples.sqlite'}?mode=ro", uri=True) as store:
        if (verdict := store.execute("pragma integrity_check").fetchone()[0]) != "ok":
            faults.append(f"the store is damaged: {verdict}")
    acknowledged = {int(word) for word in RESULTS.joinpath("acknowledged").read_text().split()}
    if lost := acknowledged - set(kept_examples()):
        faults.append(f"acknowledged and lost: {sorted(lost)}")
    if failed := told("systemctl", "--failed", "--no-legend", "--plain"):
        faults.append(f"failed units: {failed}")
    return "; ".join(faults)


def _remember(ear: Ear, seen: int) -> int:
    """Write down what was acknowledged since; return how many that makes."""
    fresh = ear.events("example_added")[seen:]
    for event in fresh:
        _append("acknowledged", str(event["id"]))
    return seen + len(fresh)


def _append(name: str, line: str) -> None:
    """Append in one write, which is outside the machine when it returns."""
    out = os.open(RESULTS / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(out, f"{line}\n".encode())
    finally:
        os.close(out)


if __name__ == "__main__":
    main()
