"""After a reboot: the labels are right without a press."""

from __future__ import annotations

from tests.box.ear import Ear
from tests.box.patience import told
from tests.box.scene import BARS, RED, Scene
from tests.box.service import Service, kept_examples


def check_labels_are_right_without_a_press(service: Service, ear: Ear, scene: Scene) -> None:
    service.await_seeing()
    for pattern, label in ((RED, "red"), (BARS, "bars")):
        scene.show(pattern)
        ear.await_label(label)
    assert ear.events("example_added") == []
    assert set(kept_examples().values()) == {"bars", "red"}


def check_no_unit_has_failed(service: Service) -> None:
    assert told("systemctl", "--failed", "--no-legend", "--plain") == ""
    assert service.restarts == 0
