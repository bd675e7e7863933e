"""The doctor's checks of mount and writes, with files under a root folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.board.disk_writes import DAY_S
from edge_daemon.cli.checks.storage import MAX_PER_DAY, check_mount, check_writes
from edge_daemon.config.schema import Config, load_config
from tests.board.storage import CARD, OVERLAY_ON_CARD, lay_card, lay_daemon, lay_mounts


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
