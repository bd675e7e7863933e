"""Labels and timeline after a reboot."""

from __future__ import annotations

import json
from pathlib import Path

from tests.box.command import run
from tests.box.scene import BARS, RED, Scene
from tests.box.service import Service, stored_examples
from tests.box.subscriber import Subscriber


def check_labels_are_right_without_a_press(service: Service, subscriber: Subscriber, scene: Scene) -> None:
    service.wait_until_seeing()
    for pattern, label in ((RED, "red"), (BARS, "bars")):
        scene.show(pattern)
        subscriber.wait_for_label(label)
    assert subscriber.events("example_added") == []
    assert set(stored_examples().values()) == {"bars", "red"}


def check_time_to_the_first_label_is_measured(service: Service) -> None:
    service.wait_until_seeing()
    steps = json.loads(run("edge-daemon", "bench", "--boot", "--json"))
    rows = [f"| {name} | {at_s:.1f} s |" for name, at_s in steps.items()]
    Path("/results/boot.md").write_text(
        "\n".join(["| since the kernel's start | |", "|---|---|", *rows]) + "\n"
    )
    assert 0 < steps["service started"] < steps["first label"]


def check_no_unit_has_failed(service: Service) -> None:
    assert run("systemctl", "--failed", "--no-legend", "--plain") == ""
    assert service.restarts == 0
