"""`config check` refuses what `run` refuses, with the same line, and makes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from edge_daemon.config import paths
from edge_daemon.config.schema import load_config
from edge_daemon.example_store.store import ExampleStore

PICTURE = Path(__file__).parents[2] / "docs/page-phone.png"

REFUSED = [
    "mqtt.base_topic=/edge",
    "mqtt.base_topic=edge/",
    "mqtt.base_topic=edge//one",
    "mqtt.base_topic=edge/+/one",
    "mqtt.base_topic=edge/#",
    "mqtt.base_topic=$SYS/edge",
    'mqtt.base_topic="edge\\0"',
    'mqtt.base_topic="edge\\u0007"',
    'mqtt.base_topic="edge\\ud800"',
    "mqtt.discovery.prefix=home#",
    "mqtt.discovery.prefix=a+b",
    "mqtt.discovery.prefix=homeassistant/",
    'mqtt.discovery.prefix=""',
    'device.name="a\\0b"',
    'store.path="/tmp/a\\0b"',
    "store.path=/proc/none/examples.sqlite",
    "store.path=/",
    "web.listen=a:b",
    "web.listen=127.0.0.1:0",
    "web.listen=192.0.2.1:8080",
    "web.listen=0.0.0.0:8080",
    "web={listen: 8080, token_file: /none}",
    "model.name=nosuch",
    f"model.name={__file__}",
    "model.delegate=/none.so",
    "classifier.type=pretrained",
    "mqtt={username: a, password_file: /none}",
    "camera={type: stream, url: 'http://camera.invalid/', username: a, password_file: /none}",
    "mqtt.tls={enabled: true, ca_file: /none}",
    f"mqtt.tls={{enabled: true, ca_file: {__file__}}}",
    "fleet.group=sorters",
    "fleet={group: sorters, key_file: /none}",
    "camera.path=/none",
    "serial.port=COM3",
    "serial.port=ttyACM0",
    "serial={port: /dev/ttyACM0, baud: 115201}",
    "serial={port: /dev/ttyACM0, speed: 9600}",
    "regions=[{name: left, box: [0, 0, 30000, 20]}]",
    "regions=[{name: label, box: [0, 0, 1, 1]}]",
]


@pytest.mark.parametrize("wrong", REFUSED)
def test_an_error_of_run_is_reported_with_the_same_line(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera = ["--set", "camera.type=replay", "--set", f"camera.path={PICTURE}"]
    words = [*camera, "--set", f"store.path={tmp_path / 'e.sqlite'}", "--set", wrong]
    assert main(["config", "check", *words]) == 1
    [line] = capsys.readouterr().err.splitlines()
    command = [sys.executable, "-m", "edge_daemon", "run", "--once", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, line)


def test_a_region_outside_the_size_that_the_camera_is_set_to_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    camera = ["--set", "camera={type: synthetic, size: [320, 240]}"]
    box = "regions=[{name: left, box: [0, 0, 321, 20]}]"
    assert main(["config", "check", *camera, "--set", box]) == 1
    assert "regions[0].box: [0.0, 0.0, 321.0, 20.0] reaches outside the frame of 320 x 240" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("camera", "module", "remedy"),
    [
        ("{type: picamera2}", "picamera2", "picamera2 is missing; only a Raspberry Pi has it"),
        ("{type: v4l2}", "cv2", "OpenCV can't be imported"),
        ("{type: stream, url: 'rtsp://camera.invalid/'}", "cv2", "OpenCV can't be imported"),
    ],
)
def test_a_missing_library_of_the_camera_is_noted(
    camera: str,
    module: str,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The service would wait for the camera, not end."""
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("edge_daemon.camera.factory.find_spec", lambda name: None)
    assert main(["config", "check", "--set", f"camera={camera}"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"edge-daemon: camera: {remedy}")


def test_an_installed_library_of_the_camera_is_not_imported() -> None:
    words = ["-m", "edge_daemon", "config", "check", "--set", "camera={type: v4l2}"]
    done = subprocess.run([sys.executable, "-X", "importtime", *words], capture_output=True, text=True)
    assert done.returncode == 0
    assert "edge_daemon.camera.factory" in done.stderr
    assert "| cv2" not in done.stderr
    assert "OpenCV" not in done.stderr


def test_a_check_makes_nothing(tmp_path: Path) -> None:
    store = tmp_path / "deep" / "examples.sqlite"
    assert main(["config", "check", "--set", "camera.type=synthetic", "--set", f"store.path={store}"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_store_in_use_passes_and_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path) as store:
        store.clear()
        before = sorted(os.listdir(tmp_path))
        words = ["--set", "camera.type=synthetic", "--set", f"store.path={path}"]
        assert main(["config", "check", *words]) == 0
        assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("mqtt={username: a, credential: edge_password}", "mqtt.credential"),
        (
            "camera={type: stream, url: 'rtsp://camera.invalid/', username: a, credential: edge_password}",
            "camera.credential",
        ),
    ],
)
def test_a_credential_that_only_the_service_can_read_is_noted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str, key: str
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert main(["config", "check", "--set", "camera.type=synthetic", "--set", setting]) == 0
    assert f"{key}: not read" in capsys.readouterr().err


