"""A small simulated fleet: every published message is received once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def simulate(*arguments: str) -> dict[str, Any]:
    command = [
        sys.executable,
        "scripts/benchmarks/simulate_fleet.py",
        "--json",
        "--devices",
        "20",
        "--processes",
        "2",
    ]
    done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


@pytest.mark.parametrize("listeners", ["1", "2"])
def test_messages_of_twenty_devices_are_received_exactly_once(listeners: str) -> None:
    figures = simulate("--seconds", "3", "--change-every-s", "1", "--listeners", listeners)
    assert figures["devices"] == 20
    for kind, sent in (("results", 100), ("events", 50)):
        assert figures[kind]["sent"] >= sent
        assert (figures[kind]["lost"], figures[kind]["doubled"]) == (0, 0)
        assert 0 <= figures[kind]["p50_ms"] <= figures[kind]["p99_ms"] <= figures[kind]["max_ms"]
    assert figures["requests"]["answered"] > 0
    assert figures["requests"]["unanswered"] == 0
    assert figures["received_per_s"] > 50
    assert figures["broker_mb"] > 1
    assert figures["devices_mb"] > 10
