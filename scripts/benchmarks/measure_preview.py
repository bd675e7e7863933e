"""Measure the cost of a viewer of the web page: inferences per second with one viewer and with none.

    .venv/bin/python scripts/benchmarks/measure_preview.py --model PATH [--rounds 10] [--seconds 3] [--fps 0]

With --fps 0 the camera is faster than the model, so that every lost millisecond is visible. Rounds with and
without a viewer alternate, so that background load affects both.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime

import numpy as np

from edge_daemon.app.build import build
from edge_daemon.config.schema import load_config
from edge_daemon.domain.types import Frame

VIEWER = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1], max_size=2**22) as line:
    line.send("picture")
    for message in line:
        if isinstance(message, bytes):
            line.send("picture")
"""


class Source:
    """Frames of noise under a gradient, as busy as a camera's, at `fps` or as fast as they are taken."""

    lossless = False

    def __init__(self, fps: float) -> None:
        noise = np.random.default_rng(0).integers(0, 40, (8, 480, 640, 3), np.uint8)
        ramp = np.linspace(0, 200, 640, dtype=np.uint8)[None, :, None]
        self._pictures = [picture + ramp for picture in noise]
        self._period_s = 1 / fps if fps else 0.001
        self._seq = 0

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def read(self) -> Frame:
        """Wait a period and return the next picture."""
        time.sleep(self._period_s)
        self._seq += 1
        image = self._pictures[self._seq % len(self._pictures)]
        return Frame(image, self._seq, time.monotonic(), datetime.now(UTC))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def classified(port: int) -> tuple[float, float]:
    """Return the daemon's counts of classifications and of pictures encoded."""
    import httpx

    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return (
        float(figures["edge_daemon_classifications_total"]),
        float(figures["edge_daemon_preview_pictures_total"]),
    )


def rates(port: int, seconds: float) -> tuple[float, float]:
    before, begun = classified(port), time.monotonic()
    time.sleep(seconds)
    after, took = classified(port), time.monotonic() - begun
    return (after[0] - before[0]) / took, (after[1] - before[1]) / took


def round_trip(port: int, seconds: float) -> tuple[float, float, float]:
    """Return inferences a second without and with a viewer, and the pictures a second it got."""
    alone, _ = rates(port, seconds)
    viewer = subprocess.Popen([sys.executable, "-c", VIEWER, f"ws://127.0.0.1:{port}/live"])
    try:
        time.sleep(1)
        watched, pictures = rates(port, seconds)
    finally:
        viewer.kill()
        viewer.wait()
    return alone, watched, pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--fps", type=float, default=0.0)
    args = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = [
            "mqtt.host=null",
            f"web.listen={port}",
            f"model.name={args.model}",
            f"store.path={folder}/s.sqlite",
        ]
        daemon = build(load_config(None, settings), source=Source(args.fps))
        thread = threading.Thread(target=daemon.run)
        thread.start()
        time.sleep(2)
        rounds = [round_trip(port, args.seconds) for _ in range(args.rounds)]
        daemon.stop()
        thread.join()
    for alone, watched, pictures in rounds:
        share = watched / alone
        print(f"alone {alone:.1f}/s, watched {watched:.1f}/s ({share:.3f}), {pictures:.1f} pictures/s")
    ratio = statistics.median(watched / alone for alone, watched, _ in rounds)
    print(f"median: {ratio:.3f} of the inferences with one viewer")


if __name__ == "__main__":
    main()
