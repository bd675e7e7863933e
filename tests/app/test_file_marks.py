"""Files of the configuration whose change a reload must notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.app.preflight import file_marks
from edge_daemon.config.schema import load_config


@pytest.mark.parametrize(
    "camera",
    [
        "{type: picamera2, tuning_file: %s}",
        "{type: replay, path: %s}",
        "{type: stream, url: 'http://cam.local/jpeg', username: ada, password_file: %s}",
    ],
)
def test_a_reload_notices_the_changed_file_of_the_camera(tmp_path: Path, camera: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b"before")
    config = load_config(None, ["camera=" + camera % path])
    before = file_marks(config)
    assert file_marks(config) == before
    path.write_bytes(b"another content")
    assert file_marks(config) != before


@pytest.mark.parametrize("changed", ["letters.labels.txt", "labels.txt", "letters.tflite", "delegate.so"])
def test_a_reload_notices_each_changed_file_of_the_model(tmp_path: Path, changed: str) -> None:
    for name in ("letters.tflite", "delegate.so"):
        (tmp_path / name).write_bytes(b"before")
    config = load_config(
        None,
        [
            f"model={{name: {tmp_path}/letters.tflite, delegate: {tmp_path}/delegate.so}}",
            "classifier.type=pretrained",
        ],
    )
    before = file_marks(config)
    assert file_marks(config) == before
    (tmp_path / changed).write_bytes(b"a\nb\n")
    assert file_marks(config) != before
