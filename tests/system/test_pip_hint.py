"""The hint for missing packages is a command that works where it is printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_daemon.system.pip_hint import install_opencv, pip_install


@pytest.mark.parametrize("extra", ["demo", "heic", "web"])
def test_the_command_finds_the_program_and_its_extra_in_any_folder(tmp_path: Path, extra: str) -> None:
    """Without an index: the packages are here, and pip asks for none that is."""
    command = pip_install(extra).strip("`") + " --dry-run --no-index"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "does not provide the extra" not in done.stderr


def test_a_systems_python_is_not_named_because_its_pip_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert pip_install("web") == "`pip install 'edge-daemon[web]'` in a virtual environment"


def test_an_environment_of_root_is_changed_with_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert pip_install("web").startswith(f"`sudo {sys.executable} -m pip install ")


def test_a_package_without_pip_names_a_virtual_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_daemon.system.pip_hint.find_spec", lambda name: None)
    assert pip_install("web") == "`pip install 'edge-daemon[web]'` in a virtual environment"


@pytest.mark.parametrize(("seen", "said"), [("true", "apt install python3-opencv"), ("false", "[usb]")])
def test_opencv_is_debians_where_the_environment_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: str, said: str
) -> None:
    (tmp_path / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = {seen}\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert said in install_opencv()
