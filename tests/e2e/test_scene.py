"""The scene of a running daemon: by button, by MQTT, by the command line and on the page."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_daemon.cli.main import main
from tests.harness.daemon_harness import Ear, Stage, Turntable
from tests.harness.mosquitto import Mosquitto
from tests.harness.simulated_table import SimulatedTable

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

BUTTON = 23


class NoisyTable(Turntable):
    """A turntable before a table: each frame has its own noise. `kind` is the object on it."""

    def __init__(self) -> None:
        table = SimulatedTable(size=(320, 240))
        self._frames: dict[str | None, list[Image]] = {
            kind: [table.picture(kind) for _ in range(4)] for kind in (None, "nut")
        }
        super().__init__(self._frames[None][0])

    def show(self, kind: str | None) -> None:
        """Put an object on the table, or clear it."""
        self.picture = self._frames[kind][0]


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


def test_a_scene_is_learned_shown_and_forgotten_over_every_way(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", "device.id=stage"]
    words = [word for setting in settings for word in ("--set", setting)]
    buttons = f"buttons=[{{pin: {BUTTON}, action: scene}}]"
    with (
        Ear(broker.port, "edge_daemon/stage/#") as ear,
        Stage(NoisyTable(), [*settings, buttons], tmp_path) as stage,
    ):
        ear.wait_for('"state":"learning"')
        stage.click(BUTTON)
        ear.wait_for('"event_type":"scene_learned"')
        ear.wait_for('"state":"known"')
        assert main(["scene", "--json", *words]) == 0
        shown = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert shown["regions"]["frame"]["state"] == "known"
        assert shown["regions"]["frame"]["automatic"] is False
        assert main(["scene", "learn", *words]) == 0
        assert capsys.readouterr().out.startswith("known, learned by a press")
        assert main(["scene", "forget", "--region", "frame", *words]) == 0
        assert capsys.readouterr().out == "learning\n"
        assert main(["scene", "learn", "--region", "attic", *words]) == 1
        assert "no region 'attic'" in capsys.readouterr().err


def test_without_scenes_the_device_says_how_to_have_them(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", "device.id=stage", "scene=off"]
    words = [word for setting in settings for word in ("--set", setting)]
    with Ear(broker.port, "edge_daemon/stage/#") as ear, Stage(NoisyTable(), settings, tmp_path):
        ear.wait_for("/result")
        assert main(["scene", "learn", *words]) == 1
        assert "set `scene: auto`" in capsys.readouterr().err
        assert '"scenes"' not in (ear.state("edge_daemon/stage/info") or "")


def test_a_device_that_is_not_there_is_one_line(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge_daemon.cli.scene.TIMEOUT_S", 0.5)
    started_s = time.monotonic()
    words = ["--set", f"mqtt.host={broker.host}", "--set", f"mqtt.port={broker.port}"]
    assert main(["scene", "--device", "tray-2", *words]) == 1
    error = capsys.readouterr().err
    assert "is the device online" in error
    assert "an import locks the store" in error
    assert time.monotonic() - started_s < 30
