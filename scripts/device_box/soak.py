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
    """Let the camera deliver N frames; 0 when neither memory nor open files nor mapped frame buffers grew."""
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
    grown = {name: figures[-1][name] - figures[1][name] for name in ("rss_kb", "handles", "buffers")}
    print(f"grown by {grown}")
    return 0 if grown["rss_kb"] <= MOST_GROWTH_KB and grown["handles"] <= 0 and grown["buffers"] <= 0 else 1
