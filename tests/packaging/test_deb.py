"""The Debian package: its recipe always; a built one when $EDGE_DAEMON_DEB names it."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from edge_daemon import __version__
from edge_daemon.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
CONTROL = (PACKAGING / "debian/control").read_text()
DEBIAN_NAMES = {"numpy": "python3-numpy", "pillow": "python3-pil", "pyyaml": "python3-yaml"}
BUNDLED = dict(re.findall(r"(?m)^([a-z-]+\d*)==(\S+)", (PACKAGING / "wheels.txt").read_text()))

needs_package = pytest.mark.skipif("EDGE_DAEMON_DEB" not in os.environ, reason="$EDGE_DAEMON_DEB is not set")


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


@needs_package
def test_lintian_finds_nothing() -> None:
    done = subprocess.run(["lintian", os.environ["EDGE_DAEMON_DEB"]], capture_output=True, text=True)

    assert done.stdout.splitlines() == []
    assert done.returncode == 0


@needs_package
def test_the_package_says_what_it_is() -> None:
    fields = _dpkg_deb("--field")

    assert f"Version: {__version__}\n" in fields
    assert "python3 (>= 3.11)" in fields
    assert "python3 (<< 3.14)" in fields


@needs_package
def test_the_package_holds_program_unit_and_configuration(tmp_path: Path) -> None:
    _dpkg_deb("--raw-extract", str(tmp_path))

    assert (tmp_path / "DEBIAN/conffiles").read_text() == "/etc/edge_daemon/config.yaml\n"
    assert (tmp_path / "etc/edge_daemon/config.yaml").read_bytes() == (
        ROOT / "config/default.yaml"
    ).read_bytes()
    (unit,) = tmp_path.glob("**/systemd/system/edge-daemon.service")
    assert "\nExecStart=/usr/bin/edge-daemon run --config /etc/edge_daemon/config.yaml\n" in unit.read_text()
    for python in ("python3.11", "python3.13"):
        site = tmp_path / "usr/lib/edge-daemon/lib" / python / "site-packages"
        assert (site / "edge_daemon/_shipped/models/edge_embedder_v1.tflite").is_file()
        assert {path.name for path in site.glob("ai_edge_litert/*.so")} == {
            "_pywrap_litert_interpreter_wrapper.so",
            "libpywrap_litert_common.so",
        }


def _dpkg_deb(action: str, *arguments: str) -> str:
    command = ["dpkg-deb", action, os.environ["EDGE_DAEMON_DEB"], *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
