"""Correction of the times of examples that were stored before the clock was set."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

from edge_daemon.example_store.record import format_time
from edge_daemon.example_store.scene_record import SCENE_COLUMNS, read_scene, scene_checksum
from edge_daemon.example_store.store import ExampleStore

KEEP_REMOVED = timedelta(days=30)
"""Time for which removed examples can be restored."""

MIN_STEP_S = 60.0
"""Smallest step that is corrected; longer than the 10 s between two polls, so that times never overlap."""

_OF_THIS_BOOT = {"created_at": "boot_id IN ('', ?)", "removed_at": "? NOTNULL"}
"""SQL condition for each column: an example of another boot has a time of that boot's clock."""


def shift_times(
    store: ExampleStore, since: datetime, until: datetime, step: timedelta, boot_id: str = ""
) -> int:
    """Add `step` to the times of this device's examples and scenes from `since` to `until`.

    Returns the number of times of examples. Without the correction, an example that was removed offline,
    long after the last synchronisation, would seem as old as that and be purged at the next start. Raises
    StoreError.
    """
    period = (format_time(since), format_time(until))
    shifted = 0
    with store.transaction():
        for column, condition in _OF_THIS_BOOT.items():
            statement = (
                f"SELECT id, {column} FROM examples WHERE origin = '' AND {column} BETWEEN ? AND ?"
                f" AND {condition}"
            )
            for number, text in store.query(statement, *period, boot_id):
                with contextlib.suppress(ValueError):  # of a damaged row
                    corrected = format_time(datetime.fromisoformat(text) + step)
                    store.query(f"UPDATE examples SET {column} = ? WHERE id = ?", corrected, number)
                    shifted += 1
        statement = f"SELECT {SCENE_COLUMNS} FROM scenes WHERE created_at BETWEEN ? AND ?"
        for row in store.query(statement, *period):
            if scene := read_scene(row):
                corrected = format_time(scene.created_at + step)
                checksum = scene_checksum(scene.region, corrected, scene.source, scene.picture)
                update = "UPDATE scenes SET created_at = ?, checksum = ? WHERE id = ?"
                store.query(update, corrected, checksum, scene.id)
    return shifted
