"""Deletion of the examples that were removed long ago, on devices that run for years."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from edge_daemon.domain.errors import StoreError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.example_store.clock_correction import KEEP_REMOVED
from edge_daemon.example_store.store import ExampleStore

log = logging.getLogger(__name__)

INTERVAL_S: Final = timedelta(days=1).total_seconds()


class RemovedPurge:
    """Purges the store when it is first asked, and then once a day. Owned by the store's thread.

    `is_synced` returns whether the wall clock is synchronised, None if that is unknown. A clock that is not
    would make examples seem older than they are: nothing is deleted then.
    """

    def __init__(self, store: ExampleStore, clock: Clock, is_synced: Callable[[], bool | None]) -> None:
        self._store = store
        self._clock = clock
        self._is_synced = is_synced
        self._due_s = clock.monotonic()

    def run_if_due(self) -> None:
        """Delete what was removed `KEEP_REMOVED` ago; after a store error the next day tries again."""
        now = self._clock.monotonic()
        if now < self._due_s:
            return
        self._due_s = now + INTERVAL_S
        if self._is_synced() is False:
            return
        try:
            self._store.purge(self._clock.utc() - KEEP_REMOVED)
        except StoreError as exc:
            log.info("removed examples are not purged yet: %s", exc)
