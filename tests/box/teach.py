"""Press buttons until the power is cut: `python -m tests.box.teach`.

The files in /results survive a power cut: `acknowledged` has the id of each published example, and `boots`
one line per start, with the faults that the last power cut caused.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import time
from pathlib import Path

from tests.box.command import run
from tests.box.lines import Lines
from tests.box.scene import BARS, RED, Scene
from tests.box.service import STATE, Service, stored_examples
from tests.box.subscriber import Subscriber, subscribed
from tests.box.wiring import BUTTON_BARS, BUTTON_RED

RESULTS = Path("/results")
PRESS_S, GAP_S = 0.1, 0.15
ROUND = 8
"""Presses of one button before the scene changes."""


def main() -> None:
    """Record the faults of this start, then press buttons without end."""
    RESULTS.joinpath("acknowledged").touch()
    lines, scene, service = Lines(), Scene(), Service()
    with subscribed() as subscriber:
        service.wait_until_seeing()
        _append("boots", _faults() or "well")
        seen = 0
        for button, pattern in itertools.cycle(((BUTTON_RED, RED), (BUTTON_BARS, BARS))):
            scene.show(pattern)
            for _ in range(ROUND):
                lines.press(button, PRESS_S)
                time.sleep(GAP_S)
                seen = _record_acknowledged(subscriber, seen)


def _faults() -> str:
    """Return the faults after a power cut in one line; empty if there are none."""
    faults = []
    with sqlite3.connect(f"file:{STATE / 'examples.sqlite'}?mode=ro", uri=True) as store:
        if (verdict := store.execute("pragma integrity_check").fetchone()[0]) != "ok":
            faults.append(f"the store is damaged: {verdict}")
    acknowledged = {int(word) for word in RESULTS.joinpath("acknowledged").read_text().split()}
    if lost := acknowledged - set(stored_examples()):
        faults.append(f"acknowledged and lost: {sorted(lost)}")
    if failed := run("systemctl", "--failed", "--no-legend", "--plain"):
        faults.append(f"failed units: {failed}")
    return "; ".join(faults)


def _record_acknowledged(subscriber: Subscriber, seen: int) -> int:
    """Record the examples published after the first `seen`; return their new total."""
    fresh = subscriber.events("example_added")[seen:]
    for event in fresh:
        _append("acknowledged", str(event["id"]))
    return seen + len(fresh)


def _append(name: str, line: str) -> None:
    """Append a line with one write, which has left the machine when it returns."""
    out = os.open(RESULTS / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(out, f"{line}\n".encode())
    finally:
        os.close(out)


if __name__ == "__main__":
    main()
