"""A built Debian package, named by $EDGE_DAEMON_DEB. Run by scripts/test-deb; not part of the usual tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from edge_daemon import __version__

ROOT = Path(__file__).parents[2]


def test_lintian_finds_nothing() -> None:
    done = subprocess.run(["lintian", os.environ["EDGE_DAEMON_DEB"]], capture_output=True, text=True)

    assert done.stdout.splitlines() == []
    assert done.returncode == 0


def test_the_package_says_what_it_is() -> None:
    fields = _dpkg_deb("--field")

    assert f"Version: {__version__}\n" in fields
    assert "python3 (>= 3.11)" in fields
    assert "python3 (<< 3.14)" in fields


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
        assert (site / "edge_daemon/_shipped/models/edge_embedder_v2.tflite").is_file()
        assert {path.name for path in site.glob("ai_edge_litert/*.so")} == {
            "_pywrap_litert_interpreter_wrapper.so",
            "libpywrap_litert_common.so",
        }


def _dpkg_deb(action: str, *arguments: str) -> str:
    command = ["dpkg-deb", action, os.environ["EDGE_DAEMON_DEB"], *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
