"""`scripts/device-box soak`: growth of the service over many camera frames."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from scripts.device_box.installed import installed

RESULTS = Path("artefacts/soak")
FRAME_TIMEOUT_S = 4.0
MAX_GROWTH_KB = 8_000
"""Growth of the resident memory from the second to the last line of figures; the first is warm-up."""


def run(image: Path, work: Path, words: list[str]) -> int:
    """Run for N frames; 0 if neither memory nor open files nor mapped frame buffers grow."""
    frames = int(words[0]) if words else 2000
    machine = installed(image, work, RESULTS)
    (RESULTS / "frames").write_text(f"{frames}\n")
    machine.run("box.job=soak", 600 + frames * FRAME_TIMEOUT_S)
    path = RESULTS / "soak.jsonl"
    figures = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if len(figures) < 3 or figures[-1]["frames"] < frames:
        print(f"error: not {frames} frames; see {RESULTS}", file=sys.stderr)
        return 1
    print(f"after {figures[1]['frames']} frames: {figures[1]}\nat the end: {figures[-1]}")
    growth = {name: figures[-1][name] - figures[1][name] for name in ("rss_kb", "handles", "buffers")}
    print(f"growth: {growth}")
    return 0 if growth["rss_kb"] <= MAX_GROWTH_KB and growth["handles"] <= 0 and growth["buffers"] <= 0 else 1
