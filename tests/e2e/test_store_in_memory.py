"""A store in memory: the daemon on a real tmpfs warns in log, status, shell, page and LED."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.board.mounts import mount_fault, mount_of
from edge_daemon.example_store.store import ExampleStore
from tests.e2e.test_run_command import SYNTHETIC, started
from tests.harness.daemon_harness import wait_until
from tests.harness.web_harness import WebHarness

SHARED_MEMORY = Path("/dev/shm")
LOST = "survives a reboot"
ERROR_PIN = 21


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    mount = mount_of(SHARED_MEMORY)
    if mount is None or mount.kind != "tmpfs":
        pytest.skip(f"{SHARED_MEMORY} is no tmpfs here")
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as folder:
        yield Path(folder)


def test_log_and_status_warn(memory_folder: Path) -> None:
    with started(memory_folder, SYNTHETIC + "mqtt: {host: null}\n") as (process, manager, _):
        assert LOST in manager.wait_for("READY=1")
        process.terminate()
        _, log = process.communicate()
    lines = [line for line in log.splitlines() if LOST in line]
    assert len(lines) == 1
    assert f"tmpfs at {SHARED_MEMORY}" in lines[0]


def test_the_shell_warns(memory_folder: Path) -> None:
    ExampleStore(memory_folder / "examples.sqlite").close()
    command = [sys.executable, "-m", "edge_daemon", "examples", "list", "--json"]
    where = f"--set=store.path={memory_folder}/examples.sqlite"
    done = subprocess.run([*command, where], capture_output=True, text=True)
    assert done.returncode == 0
    assert LOST in done.stderr
    assert LOST not in done.stdout


def test_page_and_error_led_warn(memory_folder: Path) -> None:
    leds = [f"panel.leds={{error: {ERROR_PIN}}}"]
    with WebHarness(memory_folder, leds) as site:
        with site.client() as client:
            (mount,) = [
                each for each in client.get("/api/health").json()["checks"] if each["name"] == "Mount"
            ]
        assert mount["state"] == "failed"
        assert LOST in mount["value"]
        wait_until(lambda: "yes" if site.stage.presser.is_lit(ERROR_PIN) else "", lambda: "it never blinked")


def test_a_store_on_a_disk_gives_no_warning(tmp_path: Path) -> None:
    if mount_fault(tmp_path / "examples.sqlite"):
        pytest.skip("temporary files are in memory here")
    with WebHarness(tmp_path) as site, site.client() as client:
        assert "Mount" not in {each["name"] for each in client.get("/api/health").json()["checks"]}
