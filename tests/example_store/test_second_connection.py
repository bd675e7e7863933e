"""A second connection makes no file in the place of a store that was deleted under its daemon."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.app.sink_factory import export_examples
from edge_daemon.domain.errors import EdgeError
from edge_daemon.example_store.archive import write_archive
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.web.archive_upload import ArchiveUpload
from edge_daemon.web.example_browser import ExampleBrowser


def _export(store: Path, archive: Path) -> None:
    export_examples(store, io.BytesIO())


def _list(store: Path, archive: Path) -> None:
    ExampleBrowser(store, "model").list({})


def _upload(store: Path, archive: Path) -> None:
    upload = ArchiveUpload(store, "model", time.monotonic)
    upload.write("1", 0, archive.read_bytes())
    upload.finish("1", archive.name)


@pytest.mark.parametrize("use", [_export, _list, _upload])
@pytest.mark.parametrize("folder_too", [False, True])
def test_a_deleted_store_is_not_made_again_and_returns_with_its_examples(
    use: Callable[[Path, Path], None], folder_too: bool, tmp_path: Path
) -> None:
    disk, other, archive = tmp_path / "disk", tmp_path / "other", tmp_path / "archive.zip"
    disk.mkdir()
    with ExampleStore.open_or_recover(disk / "examples.sqlite") as store:
        store.add(np.array([1.0, 0.0], np.float32), "cat", space="model")
        write_archive(store, archive)
        if folder_too:
            disk.rename(other)
        else:
            shutil.copytree(disk, other)
            for file in disk.iterdir():
                file.unlink()
        with pytest.raises(EdgeError, match=r"was deleted|can.t be kept"):
            use(disk / "examples.sqlite", archive)
        assert not (disk / "examples.sqlite").exists()
        assert store.counts == {"cat": 1}

    shutil.copytree(other, disk, dirs_exist_ok=True)
    with ExampleStore(disk / "examples.sqlite") as store:
        assert store.counts == {"cat": 1}
