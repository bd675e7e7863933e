"""`run --check`: a dry start beside a running daemon."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.cli.main import main
from edge_daemon.example_store import schema
from edge_daemon.example_store.store import ExampleStore


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"camera: {{type: replay, path: {tmp_path}}}\nmodel: {{features: patch}}\n"
        f"store: {{path: {tmp_path}/state/examples.sqlite}}\nmqtt: {{host: 192.0.2.1}}\n"
        "buttons: [{pin: 17, label: red}, {pin: 27, action: undo}]\n"
    )
    (tmp_path / "a.png").write_bytes((Path(__file__).parents[2] / "docs/page-phone.png").read_bytes())
    (tmp_path / "state").mkdir()
    return path


def check(config: Path, *words: str) -> int:
    return main(["run", "--check", "--config", str(config), *words])


def test_it_reports_a_valid_configuration_and_creates_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(config) == 0
    assert capsys.readouterr().out.endswith(f" starts with {config}\n")
    assert list((config.parent / "state").iterdir()) == []


def test_an_older_store_is_converted_in_the_copy_only(config: Path) -> None:
    path = config.parent / "state/examples.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        schema.migrate(connection, path, schema.MIGRATIONS[:1])
    before = path.read_bytes()
    assert check(config) == 0
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_store_in_use_is_not_changed(config: Path) -> None:
    with ExampleStore(config.parent / "state/examples.sqlite") as store:
        with store.transaction():
            store.add(np.ones(8, np.float32), "red")
            assert check(config) == 0
        assert store.counts == {"red": 1}


def test_a_store_of_a_newer_program_is_rejected_in_one_line(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config.parent / "state/examples.sqlite"
    ExampleStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert check(config) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "has version 99, this program reads up to" in line


def test_a_database_of_another_program_is_rejected_in_one_line(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config.parent / "state/examples.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    assert check(config) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "is a database of another program" in line


@pytest.mark.parametrize("damaged", [bytes(4096) + b"junk", b"\xff" * 9000, b"SQLite dormat\0 3" * 900])
def test_a_damaged_store_does_not_stop_a_start(config: Path, damaged: bytes) -> None:
    path = config.parent / "state/examples.sqlite"
    path.write_bytes(damaged)
    assert check(config) == 0
    assert path.read_bytes() == damaged


def test_a_damaged_store_that_a_daemon_used_does_not_stop_a_start(config: Path) -> None:
    path = config.parent / "state/examples.sqlite"
    path.write_bytes(b"no database" * 1000)
    Path(f"{path}.lock").write_text("77\n")
    assert check(config) == 0
    assert path.read_bytes() == b"no database" * 1000


def test_a_file_that_never_was_a_store_stops_a_start(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config.parent / "state/examples.sqlite"
    path.write_bytes(b"no database" * 1000)
    assert check(config) == 1
    assert "is no example store" in capsys.readouterr().err
    assert path.read_bytes() == b"no database" * 1000


@pytest.mark.parametrize("change", ["model={name: nosuch}", "trigger=gpio", "camera.path=/nonexistent"])
def test_it_fails_where_a_start_would_fail(
    config: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(config, "--set", change) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_credential_of_the_service_is_noted_and_its_part_skipped(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert check(config, "--set", "mqtt.username=a", "--set", "mqtt.credential=edge_mqtt-password") == 0
    assert "mqtt.credential: not read" in capsys.readouterr().err


def test_a_missing_password_is_rejected(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(os.environ, "CREDENTIALS_DIRECTORY", str(tmp_path))
    assert check(config, "--set", "mqtt.username=a", "--set", "mqtt.credential=edge_mqtt-password") == 1
    assert "edge_mqtt-password" in capsys.readouterr().err
