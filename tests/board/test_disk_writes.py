"""Writes to the whole card, and the rate per day."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.board.disk_writes import DAY_S, disk_writes
from tests.board.storage import CARD, lay_card, lay_mounts

STORE = Path("/var/lib/edge_daemon")


def test_the_whole_card_is_counted_not_the_partition(tmp_path: Path) -> None:
    lay_mounts(tmp_path, CARD)
    lay_card(tmp_path, sectors=2_000_000, uptime_s=2 * DAY_S)
    writes = disk_writes(STORE, tmp_path)
    assert writes is not None
    assert (writes.name, writes.written) == ("mmcblk0", 2_000_000 * 512)
    assert writes.per_day == 1_000_000 * 512


def test_the_first_hours_are_not_multiplied_to_a_day(tmp_path: Path) -> None:
    lay_mounts(tmp_path, CARD)
    lay_card(tmp_path, sectors=2_000_000, uptime_s=600)
    writes = disk_writes(STORE, tmp_path)
    assert writes is not None
    assert writes.per_day == writes.written


def test_a_file_system_with_a_number_of_its_own_is_found_by_its_device(tmp_path: Path) -> None:
    lay_mounts(tmp_path, "0:29 /@ / rw - btrfs /dev/mmcblk0p2 rw,subvol=/@")
    lay_card(tmp_path, sectors=8, uptime_s=DAY_S)
    (tmp_path / "sys/class/block").mkdir(parents=True)
    link = tmp_path / "sys/class/block/mmcblk0p2"
    link.symlink_to("../../devices/platform/mmc/block/mmcblk0/mmcblk0p2")
    writes = disk_writes(STORE, tmp_path)
    assert writes is not None
    assert writes.name == "mmcblk0"


def test_memory_and_a_machine_without_counts_have_none(tmp_path: Path) -> None:
    assert disk_writes(STORE, tmp_path) is None
    lay_mounts(tmp_path, "0:24 / / rw - tmpfs tmpfs rw")
    lay_card(tmp_path, sectors=8, uptime_s=5)
    assert disk_writes(STORE, tmp_path) is None
