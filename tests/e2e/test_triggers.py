"""Triggers of the whole daemon: one object event per light-barrier pulse or request."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np

from tests.harness.daemon_harness import Ear, Stage, Turntable
from tests.harness.mosquitto import Mosquitto

BASE = "edge_daemon/stage"
BEAM, RED = 4, 17


def test_each_pulse_or_request_gives_one_object_event(tmp_path: Path) -> None:
    source = Turntable(np.full((120, 160, 3), (200, 40, 40), np.uint8))
    with Mosquitto() as broker:
        overrides = [
            f"mqtt.host={broker.host}",
            f"mqtt.port={broker.port}",
            "trigger=gpio",
            "buttons.0={pin: 17, label: red}",
            "buttons.1={pin: 4, action: trigger}",
        ]
        with Ear(broker.port, f"{BASE}/#") as ear, Stage(source, overrides, tmp_path) as stage:
            ear.wait_for("availability online")
            stage.click(RED)
            ear.wait_for("example_added")
            stage.click(BEAM)
            event = json.loads(ear.wait_for('"object"').split(" ", 2)[2])
            assert (event["label"], event["region"]) == ("red", "frame")
            assert event["frames"] >= 1
            request = ["-t", f"{BASE}/request/trigger", "-m", '{"transaction": 9}']
            subprocess.run(["mosquitto_pub", "-p", str(broker.port), *request], check=True)
            answer = json.loads(ear.wait_for("response/trigger").split(" ", 2)[2])
            assert (answer["status"], answer["transaction"], answer["data"]["label"]) == ("ok", 9, "red")
        assert sum('"object"' in line for line in ear.lines) == 2
