"""`scripts/install` on a fresh machine."""

from __future__ import annotations

import grp
import pwd
import stat
from pathlib import Path

from tests.box.command import run
from tests.box.lines import Lines
from tests.box.service import CONFIG, STATE, Service
from tests.box.subscriber import Subscriber
from tests.box.wait_until import wait_until
from tests.box.wiring import LED_READY, configure

CREDENTIALS = Path("/etc/edge_daemon/credentials")


def check_install_starts_the_service_with_every_value_commented(service: Service) -> None:
    run("scripts/install", "--offline", "--no-usb")
    assert service.show("UnitFileState") == "enabled"
    page = "web:\n  listen: 8080\n"
    assert page in CONFIG.read_text()
    camera = "type: v4l2 "  # the machine is no Raspberry Pi
    written = CONFIG.read_text().replace(page, "").replace(camera, "type: picamera2 ", 1)
    assert written == Path("config/default.yaml").read_text()
    run("edge-daemon", "config", "check", "--config", str(CONFIG))


def check_user_groups_and_directories() -> None:
    user = pwd.getpwnam("edge-daemon")
    assert user.pw_shell.endswith("nologin")
    for group in ("video", "gpio"):
        assert "edge-daemon" in grp.getgrnam(group).gr_mem
    assert stat.S_IMODE(CREDENTIALS.stat().st_mode) == 0o700
    assert CREDENTIALS.owner() == "root"
    wait_until(STATE.exists, "the state directory")
    assert STATE.owner() == "edge-daemon"


def check_configured_service_becomes_ready(service: Service, subscriber: Subscriber, lines: Lines) -> None:
    configure()
    run("edge-daemon", "config", "check", "--config", str(CONFIG))
    service.control("restart")
    service.wait_until_seeing()
    assert 'Status: "seeing"' in service.status()
    wait_until(lambda: subscriber.latest("availability") == "online", "the device is online")
    wait_until(lambda: lines.is_lit(LED_READY), "the LED `ready`")
