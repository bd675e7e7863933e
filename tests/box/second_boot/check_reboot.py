"""After a reboot: the labels are right without a press."""

from __future__ import annotations

import json
from pathlib import Path

from tests.box.scene import BARS, RED, Scene
from tests.box.service import Service, kept_examples
from tests.box.subscriber import Ear
from tests.box.wait_until import told


def check_labels_are_right_without_a_press(service: Service, ear: Ear, scene: Scene) -> None:
    service.await_seeing()
    for pattern, label in ((RED, "red"), (BARS, "bars")):
        scene.show(pattern)
        ear.await_label(label)
    assert ear.events("example_added") == []
    assert set(kept_examples().values()) == {"bars", "red"}


def check_the_time_to_the_first_label_is_measured(service: Service) -> None:
    service.await_seeing()
    steps = json.loads(told("edge-daemon", "bench", "--boot", "--json"))
    rows = [f"| {name} | {at_s:.1f} s |" for name, at_s in steps.items()]
    Path("/results/boot.md").write_text(
        "\n".join(["| since the kernel's start | |", "|---|---|", *rows]) + "\n"
    )
    assert 0 < steps["service started"] < steps["first label"]


def check_no_unit_has_failed(service: Service) -> None:
    assert told("systemctl", "--failed", "--no-legend", "--plain") == ""
    assert service.restarts == 0
