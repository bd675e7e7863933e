"""The Debian package in the place of scripts/install: it goes on with what that one left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.box.lines import Lines
from tests.box.scene import BARS, RED, Scene
from tests.box.service import CONFIG, STATE, Service, kept_examples
from tests.box.subscriber import Ear
from tests.box.wait_until import eventually, told
from tests.box.wiring import BUTTON_RED

PACKAGE = "/results/edge-daemon.deb"
PROGRAM = Path("/usr/lib/edge-daemon")
APT = ("apt-get", "--yes", "--no-install-recommends", "--option", "Dpkg::Options::=--force-confold")


def check_apt_refuses_beside_the_scripts_installation(service: Service) -> None:
    process = service.pid
    with pytest.raises(AssertionError, match="scripts/install --uninstall"):
        told(*APT, "install", PACKAGE)
    assert (service.pid, PROGRAM.exists()) == (process, False)


def check_apt_installs_it_and_it_knows_what_was_taught(service: Service, ear: Ear, scene: Scene) -> None:
    configured, examples = CONFIG.read_text(), kept_examples()
    told("scripts/install", "--uninstall")
    told(*APT, "install", PACKAGE)
    assert service.show("FragmentPath") == "/usr/lib/systemd/system/edge-daemon.service"
    assert service.show("UnitFileState") == "enabled"
    service.await_seeing()
    assert Path(f"/proc/{service.pid}/cmdline").read_text().startswith(f"{PROGRAM}/")
    assert (CONFIG.read_text(), kept_examples()) == (configured, examples)
    for pattern, label in ((RED, "red"), (BARS, "bars")):
        scene.show(pattern)
        ear.await_label(label)


def check_a_press_is_kept(lines: Lines) -> None:
    before = len(kept_examples())
    lines.press(BUTTON_RED)
    eventually(lambda: len(kept_examples()) == before + 1, "one example more in the store")


def check_removal_keeps_what_is_the_owners_and_purge_does_not(service: Service) -> None:
    configured, examples = CONFIG.read_text(), kept_examples()
    told(*APT, "remove", "edge-daemon")
    assert not service.active
    assert not PROGRAM.exists()
    assert (CONFIG.read_text(), kept_examples()) == (configured, examples)
    told(*APT, "purge", "edge-daemon")
    assert [path for path in (CONFIG.parent, STATE) if path.exists()] == []
    assert told("systemctl", "--failed", "--no-legend", "--plain") == ""
