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


@pytest.mark.parametrize(
    ("python", "installs"),
    [
        ("3.9.2-3", False),
        ("3.11.2-1+b1", True),
        ("3.12.3-0ubuntu2", False),  # Ubuntu 24.04
        ("3.13.5-1", True),
        ("3.14.0-1", False),
    ],
)
def test_dpkg_installs_it_only_with_a_python_that_it_has_modules_for(
    tmp_path: Path, python: str, installs: bool
) -> None:
    bundled = re.search(r"(?m)^pythons=\((.*)\)", (ROOT / "scripts/build-deb").read_text())
    assert bundled is not None
    assert installs == (re.match(r"\d+\.\d+", python)[0] in bundled[1].split())  # type: ignore[index]
    needs = [line.strip(" ,") for line in re.findall(r"(?m)^.*python3 \(.*$", CONTROL)]
    fields = "Version: 1\nArchitecture: all\nMaintainer: A <a@b>\nDescription: x\n"
    described = tmp_path / "tiny/DEBIAN/control"
    described.parent.mkdir(parents=True)
    described.write_text(f"Package: tiny\nDepends: {', '.join(needs)}\n{fields}")
    subprocess.run(["dpkg-deb", "--build", tmp_path / "tiny"], check=True, capture_output=True)
    known = fields.replace("Version: 1\n", f"Version: {python}\n")
    for folder in ("info", "updates"):
        (tmp_path / "root/var/lib/dpkg" / folder).mkdir(parents=True)
    (tmp_path / "root/var/lib/dpkg/status").write_text(
        f"Package: python3\nStatus: install ok installed\n{known}\n"
    )
    done = subprocess.run(
        ["dpkg", f"--root={tmp_path}/root", "--force-not-root", "--install", tmp_path / "tiny.deb"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode == 0) == installs, done.stderr
    assert ("dependency problems" in done.stderr) != installs, done.stderr


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
