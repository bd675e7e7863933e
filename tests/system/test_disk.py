"""The folder for large temporary files."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.system.disk import disk_folder, temporary_folder


def test_a_temporary_folder_is_private_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with temporary_folder() as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "large").write_bytes(bytes(100))
    assert list(tmp_path.iterdir()) == []


def test_a_place_for_temporary_files_that_does_not_exist_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere")
    assert disk_folder() == "/var/tmp"
