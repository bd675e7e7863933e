"""The wheel and the sdist: installed alone, they run, with model, configurations and unit inside."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SHIPPED = (
    "config/default.yaml",
    "models/edge_embedder_v1.tflite",
    "models/edge_embedder_v1.json",
    "models/edge_embedder_v2.tflite",
    "models/edge_embedder_v2.json",
    "models/edge_embedder_v2.cohort.npz",
    "systemd/edge-daemon.service",
    "systemd/edge-daemon.sysusers.conf",
    "systemd/edge-daemon.tmpfiles.conf",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist, the wheel of this tree, and the wheel that the sdist makes."""
    out = tmp_path_factory.mktemp("built")
    _hatchling(ROOT, "sdist", out / "sdist")
    _hatchling(ROOT, "wheel", out / "wheel")
    (sdist,) = (out / "sdist").glob("*.tar.gz")
    subprocess.run(["tar", "xf", sdist, "-C", out], check=True)
    _hatchling(out / sdist.name.removesuffix(".tar.gz"), "wheel", out / "again")
    (wheel,) = (out / "wheel").glob("*.whl")
    return {"sdist": sdist, "wheel": wheel, "again": out / "again" / wheel.name}


def _hatchling(tree: Path, target: str, out: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)


def test_the_wheel_holds_what_ships(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        for name in SHIPPED:
            assert wheel.read(f"edge_daemon/_shipped/{name}") == (ROOT / name).read_bytes()
        assert not [name for name in wheel.namelist() if name.startswith("tests/")]


def test_the_sdist_makes_the_same_wheel(built: dict[str, Path]) -> None:
    assert built["again"].read_bytes() == built["wheel"].read_bytes()


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_runs_with_no_source_around(kind: str, built: dict[str, Path], tmp_path: Path) -> None:
    program = _install(built[kind], tmp_path / "venv")
    here = tmp_path / "empty"
    here.mkdir()
    for name in ("red", "blue"):
        Image.new("RGB", (200, 150), name).save(tmp_path / f"{name}.png")

    def run(*words: str) -> str:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
        done = subprocess.run([program, *words], cwd=here, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "ok" in run("config", "check")
    assert "edge_embedder_v2" in run("models", "list")
    for command in (["sort"], ["keys"], ["examples", "fetch"]):
        assert "example: " in run(*command, "--help")
    for name in ("red", "blue"):
        run("examples", "add", name, str(tmp_path / f"{name}.png"))
    store = str(tmp_path / ".local/state/edge_daemon/examples.sqlite")
    named = json.loads(run("classify", "--json", "--store", store, str(tmp_path / "red.png")))
    assert named["label"] == "red"
    assert list(here.iterdir()) == []


def _install(package: Path, venv: Path) -> Path:
    """Install into a venv that sees the libraries of these tests, but not this tree."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    libraries = Path(pytest.__file__).parents[1]
    (site / "libraries.pth").write_text(f"{libraries}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(venv), "--disable-pip-version-check", "install"]
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
    subprocess.run([*pip, *options, str(package)], check=True, capture_output=True)
    return venv / "bin/edge-daemon"
