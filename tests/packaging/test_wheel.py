"""The wheel and the sdist: installed alone or from an index, they run with what ships inside."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest
from PIL import Image

from tests.packaging.test_constraints import needed

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


def _hatchling(tree: Path, target: str, out: Path, umask: int = -1) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run(command, cwd=tree, env=environment, umask=umask, check=True, capture_output=True)


def test_the_wheel_holds_what_ships(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        for name in SHIPPED:
            assert wheel.read(f"edge_daemon/_shipped/{name}") == (ROOT / name).read_bytes()
        assert not [name for name in wheel.namelist() if name.startswith("tests/")]


def test_the_sdist_makes_the_same_wheel(built: dict[str, Path]) -> None:
    assert built["again"].read_bytes() == built["wheel"].read_bytes()


def test_another_folder_umask_and_time_make_the_same_bytes(built: dict[str, Path], tmp_path: Path) -> None:
    tree = tmp_path / "an other place"
    tree.mkdir()
    subprocess.run(["tar", "xf", built["sdist"], "-C", tree, "--strip-components=1"], check=True)
    (tree / "PKG-INFO").unlink()  # made with the sdist
    for path in tree.rglob("*"):
        path.chmod(0o700 if path.is_dir() else path.stat().st_mode & 0o700)
        os.utime(path, (1, 1))
    for kind in ("sdist", "wheel"):
        _hatchling(tree, kind, tmp_path / "out", umask=0o077)
        assert (tmp_path / "out" / built[kind].name).read_bytes() == built[kind].read_bytes()


@pytest.fixture(scope="module")
def index(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `simple` with a folder for each package, made of the wheel and of what is installed here."""
    folder = tmp_path_factory.mktemp("index") / "simple"
    (folder / "edge-daemon").mkdir(parents=True)
    shutil.copy(built["wheel"], folder / "edge-daemon")
    for name in set(needed("edge-daemon", (), set())):
        (folder / name).mkdir()
        _repack(metadata.distribution(name), folder / name)
    return folder


def _repack(installed: metadata.Distribution, folder: Path) -> None:
    """Write the wheel that the distribution was installed from, without scripts, which pip makes."""
    described = installed.read_text("WHEEL")
    assert described is not None
    tags = [tag.split("-") for tag in re.findall(r"(?m)^Tag: (\S+)", described)]
    tag = "-".join(".".join(sorted(set(part))) for part in zip(*tags, strict=True))
    name = re.sub(r"[-.]+", "_", installed.metadata["Name"])
    with zipfile.ZipFile(folder / f"{name}-{installed.version}-{tag}.whl", "w") as wheel:
        for path in installed.files or ():
            if path.parts[0] != ".." and path.suffix != ".pyc":
                wheel.write(str(path.locate()), str(path))


@pytest.fixture
def index_url(index: Path) -> Iterator[str]:
    """The index, served as in docs/packages.md."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(index.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()


def test_pip_installs_it_from_a_local_index(index_url: str, tmp_path: Path) -> None:
    program = _install_with_pip(tmp_path, "--index-url", index_url)
    _teach_and_classify(program, tmp_path)


def test_pip_installs_it_from_a_folder_of_wheels(index: Path, tmp_path: Path) -> None:
    flat = tmp_path / "wheels"
    flat.mkdir()
    for wheel in index.glob("*/*.whl"):
        shutil.copy(wheel, flat)
    program = _install_with_pip(tmp_path, "--no-index", "--find-links", str(flat))
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"edge-daemon {metadata.version('edge-daemon')}\n"


def _install_with_pip(folder: Path, *source: str) -> Path:
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [sys.executable, "-m", "pip", "--isolated", "--python", str(venv), "--disable-pip-version-check"]
    command = [*pip, "install", "--quiet", "--no-compile", "--no-cache-dir", *source, "edge-daemon"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PIP_CONFIG_FILE": os.devnull}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return venv / "bin/edge-daemon"


def _teach_and_classify(program: Path, folder: Path) -> None:
    for name in ("red", "blue"):
        Image.new("RGB", (200, 150), name).save(folder / f"{name}.png")

    def run(*words: str) -> str:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
        done = subprocess.run([program, *words], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for name in ("red", "blue"):
        run("examples", "add", name, f"{name}.png")
    store = ".local/state/edge_daemon/examples.sqlite"
    assert json.loads(run("classify", "--json", "--store", store, "red.png"))["label"] == "red"


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
