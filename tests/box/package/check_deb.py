"""The Debian package replaces an installation by scripts/install and keeps its configuration and examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.box.command import run
from tests.box.lines import Lines
from tests.box.scene import BARS, RED, Scene
from tests.box.service import CONFIG, STATE, Service, stored_examples
from tests.box.subscriber import Subscriber
from tests.box.wait_until import wait_until
from tests.box.wiring import BUTTON_RED

PACKAGE = "/results/edge-daemon.deb"
PROGRAM = Path("/usr/lib/edge-daemon")
APT = ("apt-get", "--yes", "--no-install-recommends", "--option", "Dpkg::Options::=--force-confold")


def check_apt_refuses_beside_an_installation_by_the_script(service: Service) -> None:
    process = service.pid
    with pytest.raises(AssertionError, match="scripts/install --uninstall"):
        run(*APT, "install", PACKAGE)
    assert (service.pid, PROGRAM.exists()) == (process, False)


def check_installed_package_keeps_configuration_and_examples(
    service: Service, subscriber: Subscriber, scene: Scene
) -> None:
    configured, examples = CONFIG.read_text(), stored_examples()
    run("scripts/install", "--uninstall")
    run(*APT, "install", PACKAGE)
    assert service.show("FragmentPath") == "/usr/lib/systemd/system/edge-daemon.service"
    assert service.show("UnitFileState") == "enabled"
    service.wait_until_seeing()
    assert Path(f"/proc/{service.pid}/cmdline").read_text().startswith(f"{PROGRAM}/")
    assert (CONFIG.read_text(), stored_examples()) == (configured, examples)
    for pattern, label in ((RED, "red"), (BARS, "bars")):
        scene.show(pattern)
        subscriber.wait_for_label(label)


def check_press_adds_an_example(lines: Lines) -> None:
    before = len(stored_examples())
    lines.press(BUTTON_RED)
    wait_until(lambda: len(stored_examples()) == before + 1, "one example more in the store")


def check_removal_keeps_configuration_and_examples_and_purge_does_not(service: Service) -> None:
    configured, examples = CONFIG.read_text(), stored_examples()
    run(*APT, "remove", "edge-daemon")
    assert not service.active
    assert not PROGRAM.exists()
    assert (CONFIG.read_text(), stored_examples()) == (configured, examples)
    run(*APT, "purge", "edge-daemon")
    assert [path for path in (CONFIG.parent, STATE) if path.exists()] == []
    assert run("systemctl", "--failed", "--no-legend", "--plain") == ""
