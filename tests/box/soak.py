"""Many frames, and what they cost: `python -m tests.box.soak`. The count stands in /results/frames."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from tests.box.service import Service
from tests.box.subscriber import AT_THE_BROKER, BASE, BROKER

RESULTS = Path("/results")
EVERY = 100


def main() -> None:
    """Write a line of figures about every hundred frames, until enough were seen or the camera was lost."""
    enough = int(RESULTS.joinpath("frames").read_text())
    service = Service()
    service.await_seeing()
    started, first, due = time.monotonic(), None, 0
    command = [*AT_THE_BROKER, "mosquitto_sub", "-h", BROKER, "-t", f"{BASE}/result"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as results:
        assert results.stdout is not None
        for text in results.stdout:
            number = json.loads(text)["seq"]
            first = number if first is None else first
            frames = number - first
            # A frame that came while another was classified has no result.
            if frames >= min(due, enough):
                _note(service.pid, frames, time.monotonic() - started)
                due = frames + EVERY
            if frames >= enough:
                break
        results.terminate()


def _note(pid: int, frames: int, took_s: float) -> None:
    handles = os.listdir(f"/proc/{pid}/fd")
    maps = Path(f"/proc/{pid}/maps").read_text().count("dmabuf")
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kilobytes = int(status["VmRSS"].split()[0])
    line = {
        "frames": frames,
        "s": round(took_s),
        "rss_kb": kilobytes,
        "handles": len(handles),
        "buffers": maps,
    }
    with RESULTS.joinpath("soak.jsonl").open("a") as out:
        out.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
