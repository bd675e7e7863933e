"""Files in folders that a user may not enter, and files that the service can't see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_daemon.cli import config, model_choice
from edge_daemon.cli.main import main
from edge_daemon.models.registry import DEFAULT_MODEL, find_model

_SYNTHETIC = ["--set=camera.type=synthetic", "--set=mqtt.host=null"]
_LIMITED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
"""Root without the right to enter every folder."""


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    return folder


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [*(_LIMITED if os.geteuid() == 0 else []), sys.executable, "-m", "edge_daemon", *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    "words",
    [
        ["examples", "import", "{}/in/x.zip"],
        ["examples", "salvage", "{}/in/x.sqlite"],
        ["models", "add", "{}/in/x.tflite"],
        ["models", "inspect", "{}/in/x.tflite"],
        ["doctor", "--report", "{}/in/x.txt"],
        ["run", "--set=model.name={}/in/x.tflite", *_SYNTHETIC],
        ["run", "--set=store.path={}/in/x.sqlite", *_SYNTHETIC],
    ],
    ids=" ".join,
)
def test_a_file_in_a_closed_folder_is_one_line(closed: Path, words: list[str]) -> None:
    done = run(*(word.format(closed) for word in words))
    (line,) = done.stderr.splitlines()
    assert (done.returncode, line[:12]) == (1, "edge-daemon:")
    assert f"{closed}/in/x." in line
    assert "Permission denied" in line


def test_a_closed_folder_of_pictures_to_try_is_not_called_empty(closed: Path) -> None:
    done = run("try", "--pictures", str(closed))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"edge-daemon: {closed} can't be read: Permission denied\n"


@pytest.mark.parametrize(
    "keys", [["camera.type=replay", "camera.path={}/in/x"], ["store.path={}/in/x.sqlite"]]
)
def test_a_check_notes_it_as_the_service_may_have_permission(closed: Path, keys: list[str]) -> None:
    done = run("config", "check", *_SYNTHETIC, *(f"--set={key.format(closed)}" for key in keys))
    (line,) = done.stderr.splitlines()
    assert done.returncode == 0
    assert "Permission denied: not checked" in line


@pytest.fixture
def service_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration that the service reads."""
    path = tmp_path / "config.yaml"
    path.write_text("camera: {type: synthetic}\nmqtt:\n  host: null\n")
    for module in (config, model_choice):
        monkeypatch.setattr(module, "DEFAULT_PATH", path)
    return path


def test_a_path_that_the_service_does_not_see_is_noted(
    service_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "set", "--config", str(service_file), "web.token_file=/home/ada/token"]) == 0
    assert "web.token_file: /home/ada/token is in /home, which" in capsys.readouterr().err
    assert main(["config", "check", "--config", str(service_file)]) == 0
    assert "ProtectHome= hides from the service" in capsys.readouterr().err
    own = tmp_path / "own.yaml"
    own.write_text(service_file.read_text())
    assert main(["config", "check", "--config", str(own)]) == 0
    assert capsys.readouterr().err == ""


def test_a_model_that_the_service_does_not_see_is_not_used(
    service_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge_daemon.config.hidden_paths._HIDDEN", (str(tmp_path.resolve()),))
    before, model = service_file.read_text(), tmp_path / "mine.tflite"
    model.write_bytes(find_model(DEFAULT_MODEL).read_bytes())
    assert main(["models", "use", "--config", str(service_file), str(model)]) == 1
    assert f"`edge-daemon models add {model}`" in capsys.readouterr().err
    assert service_file.read_text() == before