def test_a_credential_that_the_service_lacks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    words = ["--set", "camera.type=synthetic", "--set", "mqtt={username: a, credential: edge_password}"]
    assert main(["config", "check", *words]) == 1
    assert f"{tmp_path}/edge_password" in capsys.readouterr().err


def test_what_was_set_on_the_page_is_shown_with_its_source_and_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    path, page = tmp_path / "c.yaml", tmp_path / "settings.yaml"
    path.write_text("camera: {type: synthetic}\nsmoothing:\n  window: 3\n")
    page.write_text("smoothing: {window: 9}\nregions: [{name: left, box: [0, 0, 1, 1]}]\n")
    words = ["--config", str(path)]
    assert main(["config", "show", *words]) == 0
    assert f"smoothing.window: 9  # {page}:1" in capsys.readouterr().out
    assert main(["config", "set", *words, "smoothing.window=4"]) == 0
    assert "smoothing.window was also set on the page, which comes first" in capsys.readouterr().err
    assert main(["config", "reset", *words]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{page}: removed; it had set smoothing.window, regions.")
    assert not page.exists()
    assert load_config(path).smoothing.window == 4
    assert main(["config", "reset", "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(page), "reset": []}
    assert main(["config", "reset", *words]) == 0
    assert capsys.readouterr().out == f"{page}: nothing was set on the page\n"


def test_a_damaged_file_of_the_page_is_named_by_the_check_and_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    page = tmp_path / "settings.yaml"
    page.write_text("smoothing: [\n")
    words = ["--set", "camera.type=synthetic"]
    assert main(["config", "check", *words]) == 0
    assert f"{page}:2: not YAML" in caplog.text
    assert main(["config", "reset", *words]) == 0
    assert not page.exists()


def test_a_user_resets_what_was_set_on_the_page_of_an_own_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    store = tmp_path / "my-examples.sqlite"
    page = Path(f"{store}.settings.yaml")
    page.write_text("smoothing: {window: 9}\n")
    words = ["--set", "camera.type=synthetic", "--set", f"store.path={store}"]
    assert main(["config", "show", *words]) == 0
    assert f"smoothing.window: 9  # {page}:1" in capsys.readouterr().out
    assert main(["config", "reset", *words]) == 0
    assert not page.exists()


def test_root_resets_what_was_set_on_the_page_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(paths, "SERVICE_STATE", tmp_path)
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    path, page = tmp_path / "c.yaml", tmp_path / "settings.yaml"
    path.write_text("camera: {type: synthetic}\n")
    page.write_text("smoothing: {window: 9}\n")
    assert main(["config", "set", "--config", str(path), "smoothing.window=4"]) == 0
    assert "smoothing.window was also set on the page" in capsys.readouterr().err
    assert main(["config", "show", "--config", str(path)]) == 0
    assert f"smoothing.window: 9  # {page}:1" in capsys.readouterr().out
    assert main(["config", "reset", "--config", str(path)]) == 0
    assert not page.exists()
