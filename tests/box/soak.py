"""Resource use over many frames: `python -m tests.box.soak`. /results/frames has their number."""

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
    """Write a line of figures every hundred frames until the number is reached or the camera is lost."""
    total = int(RESULTS.joinpath("frames").read_text())
    service = Service()
    service.wait_until_seeing()
    started, first, due = time.monotonic(), None, 0
    command = [*AT_THE_BROKER, "mosquitto_sub", "-h", BROKER, "-t", f"{BASE}/result"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as results:
        assert results.stdout is not None
        for text in results.stdout:
            number = json.loads(text)["seq"]
            first = number if first is None else first
            frames = number - first
            # A frame that arrives while another is classified has no result.
            if frames >= min(due, total):
                _record(service.pid, frames, time.monotonic() - started)
                due = frames + EVERY
            if frames >= total:
                break
        results.terminate()


def _record(pid: int, frames: int, took_s: float) -> None:
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
