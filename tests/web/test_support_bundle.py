"""The support bundle holds no secret."""

from __future__ import annotations

import io
import json
import logging
import zipfile

import pytest

from edge_daemon.web.support_bundle import MAX_LINES, LogTail, write_bundle


def test_secrets_are_redacted_in_settings_checks_and_log() -> None:
    settings = {
        "mqtt": {
            "host": "broker",
            "username": "ada",
            "password_file": "/etc/edge/password",
            "extra": [{"api_key": "hunter2"}, "mqtt://ada:hunter2@broker/x"],
        },
        "web": {"token": "hunter2", "listen": 8080},
    }
    log = ["INFO connecting to mqtt://ada:hunter2@broker", "token=hunter2 was refused", "plain line"]
    content = write_bundle(settings, [{"name": "Broker", "value": "password: hunter2"}], log)
    archive = zipfile.ZipFile(io.BytesIO(content))
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"hunter2" not in everything
    assert b"ada" not in everything
    kept = json.loads(archive.read("settings.json"))
    assert kept["mqtt"]["host"] == "broker"
    assert kept["mqtt"]["password_file"] == "/etc/edge/password"
    assert kept["web"]["listen"] == 8080
    assert b"plain line" in archive.read("log.txt")


def test_a_secret_in_a_cut_line_is_redacted() -> None:
    tail = LogTail()
    tail.attach()
    try:
        log = logging.getLogger("edge_daemon.test")
        log.warning("camera lost: rtsp://ada:%s@cam/1 is gone", "hun/ter@2" * 60)
        log.warning("plain %d", 1)
        assert tail.lines()[0].endswith("rtsp://(left out)@cam/1 is gone")
        for number in range(2 * MAX_LINES):
            log.warning("password=hunter2, line %d", number)
        lines = tail.lines()
    finally:
        tail.close()
    assert len(lines) == MAX_LINES
    assert "hunter2" not in "".join(lines)
    assert lines[-1].endswith(f"line {2 * MAX_LINES - 1}")


def test_a_bundle_can_be_written_before_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    archive = zipfile.ZipFile(io.BytesIO(write_bundle({}, [], ["line \udcff"])))
    assert archive.testzip() is None
    assert archive.read("log.txt").startswith(b"line ")
