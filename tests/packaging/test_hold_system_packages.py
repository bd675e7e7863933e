"""`install_into` of scripts/lib/prepare.sh, with real pip and environments, and stand-ins for the packages.

The program wants `engine`, which wants `kinds`, whose newest version wants `numpy` 2. `picture` and
`names` stand for what nothing is compiled against.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON_TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
LINUX_TAG = f"{PYTHON_TAG}-{PYTHON_TAG}-linux_{os.uname().machine}"
PURE_TAG = "py3-none-any"
PINS = ("numpy==2.0", "engine==1.0", "names==2.0", "picture==2.0", "kinds==2.0")


@dataclass(frozen=True)
class Site:
    """A folder with the project's scripts, an index of wheels, and the system's packages."""

    root: Path

    @property
    def system(self) -> Path:
        return self.root / "system"

    def bring(self, name: str, version: str, code: str = "") -> None:
        """Have the system bring a package."""
        _remove(self.system, name)
        described = self.system / f"{name}-{version}.dist-info"
        described.mkdir(parents=True)
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (self.system / f"{name}.py").write_text(code or f"version = '{version}'\n")

    def offer(self, name: str, version: str, *needs: str, tag: str = PURE_TAG) -> None:
        """Put a wheel into the index."""
        base = f"{name}-{version}"
        requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
        index = self.root / "index"
        index.mkdir(exist_ok=True)
        with zipfile.ZipFile(index / f"{base}-{tag}.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"version = '{version}'\n")
            described = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
            wheel.writestr(f"{base}.dist-info/METADATA", described)
            wheel.writestr(f"{base}.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
            wheel.writestr(f"{base}.dist-info/RECORD", "")

    def program_needs(self, *needs: str) -> None:
        """Make the program itself: a project that pip builds from source, with no tools of others."""
        project = self.root / "program"
        project.mkdir(exist_ok=True)
        (project / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        )
        (project / "backend.py").write_text(_BACKEND.format(needs=needs))

    def environment(self, *, sees_system: bool = True) -> Path:
        """Make a virtual environment; the system's packages come by a .pth file, after its own."""
        venv = self.root / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", venv], check=True)
        (site,) = venv.glob("lib/python*/site-packages")
        (site / "stand-in.pth").write_text(f"{self.system}\n" if sees_system else "")
        pip = Path(_output(sys.executable, "-c", "import pip; print(pip.__path__[0])"))
        (site / "pip").symlink_to(pip)
        seen = "true" if sees_system else "false"
        settings = (venv / "pyvenv.cfg").read_text().replace("= false", f"= {seen}")
        (venv / "pyvenv.cfg").write_text(settings)
        return venv

    def install(self, venv: Path, index: str = "index") -> subprocess.CompletedProcess[str]:
        script = '. scripts/lib/prepare.sh && install_into "$0" ./program'
        environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": index, "PIP_NO_CACHE_DIR": "1"}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script, venv],
            cwd=self.root, env=environment, capture_output=True, text=True,
        )  # fmt: skip


_BACKEND = """
import zipfile

def build_wheel(folder, settings=None, metadata=None):
    name = "program-1.0-py3-none-any.whl"
    needs = "".join("Requires-Dist: " + need + "\\n" for need in {needs!r})
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("program.py", "version = '1.0'\\n")
        described = "Metadata-Version: 2.1\\nName: program\\nVersion: 1.0\\n"
        wheel.writestr("program-1.0.dist-info/METADATA", described + needs)
        wheel.writestr("program-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("program-1.0.dist-info/RECORD", "")
    return name
"""


def _remove(folder: Path, name: str) -> None:
    for found in folder.glob(f"{name}-*.dist-info"):
        (found / "METADATA").unlink()
        found.rmdir()


def _output(*words: str | Path) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def versions(venv: Path, *names: str) -> list[str]:
    shown = "; ".join(f"print(__import__({name!r}).version)" for name in names)
    return _output(venv / "bin/python", "-I", "-c", shown).split()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    (tmp_path / "packaging").mkdir()
    (tmp_path / "packaging/constraints.txt").write_text("# pins\n" + "".join(f"{pin}\n" for pin in PINS))
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    site.program_needs("numpy>=1", "engine", "names", "picture>=1")
    for version in ("1.2", "1.3", "2.0"):
        site.offer("numpy", version, tag=LINUX_TAG)
    site.offer("engine", "1.0", "kinds", "numpy", tag=LINUX_TAG)
    site.offer("kinds", "1.0", "numpy>=1", tag=LINUX_TAG)
    site.offer("kinds", "2.0", "numpy>=2", tag=LINUX_TAG)
    site.offer("names", "1.0")
    site.offer("names", "2.0")
    site.offer("picture", "2.0", "names>=2", tag=LINUX_TAG)
    return site


