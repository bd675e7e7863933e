"""Sandbox of the unit: the service can open its camera, GPIO lines and state, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.box.command import run
from tests.box.service import UNIT, Service

MAX_EXPOSURE = 1.5
DROP_IN = Path(f"/run/systemd/system/{UNIT}.d/probe.conf")
OUTPUT = Path("/run/probe.json")
FOREIGN_FILES = ("/home/maker/diary", "/var/lib/maker/note")
SECRETS = (*FOREIGN_FILES, "/etc/shadow", "/etc/edge_daemon/credentials", "/root/.bashrc")
PROBE = """\
[Service]
Type=oneshot
Restart=no
WatchdogSec=0
ExecStart=
ExecStart=/usr/bin/python3 /source/tests/box/probe.py {secrets}
StandardOutput=truncate:{output}
"""


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, Any]]:
    """Findings of a probe that runs in place of the service."""
    for secret in FOREIGN_FILES:
        Path(secret).parent.mkdir(parents=True, exist_ok=True)
        Path(secret).write_text("nobody else's business")
        os.chmod(secret, 0o600)
    service = Service()
    service.control("stop")
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(PROBE.format(secrets=" ".join(SECRETS), output=OUTPUT))
    run("systemctl", "daemon-reload")
    try:
        service.control("start")
        yield json.loads(OUTPUT.read_text())
    finally:
        shutil.rmtree(DROP_IN.parent)
        run("systemctl", "daemon-reload")
        service.control("restart")
        service.wait_until_seeing()


def check_exposure_is_low() -> None:
    text = run("systemd-analyze", "security", "--no-pager", UNIT)
    level = re.search(r"exposure level for \S+: ([\d.]+)", text)
    assert level is not None
    print(level[0])
    assert float(level[1]) <= MAX_EXPOSURE, text


def check_only_camera_lines_and_harmless_devices_open(found: dict[str, Any]) -> None:
    harmless = r"/dev/(null|zero|full|random|urandom|tty|ptmx|pts/ptmx)"
    ours = r"/dev/(video\d+|media\d+|v4l-subdev\d+|v4l/.*|dma_heap/.*|gpiochip\d+)"
    assert [path for path in found["devices"] if not re.fullmatch(f"{harmless}|{ours}", path)] == []
    for kind in ("video", "media", "gpiochip"):
        assert any(path.startswith(f"/dev/{kind}") for path in found["devices"]), kind


def check_only_its_own_folders_are_writable(found: dict[str, Any]) -> None:
    own = {
        "/var/lib/edge_daemon",
        "/var/cache/edge_daemon",
        "/run/edge_daemon",
        "/tmp",
        "/var/tmp",
        "/dev/shm",
    }
    assert set(found["writable"]) <= own
    assert "/var/lib/edge_daemon" in found["writable"]


def check_foreign_files_are_unreadable(found: dict[str, Any]) -> None:
    assert found["readable"] == []


def check_no_capability_no_new_privilege_and_a_filter(found: dict[str, Any]) -> None:
    status = found["status"]
    assert {int(value, 16) for name, value in status.items() if name.startswith("Cap")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert found["syscalls"] == []
    assert found["raw_sockets"] is False


def check_no_other_process_is_visible(found: dict[str, Any]) -> None:
    assert found["processes"] == []
