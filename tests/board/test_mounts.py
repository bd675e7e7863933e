"""Mounts on which a store is lost or refused, as the kernel lists them on boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.board.mounts import mount_fault, mount_of
from tests.board.storage import CARD, OVERLAY_ON_CARD, lay_mounts

STORE = Path("/var/lib/edge_daemon/examples.sqlite")
ON_PARTITION = Path("/data/examples.sqlite")
PARTITION = "179:3 / /data rw,relatime shared:9 - ext4 /dev/mmcblk0p3 rw"


@pytest.mark.parametrize(
    "mounts",
    [
        (CARD,),
        (CARD, "0:30 / /run rw,nosuid - tmpfs tmpfs rw,size=90000k"),
        (CARD.replace("/dev/mmcblk0p2", "/dev/root"),),
        (CARD, "179:2 /var/lib/edge_daemon /var/lib/edge_daemon rw - ext4 /dev/mmcblk0p2 rw"),
        (
            "179:2 / / ro,relatime - ext4 /dev/mmcblk0p2 rw",
            "179:2 /var/lib/edge_daemon /var/lib/edge_daemon rw - ext4 /dev/mmcblk0p2 rw",
        ),
        (
            "0:40 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/mnt/disk/up,workdir=/mnt/disk/w",
            "8:1 / /mnt/disk rw - ext4 /dev/sda1 rw",
        ),
        # A container's own layer is on the host's disk, under a path that is not seen from inside.
        ("0:50 / / rw - overlay overlay rw,lowerdir=/var/x/l,upperdir=/var/x/diff,workdir=/var/x/w",),
        (
            CARD,
            "0:30 / /var/lib/edge_daemon rw - tmpfs tmpfs rw",
            "8:1 / /var/lib/edge_daemon rw - ext4 /dev/sda1 rw",
        ),
        (CARD, "0:30 / /var/lib/edge rw - tmpfs tmpfs rw"),
        (),
    ],
)
def test_a_store_on_a_disk_has_no_fault(mounts: tuple[str, ...], tmp_path: Path) -> None:
    lay_mounts(tmp_path, *mounts)
    assert mount_fault(STORE, tmp_path) is None


@pytest.mark.parametrize(
    ("mounts", "cmdline", "where"),
    [
        (OVERLAY_ON_CARD, "overlayroot=tmpfs", "overlay at /"),
        (
            ("0:24 / / rw - overlay overlay rw,lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work",),
            "boot=overlay",
            "overlay at /",
        ),
        (
            ("0:24 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u/data,workdir=/u/work",),
            "systemd.volatile=overlay",
            "overlay at /",
        ),
        ((CARD, "0:30 / /var rw,relatime - tmpfs tmpfs rw,size=50m"), "", "tmpfs at /var"),
        ((CARD, "0:30 / /var/lib/edge_daemon rw - ramfs ramfs rw"), "", "ramfs at /var/lib/edge_daemon"),
        ((CARD, "252:1 / /var/lib rw - ext4 /dev/zram1 rw"), "", "ext4 at /var/lib"),
        (
            (
                CARD,
                "0:30 / /ram rw - tmpfs tmpfs rw",
                "0:31 / /var/lib rw - overlay o rw,lowerdir=/a,upperdir=/ram/up,workdir=/ram/w",
            ),
            "",
            "overlay at /var/lib",
        ),
    ],
)
def test_a_store_in_memory_is_named_with_its_mount(
    mounts: tuple[str, ...], cmdline: str, where: str, tmp_path: Path
) -> None:
    lay_mounts(tmp_path, *mounts, cmdline=cmdline)
    fault = mount_fault(STORE, tmp_path)
    assert fault is not None
    assert fault.reason == f"nothing in /var/lib/edge_daemon survives a reboot: it is in memory ({where})"
    assert ("raspi-config" in fault.remedy) == where.startswith("overlay")
    assert "docs/storage.md" in fault.remedy


def test_a_second_partition_beside_an_overlay_keeps_a_store(tmp_path: Path) -> None:
    lay_mounts(tmp_path, *OVERLAY_ON_CARD, PARTITION, cmdline="overlayroot=tmpfs:recurse=0")
    assert mount_fault(ON_PARTITION, tmp_path) is None


def test_a_second_partition_that_has_an_overlay_too_does_not(tmp_path: Path) -> None:
    both = "0:25 / /data rw - overlay data rw,lowerdir=/l,upperdir=/media/root-rw/overlay/data,workdir=/w"
    lay_mounts(tmp_path, *OVERLAY_ON_CARD, both, cmdline="overlayroot=tmpfs")
    fault = mount_fault(ON_PARTITION, tmp_path)
    assert fault is not None
    assert "overlay at /data" in fault.reason


def test_an_overlay_that_writes_to_a_disk_keeps_a_store(tmp_path: Path) -> None:
    on_disk = [line.replace("tmpfs tmpfs-root", "ext4 /dev/sda1") for line in OVERLAY_ON_CARD]
    lay_mounts(tmp_path, *on_disk, cmdline="overlayroot=/dev/sda1")
    assert mount_fault(STORE, tmp_path) is None


@pytest.mark.parametrize(
    ("mount", "remedy"),
    [
        ("179:2 / / ro,noatime - ext4 /dev/mmcblk0p2 ro", "remount,rw /"),
        ("0:9 / / rw - overlay overlay rw,lowerdir=/a:/b", "remount,rw /"),
        ("179:2 / / ro,noatime - ext4 /dev/mmcblk0p2 rw", "ReadWritePaths="),
    ],
)
def test_a_read_only_mount_differs_from_one_that_only_the_service_may_not_write(
    mount: str, remedy: str, tmp_path: Path
) -> None:
    lay_mounts(tmp_path, mount)
    fault = mount_fault(STORE, tmp_path)
    assert fault is not None
    assert "read-only" in fault.reason
    assert remedy in fault.remedy


def test_a_private_tmp_ends_with_the_service(tmp_path: Path) -> None:
    private = "179:2 /tmp/systemd-private-6d1e-edge-daemon.service-9VZk/tmp /tmp rw - ext4 /dev/mmcblk0p2 rw"
    lay_mounts(tmp_path, CARD, private)
    fault = mount_fault(Path("/tmp/examples.sqlite"), tmp_path)
    assert fault is not None
    assert "survives the service's end" in fault.reason


def test_a_link_to_another_mount_counts_as_that_mount(tmp_path: Path) -> None:
    lay_mounts(tmp_path, *OVERLAY_ON_CARD, PARTITION)
    (tmp_path / "data").mkdir()
    (tmp_path / "var/lib").mkdir(parents=True)
    (tmp_path / "var/lib/edge_daemon").symlink_to("../../data")
    assert mount_fault(STORE, tmp_path) is None


def test_a_mount_point_with_blanks_is_read(tmp_path: Path) -> None:
    lay_mounts(tmp_path, CARD, r"0:30 / /my\040card\134 rw - tmpfs tmpfs rw")
    mount = mount_of(Path("/my card\\/store/x"), tmp_path)
    assert mount is not None
    assert mount.point == "/my card\\"


def test_the_kernels_own_list_is_understood() -> None:
    proc = mount_of(Path("/proc/self"))
    assert proc is not None
    assert proc.kind == "proc"
