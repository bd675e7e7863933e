"""The doctor's checks of mount, writes and memory, with files under a root folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.board.disk_writes import DAY_S
from edge_daemon.cli.checks.memory import check_memory
from edge_daemon.cli.checks.storage import MAX_PER_DAY, check_mount, check_writes
from edge_daemon.config.schema import Config, load_config
from tests.board.layout import write
from tests.board.storage import CARD, OVERLAY_ON_CARD, lay_card, lay_daemon, lay_memory, lay_mounts


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(None, [f"store.path={tmp_path}/state/examples.sqlite"])


def test_a_store_under_an_overlay_is_a_failure(config: Config, tmp_path: Path) -> None:
    lay_mounts(tmp_path, *OVERLAY_ON_CARD)
    check = check_mount(config, tmp_path)
    assert check.state == "failed"
    assert "survives a reboot" in check.detail
    assert "second partition" in check.hint


def test_a_store_on_the_card_passes_and_is_named(config: Config, tmp_path: Path) -> None:
    lay_mounts(tmp_path, CARD)
    check = check_mount(config, tmp_path)
    assert check.state == "ok"
    assert check.detail.endswith("is on /dev/mmcblk0p2 (ext4 at /)")


def test_writes_are_counted_per_day_with_the_services_own(config: Config, tmp_path: Path) -> None:
    lay_mounts(tmp_path, CARD)
    lay_card(tmp_path, sectors=2_000_000, uptime_s=2 * DAY_S)
    lay_daemon(tmp_path, tmp_path / "state/examples.sqlite")
    check = check_writes(config, tmp_path)
    assert check.state == "ok"
    assert check.detail == (
        "mmcblk0: 512.0 MB a day (1.0 GB in 2.0 days); by the service since its start: 4.1 MB"
    )


def test_a_card_that_wears_out_soon_is_a_warning(config: Config, tmp_path: Path) -> None:
    lay_mounts(tmp_path, CARD)
    lay_card(tmp_path, sectors=3 * MAX_PER_DAY // 512, uptime_s=2 * DAY_S)
    check = check_writes(config, tmp_path)
    assert check.state == "warning"
    assert "15.0 GB a day" in check.detail
    assert "iotop" in check.hint


def test_memory_shows_what_the_camera_holds_and_the_services_peak(config: Config, tmp_path: Path) -> None:
    lay_memory(tmp_path)
    lay_daemon(tmp_path, tmp_path / "state/examples.sqlite")
    check = check_memory(config, tmp_path)
    assert check.state == "ok"
    assert check.detail == (
        "287 of 448 MB available; camera buffers (CMA): 16 of 67 MB in use; the service's peak: 105 MB"
    )


def test_a_limit_without_effect_is_a_warning(config: Config, tmp_path: Path) -> None:
    lay_memory(tmp_path, controllers="cpuset cpu io pids")
    write(tmp_path, "boot/firmware/cmdline.txt", "console=tty1\n")
    check = check_memory(config, tmp_path)
    assert check.state == "warning"
    assert "MemoryMax= has no effect" in check.detail
    assert "cgroup_enable=memory" in check.hint


def test_frames_too_large_for_the_cameras_memory_are_a_warning(tmp_path: Path) -> None:
    lay_memory(tmp_path)
    settings = ["camera.type=picamera2", f"store.path={tmp_path}/examples.sqlite"]
    small = load_config(None, settings)
    large = load_config(None, [*settings, "camera.size=[4608, 2592]"])
    assert check_memory(small, tmp_path).state == "ok"
    check = check_memory(large, tmp_path)
    assert check.state == "warning"
    assert "camera.size needs 203 MB there" in check.detail


def test_too_little_memory_for_the_service_is_a_warning(config: Config, tmp_path: Path) -> None:
    lay_memory(tmp_path)
    write(tmp_path, "proc/meminfo", "MemTotal:         437248 kB\nMemAvailable:      60000 kB\n")
    assert check_memory(config, tmp_path).state == "warning"
