"""Installing again, and taking it off: what is the owner's stays."""

from __future__ import annotations

from pathlib import Path

from tests.box.ear import Ear
from tests.box.patience import told
from tests.box.scene import RED, Scene
from tests.box.service import CONFIG, STATE, Service, kept_examples


def check_an_upgrade_keeps_configuration_and_examples(service: Service, ear: Ear, scene: Scene) -> None:
    scene.show(RED)
    ear.await_label("red")
    configured, examples, process = CONFIG.read_text(), kept_examples(), service.pid
    told("scripts/install")
    service.await_new_process(process)
    assert (CONFIG.read_text(), kept_examples()) == (configured, examples)
    ear.await_label("red")


def check_uninstall_leaves_only_what_is_the_owners(service: Service, ear: Ear) -> None:
    configured, examples = CONFIG.read_text(), kept_examples()
    told("scripts/install", "--uninstall")
    assert not service.active
    assert not Path("/opt/edge-daemon").exists()
    assert not Path("/usr/local/bin/edge-daemon").exists()
    assert (CONFIG.read_text(), kept_examples()) == (configured, examples)
    told("scripts/install")
    service.await_seeing()
    ear.await_label("red")


def check_no_unit_has_failed() -> None:
    assert told("systemctl", "--failed", "--no-legend", "--plain") == ""
    assert STATE.owner() == "edge-daemon"
