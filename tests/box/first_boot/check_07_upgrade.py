"""Upgrade, rollback and removal keep configuration and examples."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.box.command import run
from tests.box.scene import RED, Scene
from tests.box.service import CONFIG, STATE, Service, stored_examples
from tests.box.subscriber import Subscriber
from tests.box.wiring import configure

PROGRAM = Path("/opt/edge-daemon/venv")


def check_upgrade_keeps_configuration_and_examples(
    service: Service, subscriber: Subscriber, scene: Scene
) -> None:
    scene.show(RED)
    subscriber.wait_for_label("red")
    configured, examples, process = CONFIG.read_text(), stored_examples(), service.pid
    run("scripts/install", "--no-usb")
    service.wait_for_new_process(process)
    assert (CONFIG.read_text(), stored_examples()) == (configured, examples)
    subscriber.wait_for_label("red")


def check_rollback_restores_the_previous_program(service: Service, subscriber: Subscriber) -> None:
    process, before = service.pid, PROGRAM.readlink()
    run("scripts/install", "--rollback")
    service.wait_for_new_process(process)
    assert PROGRAM.readlink() != before
    subscriber.wait_for_label("red")


def check_upgrade_that_would_not_start_is_refused(service: Service, subscriber: Subscriber) -> None:
    process, before = service.pid, PROGRAM.readlink()
    configure("nonsense: 1\n")
    try:
        done = subprocess.run(["scripts/install", "--no-usb"], capture_output=True, text=True)
    finally:
        configure()
    assert done.returncode == 1
    assert "this program would not start: " in done.stderr.splitlines()[-1]
    assert "nonsense" in done.stderr.splitlines()[-1]
    assert (service.pid, PROGRAM.readlink()) == (process, before)
    subscriber.wait_for_label("red")


def check_uninstall_keeps_configuration_and_examples(service: Service, subscriber: Subscriber) -> None:
    configured, examples = CONFIG.read_text(), stored_examples()
    run("scripts/install", "--uninstall")
    assert not service.active
    assert not Path("/opt/edge-daemon").exists()
    assert not Path("/usr/local/bin/edge-daemon").exists()
    assert (CONFIG.read_text(), stored_examples()) == (configured, examples)
    run("scripts/install", "--no-usb")
    service.wait_until_seeing()
    subscriber.wait_for_label("red")


def check_no_unit_has_failed() -> None:
    assert run("systemctl", "--failed", "--no-legend", "--plain") == ""
    assert STATE.owner() == "edge-daemon"
