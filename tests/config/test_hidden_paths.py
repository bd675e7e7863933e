"""Paths that `ProtectHome=` of the unit hides from the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.config.hidden_paths import hidden_folder, hidden_paths
from edge_daemon.config.schema import load_config

UNIT = Path(__file__).parents[2] / "systemd/edge-daemon.service"


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("/home/ada/pictures", "/home"),
        ("/root/model.tflite", "/root"),
        ("/run/user/1000/x", "/run/user"),
        ("/srv/../home/ada", "/home"),
        ("/homes/ada", None),
        ("/var/lib/edge_daemon/x", None),
        ("home/ada", None),
        ("", None),
    ],
)
def test_the_folders_of_users_are_hidden(path: str, folder: str | None) -> None:
    assert hidden_folder(path) == folder


def test_a_link_into_a_home_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/home/ada")
    assert hidden_folder(str(tmp_path / "link/x")) == "/home"


def test_each_key_is_named_with_a_remedy() -> None:
    overrides = [
        "camera.type=replay",
        "camera.path=/home/ada/pictures",
        "mqtt.tls.ca_file=/root/ca.pem",
        "store.path=/var/lib/edge_daemon/examples.sqlite",
    ]
    found = [fault for _, fault in hidden_paths(load_config(overrides=overrides))]
    assert [fault.partition(":")[0] for fault in found] == ["camera.path", "mqtt.tls.ca_file"]
    assert all("put the file elsewhere, such as in /var/lib/edge_daemon" in fault for fault in found)


def test_the_unit_hides_them() -> None:
    assert "ProtectHome=yes" in UNIT.read_text().splitlines()
