"""The doctor's checks of Python and memory, with files under a root folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_daemon.board.system_python import system_python
from edge_daemon.cli.checks.machine import check_memory, check_python
from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.config.schema import Config, load_config
from tests.board.layout import write
from tests.board.storage import lay_daemon, lay_memory

MINE = f"{sys.version_info.major}.{sys.version_info.minor}"
CONFIG = Config(camera=SyntheticOptions())


def root_with(place: Path, target: str | None) -> Path:
    """Return a root folder whose /usr/bin/python3 links to `target`."""
    folder = place / "usr/bin"
    folder.mkdir(parents=True)
    if target is not None:
        (folder / target).touch()
        if target != "python3":
            (folder / "python3").symlink_to(target)
    return place


@pytest.mark.parametrize(
    ("target", "version"),
    [("python3.11", "3.11"), ("python3.13", "3.13"), ("python3", None), (None, None), ("pypy3", None)],
)
def test_the_systems_version_is_in_the_name_of_the_link(
    tmp_path: Path, target: str | None, version: str | None
) -> None:
    assert system_python(root_with(tmp_path, target)) == version


def test_another_python_of_the_system_is_a_warning_with_a_remedy(tmp_path: Path) -> None:
    check = check_python(CONFIG, root_with(tmp_path, "python3.99"), base="/usr")
    assert (check.state, check.detail) == (
        "warning",
        f"installed for {MINE}, but the system's Python is 3.99 now",
    )
    assert "sudo scripts/install" in check.hint


@pytest.mark.parametrize(("target", "base"), [(f"python{MINE}", "/usr"), ("python3.99", "/home/ada/python")])
def test_the_systems_own_python_passes_and_so_does_another_installation(
    tmp_path: Path, target: str, base: str
) -> None:
    check = check_python(CONFIG, root_with(tmp_path, target), base=base)
    assert (check.state, check.hint) == ("ok", "")
    assert "numpy" in check.detail


def test_a_32_bit_python_is_a_failure_with_a_remedy(tmp_path: Path) -> None:
    check = check_python(CONFIG, tmp_path, bits=32)
    assert (check.state, check.detail) == ("failed", "this is a 32-bit Python, and LiteRT needs a 64-bit one")
    assert "Raspberry Pi OS (64-bit)" in check.hint


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(None, [f"store.path={tmp_path}/state/examples.sqlite"])


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
