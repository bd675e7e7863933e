"""Installing again, and taking it off: what is the owner's stays."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.box.scene import RED, Scene
from tests.box.service import CONFIG, STATE, Service, kept_examples
from tests.box.subscriber import Ear
from tests.box.wait_until import told
from tests.box.wiring import configure

PROGRAM = Path("/opt/edge-daemon/venv")


def check_an_upgrade_keeps_configuration_and_examples(service: Service, ear: Ear, scene: Scene) -> None:
    scene.show(RED)
    ear.await_label("red")
    configured, examples, process = CONFIG.read_text(), kept_examples(), service.pid
    told("scripts/install")
    service.await_new_process(process)
    assert (CONFIG.read_text(), kept_examples()) == (configured, examples)
    ear.await_label("red")


def check_a_rollback_goes_back_to_the_program_before(service: Service, ear: Ear) -> None:
    process, before = service.pid, PROGRAM.readlink()
    told("scripts/install", "--rollback")
    service.await_new_process(process)
    assert PROGRAM.readlink() != before
    ear.await_label("red")


def check_an_upgrade_that_would_not_start_leaves_the_service_alone(service: Service, ear: Ear) -> None:
    process, before = service.pid, PROGRAM.readlink()
    configure("nonsense: 1\n")
    try:
        done = subprocess.run(["scripts/install"], capture_output=True, text=True)
    finally:
        configure()
    assert done.returncode == 1
    assert "this program would not start: " in done.stderr.splitlines()[-1]
    assert "nonsense" in done.stderr.splitlines()[-1]
    assert (service.pid, PROGRAM.readlink()) == (process, before)
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
