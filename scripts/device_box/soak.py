"""`scripts/device-box soak`: many frames from the camera, and whether the service grows with them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from scripts.device_box.installed import installed

RESULTS = Path("artefacts/soak")
SECONDS_A_FRAME = 4.0
MOST_GROWTH_KB = 8_000
"""Of the resident memory from the second line of figures to the last; the first is still warming up."""


def run(image: Path, work: Path, words: list[str]) -> int:
    """Let the camera deliver N frames; 0 when neither memory nor open files grew."""
    frames = int(words[0]) if words else 2000
    machine = installed(image, work, RESULTS)
    (RESULTS / "frames").write_text(f"{frames}\n")
    machine.run("box.job=soak", 600 + frames * SECONDS_A_FRAME)
    path = RESULTS / "soak.jsonl"
    figures = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if len(figures) < 3 or figures[-1]["frames"] < frames:
        print(f"error: not {frames} frames; see {RESULTS}", file=sys.stderr)
        return 1
    print(f"after {figures[1]['frames']} frames: {figures[1]}\nat the end: {figures[-1]}")
    grown_kb = figures[-1]["rss_kb"] - figures[1]["rss_kb"]
    more_handles = figures[-1]["handles"] - figures[1]["handles"]
    return 0 if grown_kb <= MOST_GROWTH_KB and more_handles <= 0 else 1
