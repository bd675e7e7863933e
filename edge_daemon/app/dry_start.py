"""Dry start: build the daemon without running it, before a new program or configuration replaces another.

`preflight` checks the settings only. A dry start builds the daemon on a copy of the examples, which a newer
program may have to convert. It opens no camera, pin or port and connects to nothing, so another daemon may
run at the same time.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from edge_daemon.app.build import build
from edge_daemon.app.model_factory import store_path
from edge_daemon.app.preflight import unread_credentials
from edge_daemon.config.schema import Config
from edge_daemon.example_store.store_file import copy_database
from edge_daemon.system.file_owner import as_owner_of
from edge_daemon.system.sqlite import CorruptStoreError, sqlite_errors_of


def dry_start(config: Config) -> None:
    """Build the daemon and close it. Raises the EdgeError that a start would raise."""
    path = store_path(config)
    folder = path.parent if os.access(path.parent, os.W_OK) else None
    # Beside the store, because the default folder for temporary files may be in memory.
    with as_owner_of(path.parent), TemporaryDirectory(prefix=".edge-daemon-", dir=folder) as temporary:
        copy = Path(temporary) / path.name
        if os.access(path, os.R_OK):
            with suppress(CorruptStoreError), sqlite_errors_of(path):  # a start moves a damaged file aside
                copy_database(path, copy)
        build(_on_copy(config, copy)).close()


def _on_copy(config: Config, store: Path) -> Config:
    """Return the configuration with another store, and without parts that need the service's credentials."""
    switches = {"fleet": "group", "mqtt": "host", "web": "listen"}
    sections = {"store": msgspec.structs.replace(config.store, path=str(store))}
    for key in unread_credentials(config):
        name = key.partition(".")[0]
        if name not in switches:
            continue  # a camera is not opened
        sections[name] = msgspec.structs.replace(getattr(config, name), **{switches[name]: None})
    return msgspec.structs.replace(config, **sections)
