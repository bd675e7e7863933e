"""Start time, memory and CPU load of the service, written as a table to /results/figures.md."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.box.service import Service
from tests.box.subscriber import Subscriber
from tests.box.wait_until import wait_until

MEASURING_S = 60.0


def check_start_memory_and_processor(service: Service, subscriber: Subscriber) -> None:
    service.control("stop")
    wait_until(lambda: subscriber.latest("availability") == "offline", "offline")
    subscriber.clear()
    started = time.monotonic()
    service.control("start")
    wait_until(lambda: subscriber.latest("label"), "the first label")
    first_label_s = time.monotonic() - started
    before_s = _processor_s(service)
    time.sleep(MEASURING_S)
    busy = (_processor_s(service) - before_s) / MEASURING_S
    rows = {
        "unit start to first label": f"{first_label_s:.1f} s",
        "resident memory": f"{_resident_mb(service.pid):.0f} MB",
        "peak of the control group": f"{int(service.show('MemoryPeak')) / 1e6:.0f} MB",
        "processor while watching a scene": f"{busy * 100:.0f} % of one of {os.cpu_count()}",
    }
    table = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    Path("/results/figures.md").write_text("\n".join(table) + "\n")
    assert int(service.show("MemoryPeak")) < int(service.show("MemoryMax"))


def _processor_s(service: Service) -> float:
    return int(service.show("CPUUsageNSec")) / 1e9


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000