def test_numpy_stays_the_systems_and_what_rules_it_out_is_older(site: Site) -> None:
    site.bring("numpy", "1.2")
    venv = site.environment()
    done = site.install(venv)
    assert done.returncode == 0, done.stderr
    assert versions(venv, "numpy", "kinds", "engine") == ["1.2", "1.0", "1.0"]
    assert not list(venv.glob("lib/python*/site-packages/numpy*"))


def test_the_path_of_the_environment_may_hold_spaces(site: Site, tmp_path: Path) -> None:
    """pip splits the path of a constraint at spaces."""
    site.bring("numpy", "1.2")
    moved = tmp_path / "Camera für mich"
    moved.mkdir()
    for each in [path for path in tmp_path.iterdir() if path != moved]:
        each.rename(moved / each.name)
    spaced = Site(moved)
    venv = spaced.environment()
    done = spaced.install(venv)
    assert done.returncode == 0, done.stderr
    assert versions(venv, "numpy", "kinds") == ["1.2", "1.0"]


def test_without_the_systems_packages_the_pinned_versions_come(site: Site) -> None:
    site.bring("numpy", "1.2")
    venv = site.environment(sees_system=False)
    assert site.install(venv).returncode == 0
    assert versions(venv, "numpy", "kinds", "names") == ["2.0", "2.0", "2.0"]


def test_each_file_that_is_fetched_is_named_with_its_size(site: Site) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(site.root / "index"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            done = site.install(
                site.environment(sees_system=False), f"http://127.0.0.1:{server.server_port}/"
            )
        finally:
            server.shutdown()
    assert done.returncode == 0, done.stderr
    fetched = [line.split(": ") for line in done.stdout.splitlines()]
    assert sorted(name for name, _ in fetched) == sorted(
        f"    {name}-{version}-{tag}.whl"
        for name, version, tag in (
            ("engine", "1.0", LINUX_TAG),
            ("kinds", "2.0", LINUX_TAG),
            ("names", "2.0", PURE_TAG),
            ("numpy", "2.0", LINUX_TAG),
            ("picture", "2.0", LINUX_TAG),
        )
    )
    assert all(size.endswith(("bytes", "kB")) for _, size in fetched)


def test_nothing_that_fits_is_one_line_at_the_end(site: Site) -> None:
    site.program_needs("absent")
    done = site.install(site.environment(sees_system=False))
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("error: the package index has no absent for this machine's Python ")


def test_a_version_that_no_index_has_is_held_all_the_same(site: Site) -> None:
    site.bring("numpy", "1.2.5+ds1")
    venv = site.environment()
    assert site.install(venv).returncode == 0
    assert versions(venv, "numpy") == ["1.2.5+ds1"]


def test_another_package_too_old_for_one_is_left_alone_and_a_newer_one_comes_beside(site: Site) -> None:
    site.bring("names", "1.0")
    venv = site.environment()
    assert site.install(venv).returncode == 0
    assert versions(venv, "names", "picture") == ["2.0", "2.0"]
    assert (site.system / "names.py").read_text() == "version = '1.0'\n"


def test_a_package_that_the_program_itself_can_not_use_is_not_held(site: Site) -> None:
    site.bring("picture", "0.9")
    venv = site.environment()
    assert site.install(venv).returncode == 0
    assert versions(venv, "picture") == ["2.0"]


def test_a_camera_that_the_environment_breaks_ends_the_installation(site: Site) -> None:
    site.bring("picamera2", "0.3", "raise ImportError('numpy.core.multiarray failed to import')\n")
    done = site.install(site.environment())
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("error: picamera2 can't be imported in ")
    assert "(ImportError: numpy.core.multiarray failed to import)" in said


@pytest.mark.parametrize(
    ("dies", "words"),
    [
        ("echo Traceback >&2; echo 'ImportError: no libcamera' >&2; exit 1", "(ImportError: no libcamera)"),
        ("exit 139", "(it ends with code 139)"),
    ],
)
def test_a_camera_that_is_broken_outside_too_is_a_warning(tmp_path: Path, dies: str, words: str) -> None:
    """It may be one that nobody uses; a USB camera works without it."""
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\ncase "$3" in *_base_executable*) echo "$0"; exit 0 ;; esac\n{dies}\n')
    python.chmod(0o755)
    script = '. scripts/lib/prepare.sh && check_system_modules "$0"'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"warning: the system's picamera2 can't be imported {words}" in done.stdout
    assert "apt install --reinstall python3-picamera2" in done.stdout
    assert "apt install --reinstall python3-opencv" in done.stdout
