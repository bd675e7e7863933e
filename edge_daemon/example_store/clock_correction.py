"""Correction of the times of examples that were stored before the clock was set."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

from edge_daemon.example_store.record import format_time
from edge_daemon.example_store.store import ExampleStore

KEEP_REMOVED = timedelta(days=30)
"""Time for which removed examples can be restored."""

MIN_STEP_S = 60.0
"""Smallest step that is corrected; longer than the 10 s between two polls, so that times never overlap."""

_COLUMNS = ("created_at", "removed_at")


def shift_times(store: ExampleStore, since: datetime, until: datetime, step: timedelta) -> int:
    """Add `step` to the times of this device's examples from `since` to `until`; return their number.

    Without the correction, an example that was removed offline, long after the last synchronisation, would
    seem as old as that and be purged at the next start. Raises StoreError.
    """
    shifted = 0
    with store.transaction():
        for column in _COLUMNS:
            statement = f"SELECT id, {column} FROM examples WHERE origin = '' AND {column} BETWEEN ? AND ?"
            for number, text in store.query(statement, format_time(since), format_time(until)):
                with contextlib.suppress(ValueError):  # of a damaged row
                    corrected = format_time(datetime.fromisoformat(text) + step)
                    store.query(f"UPDATE examples SET {column} = ? WHERE id = ?", corrected, number)
                    shifted += 1
    return shifted
