"""The model of a store's examples, for a configuration that names none.

Without `model.name` the default model is used. A store that was taught with a former default keeps that one,
so that its examples stay in use after an upgrade.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from edge_daemon.example_store.store_file import may_write, open_existing, open_unwritable
from edge_daemon.models.registry import DEFAULT_MODEL, shipped_manifests


def stored_model(path: Path) -> str | None:
    """Return the shipped model in whose spaces most of a store's examples are; the default one among equals.

    None for a store without such examples, or one that can't be read. No file is made, no example changed.
    """
    spaces = _spaces(path)
    if not spaces:
        return None
    counts = {
        manifest.name: sum(
            count
            for space, count in spaces.items()
            if space.startswith(f"{manifest.name}-{manifest.sha256[:8]}/")
        )
        for manifest in shipped_manifests()
        if not manifest.can_be_pulled
    }
    best = max(counts, key=lambda name: (counts[name], name == DEFAULT_MODEL))
    return best if counts[best] else None


def _spaces(path: Path) -> dict[str, int]:
    if not os.path.isfile(path):
        return {}
    try:
        with closing(open_existing(path) if may_write(path) else open_unwritable(path)) as connection:
            return dict(
                connection.execute(
                    "SELECT space, count(*) FROM examples WHERE removed_at IS NULL GROUP BY space"
                )
            )
    except sqlite3.Error:
        return {}  # the command that opens the store to use it reports the error
