"""The support bundle: no secret leaves the device."""

from __future__ import annotations

import io
import json
import zipfile

from edge_daemon.web.bundle import write_bundle


def test_secrets_are_left_out_wherever_they_stand() -> None:
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
