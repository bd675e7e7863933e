"""A restart on a full disk: frames are classified, and examples are rejected with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.imaging.image_io import read_image
from tests.harness.daemon_harness import Ear, Stage, Turntable
from tests.harness.mosquitto import Mosquitto
from tests.harness.shared_files import shared_path
from tests.harness.small_disk import SmallDisk

BASE = "edge_daemon/stage"


def overrides(broker: Mosquitto) -> list[str]:
    return [
        f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", "buttons.0={pin: 17, label: red}",
        "smoothing.window=1", "smoothing.min_hold_s=0",
    ]  # fmt: skip


@pytest.mark.parametrize("outage", ["full", "read-only"])
def test_a_start_on_a_read_only_disk_works_and_teaches_once_it_is_writable(
    small_disk: SmallDisk, outage: str, tmp_path: Path
) -> None:
    source = Turntable(read_image(shared_path("images/cat.jpg").read_bytes()))
    with Mosquitto() as broker, Ear(broker.port, f"{BASE}/#") as ear:
        with Stage(source, overrides(broker), small_disk.folder) as stage:
            stage.click(17)
            ear.wait_for_state(f"{BASE}/label", "red")
        ear.wait_for_state(f"{BASE}/availability", "offline")
        if outage == "full":
            small_disk.fill()
        else:
            small_disk.remount("ro")
        since = len(ear.lines)
        with Stage(source, overrides(broker), small_disk.folder) as stage:
            ear.wait_for(f"{BASE}/label red", since)
            stage.click(17)
            assert not [line for line in ear.lines[since:] if "example_added" in line]
            if outage == "full":
                small_disk.free()
            else:
                small_disk.remount("rw")
            stage.click(17)
            ear.wait_for("example_added", since)
