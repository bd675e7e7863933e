"""The times of examples that were stored while the clock was behind."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

from edge_daemon.example_store.store import ExampleStore

KEEP_REMOVED = timedelta(days=30)
"""How long what was taken back can be restored."""

LEAST_STEP_S = 60.0
"""The smallest step that is corrected; more than the 10 s between two looks, so that times never overlap."""

_COLUMNS = ("created_at", "removed_at")


def shift_times(store: ExampleStore, since: datetime, until: datetime, step: timedelta) -> int:
    """Add `step` to the times of our own examples from `since` to `until`; return the number of times.

    An example removed offline, long after the last synchronisation, would else seem to be that old and be
    purged at the next start. Raises StoreError.
    """
    shifted = 0
    with store.transaction():
        for column in _COLUMNS:
            statement = f"SELECT id, {column} FROM examples WHERE origin = '' AND {column} BETWEEN ? AND ?"
            for number, text in store.query(statement, _stamp(since), _stamp(until)):
                with contextlib.suppress(ValueError):  # of a damaged row
                    right = _stamp(datetime.fromisoformat(text) + step)
                    store.query(f"UPDATE examples SET {column} = ? WHERE id = ?", right, number)
                    shifted += 1
    return shifted


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
