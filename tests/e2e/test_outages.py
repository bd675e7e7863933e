"""The whole daemon through a lost camera, broker and GPIO chip: no crash, no stale label."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
from gpiozero import Device

from edge_daemon.panel.simulated_buttons import SimulatedButtons
from tests.e2e.test_run_command import Manager
from tests.harness.daemon_harness import Ear, Stage, Turntable, wait_until
from tests.harness.flaky_gpio_chip import flaky_chip
from tests.harness.mosquitto import Mosquitto, free_port

LABEL = "edge_daemon/stage/label"


@pytest.fixture
def source() -> Turntable:
    return Turntable(np.full((120, 160, 3), (200, 40, 40), np.uint8))


def test_lost_camera_clears_the_retained_label_until_it_is_back(source: Turntable, tmp_path: Path) -> None:
    with Mosquitto() as broker:
        overrides = [
            f"mqtt.host={broker.host}",
            f"mqtt.port={broker.port}",
            "buttons.0={pin: 17, label: red}",
        ]
        with Ear(broker.port, "edge_daemon/stage/#") as ear, Stage(source, overrides, tmp_path) as stage:
            ear.wait_for_state(LABEL, "unknown")
            stage.click(17)
            ear.wait_for_state(LABEL, "red")
            source.broken = True
            ear.wait_for_state(LABEL, "")
            ear.wait_for("camera_lost")
            with Ear(broker.port, "edge_daemon/stage/+") as new_subscriber:
                new_subscriber.wait_for_state("edge_daemon/stage/availability", "online")
                source.broken = False
                ear.wait_for("camera_restored")
                new_subscriber.wait_for_state(LABEL, "red")
                assert not [line for line in new_subscriber.lines if line.startswith(f"1 {LABEL} ")]


def test_broker_that_comes_late_and_restarts_gets_the_state_each_time(
    source: Turntable, tmp_path: Path
) -> None:
    port = free_port()
    overrides = ["mqtt.host=127.0.0.1", f"mqtt.port={port}", "mqtt.max_reconnect_s=1"]
    with Stage(source, [*overrides, "buttons.0={pin: 17, label: red, led: 5}"], tmp_path) as stage:
        seen = lambda: "yes" if stage.presser.is_lit(5) else ""  # noqa: E731
        stage.click(17)
        wait_until(seen, lambda: "the label's LED stays dark without a broker")
        for _ in range(2):
            with Mosquitto(port=port), Ear(port, "edge_daemon/stage/#") as ear:
                ear.wait_for_state("edge_daemon/stage/availability", "online")
                ear.wait_for_state(LABEL, "red")
                ear.wait_for("stage/result")


def test_a_lost_gpio_chip_is_reported_everywhere_and_frames_are_classified(
    source: Turntable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip, manager, page = flaky_chip(tmp_path), Manager(tmp_path / "notify"), free_port()
    monkeypatch.setattr(Device, "pin_factory", chip())
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    with Mosquitto() as broker, Ear(broker.port, "edge_daemon/stage/#") as ear:
        overrides = [
            f"mqtt.host={broker.host}",
            f"mqtt.port={broker.port}",
            f"web.listen={page}",
            "buttons.0={pin: 17, label: red}",
        ]
        with Stage(source, overrides, tmp_path, chosen_pins=True) as stage:
            ear.wait_for_state(LABEL, "unknown")
            chip.unplug()
            assert "buttons and LEDs can't be used" in ear.wait_for("panel_lost")
            assert "panel lost: buttons and LEDs can't be used" in manager.wait_for("panel lost")
            with httpx.Client(base_url=f"http://127.0.0.1:{page}") as client:
                assert client.get("/healthz").status_code == 200
                assert "edge_daemon_panel_up 0.0" in client.get("/metrics").text
                checks = {each["name"]: each["state"] for each in client.get("/api/health").json()["checks"]}
                assert checks["Buttons"] == "failed"
            ear.wait_for("stage/result", since=len(ear.lines))
            chip.plug()
            ear.wait_for("panel_restored")
            assert manager.wait_for("STATUS").endswith("STATUS=seeing")
            stage.presser = SimulatedButtons(chip.opened[-1])
            stage.click(17)
            ear.wait_for_state(LABEL, "red")
            with httpx.Client(base_url=f"http://127.0.0.1:{page}") as client:
                assert "edge_daemon_panel_up 1.0" in client.get("/metrics").text
    manager.close()
