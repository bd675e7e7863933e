"""The recipe of the Debian package; `check_deb.py` looks into a built one."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from edge_daemon.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
CONTROL = (PACKAGING / "debian/control").read_text()
DEBIAN_NAMES = {"numpy": "python3-numpy", "pillow": "python3-pil", "pyyaml": "python3-yaml"}
BUNDLED = dict(re.findall(r"(?m)^([a-z-]+\d*)==(\S+)", (PACKAGING / "wheels.txt").read_text()))


def test_every_dependency_comes_with_the_package_or_from_debian() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["web"]]

    names = {re.match(r"[a-z-]+", line)[0] for line in needed}  # type: ignore[index]

    for name in names - BUNDLED.keys():
        assert f"{DEBIAN_NAMES[name]},\n" in CONTROL


@pytest.mark.parametrize("name", BUNDLED)
def test_what_is_bundled_is_what_the_tests_run_with(name: str) -> None:
    assert metadata.version(name) == BUNDLED[name]


def test_the_manual_names_every_command() -> None:
    manual = (PACKAGING / "debian/edge-daemon.1").read_text()

    for command, summary in COMMANDS.items():
        assert f".TP\n.B {command}\n{summary}\n" in manual


@pytest.mark.parametrize("name", ["preinst", "postinst", "prerm", "postrm"])
def test_maintainer_scripts_can_be_read_by_the_shell(name: str) -> None:
    script = PACKAGING / "debian" / name

    assert subprocess.run(["sh", "-n", script], capture_output=True).returncode == 0
    assert "set -e\n" in script.read_text()
    assert "#DEBHELPER#\n" in script.read_text()
