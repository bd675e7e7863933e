"""`config set` changes what was asked for and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from edge_daemon.config.camera import BrowserOptions
from edge_daemon.config.schema import load_config

WRITTEN = "# mine\nmqtt:\n  host: localhost   # here\n"


def test_set_changes_the_file_and_keeps_its_comments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(WRITTEN)
    words = [
        "config",
        "set",
        "--config",
        str(path),
        "mqtt.host=broker.local",
        "web.listen=8080",
        "mqtt.port=1883",
    ]
    assert main(words) == 0
    assert path.read_text() == ("# mine\nmqtt:\n  host: broker.local   # here\nweb:\n  listen: 8080\n")
    assert capsys.readouterr().out == f"{path}: changed\n"
    assert main(words) == 0
    assert "unchanged" in capsys.readouterr().out
    assert main(["config", "set", "--json", "--config", str(path), "mqtt.host=null"]) == 0
    assert load_config(path).mqtt.host is None


def test_set_writes_the_last_of_two_values_of_a_key(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("mqtt:\n  port: 1883\n")
    assert main(["config", "set", "--config", str(path), "mqtt.port=1884", "mqtt.port=1883"]) == 0
    assert path.read_text() == "mqtt:\n  port: 1883\n"


def test_set_writes_a_value_that_is_the_default_of_another_camera_only(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("web:\n  listen: 8080\n")
    assert main(["config", "set", "--config", str(path), "camera.fps=15.0", "camera.type=browser"]) == 0
    assert load_config(path).camera == BrowserOptions(fps=15.0)


def test_set_repairs_a_file_that_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("web:\n  listen: 0\n")
    assert main(["config", "set", "--config", str(path), "web.listen=8080"]) == 0
    assert path.read_text() == "web:\n  listen: 8080\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("web.listen=99999", "config set: web.listen: expected `int` <= 65535"),
        ("mqtt.hots=a", "config set: mqtt.hots: unknown key; did you mean 'host'?"),
        ("mqtt={host: a}", "config set mqtt={host: a}: only one value of a section"),
        ("mqtt.tls.enabled=true", "only one value of a section"),
        ("web.hosts=[a]", "only one value of a section"),
        ("web.listen", "config set web.listen: expected key.path=value"),
        ("mqtt.host=[", "config set mqtt.host:1: not YAML"),
        ("0=1", "config set 0=1: 0 is not a key"),
        ("regions[x]=1", "config set regions[x]=1: [x] is no index"),
    ],
)
def test_set_refuses_a_change_in_one_line_and_writes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, said: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(WRITTEN)
    assert main(["config", "set", "--config", str(path), "mqtt.port=1884", change]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert said in line
    assert "--set" not in line
    assert path.read_text() == WRITTEN


def test_set_makes_a_missing_file_and_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "etc" / "config.yaml"
    words = ["config", "set", "--config", str(path)]
    assert main([*words, "camera.type=v4l2", "web.listen=8080"]) == 0
    assert path.read_text() == "camera:\n  type: v4l2\nweb:\n  listen: 8080\n"
    assert capsys.readouterr().out == f"{path}: made, as there was no such file\n"
    assert main([*words, "camera.type=synthetic"]) == 0
    assert capsys.readouterr().out == f"{path}: changed\n"
    assert [each.name for each in path.parent.iterdir()] == ["config.yaml"]


def test_root_makes_a_file_that_the_service_can_read(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "config.yaml"
    before = os.umask(0o077)
    try:
        assert main(["config", "set", "--config", str(path), "camera.type=v4l2"]) == 0
    finally:
        os.umask(before)
    mode = 0o644 if os.geteuid() == 0 else 0o600
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("change", ["camera.type=foo", "mqtt.prot=1", "web.listen=0"])
def test_a_wrong_value_makes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str) -> None:
    path = tmp_path / "etc" / "config.yaml"
    assert main(["config", "set", "--config", str(path), change]) == 1
    assert change.partition("=")[0] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_can_not_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nowhere")
    for name in ("file/config.yaml", "dangling.yaml"):
        path = tmp_path / name
        assert main(["config", "set", "--config", str(path), "camera.type=v4l2"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{path}: can't be read" in line


@pytest.mark.parametrize(
    ("text", "change", "said"),
    [
        ("mqtt: {host: a}\n", "mqtt.prot=1", "mqtt.prot: unknown key; did you mean 'port'?"),
        ("mqtt: {host: a}\n", "mqtt.port=0", "mqtt.port: expected `int` >= 1"),
        ("camera: {type: synthetic}\n", "camera.type=foo", "camera.type: 'foo' is none of"),
        ("{camera: {type: synthetic}}\n", "camera.type=foo", "camera.type: 'foo' is none of"),
    ],
)
def test_no_wrong_value_is_recommended_for_a_file_in_flow_style(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, change: str, said: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    assert main(["config", "set", "--config", str(path), change]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "Write" not in line
    assert path.read_text() == text
