"""The effect of MemoryMax= with control groups of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.board.memory import limits_remedy, memory_info, memory_limits_apply
from tests.board.layout import write
from tests.board.storage import lay_memory


@pytest.mark.parametrize(
    ("controllers", "applies"),
    [("cpuset cpu io memory pids", True), ("cpuset cpu io pids", False), ("", False)],
)
def test_the_memory_controller_of_cgroup_2_decides(controllers: str, applies: bool, tmp_path: Path) -> None:
    # Newer kernels leave memory out of this file even when it is on.
    write(tmp_path, "proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t70\t1\n")
    lay_memory(tmp_path, controllers=controllers)
    assert memory_limits_apply(tmp_path) is applies


@pytest.mark.parametrize(("folders", "applies"), [(["cpu", "memory"], True), (["cpu"], False), ([], None)])
def test_the_memory_hierarchy_of_cgroup_1_decides(
    folders: list[str], applies: bool | None, tmp_path: Path
) -> None:
    for folder in folders:
        (tmp_path / "sys/fs/cgroup" / folder).mkdir(parents=True)
    assert memory_limits_apply(tmp_path) is applies


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("boot/firmware/cmdline.txt", "the one line of /boot/firmware/cmdline.txt"),
        ("boot/cmdline.txt", "the one line of /boot/cmdline.txt"),
        ("etc/default/grub", "the kernel's command line"),
    ],
)
def test_the_remedy_names_the_file_of_this_release(file: str, words: str, tmp_path: Path) -> None:
    write(tmp_path, file, "console=tty1\n")
    assert limits_remedy(tmp_path) == f"add ` cgroup_enable=memory` at the end of {words} and reboot"


def test_the_cameras_part_of_memory_is_read(tmp_path: Path) -> None:
    lay_memory(tmp_path)
    info = memory_info(tmp_path)
    assert (info["CmaTotal"], info["CmaFree"]) == (64 * 2**20, 50000 * 1024)
    assert memory_info(tmp_path / "none") == {}
    assert memory_info()["MemTotal"] > 0
