"""Correction of the times of this boot's examples, retried until the store can be changed."""

from __future__ import annotations

from datetime import timedelta

from edge_daemon.domain.commands import ClockSet
from edge_daemon.example_store.clock_correction import MIN_STEP_S, shift_times
from edge_daemon.example_store.store import ExampleStore


class TimeCorrection:
    """Corrects the store after the clock was set by a minute or more. Owned by the store's thread.

    A correction that fails, as while another process has locked the store, is made by a later call of `run`.
    Examples that are added meanwhile have the right time, which is later than the times to correct.
    """

    def __init__(self, store: ExampleStore, boot_id: str) -> None:
        self._store = store
        self._boot_id = boot_id
        self._due: list[ClockSet] = []

    def add(self, change: ClockSet) -> None:
        """Make a correction due."""
        if change.step_s >= MIN_STEP_S:
            self._due.append(change)

    def run(self) -> None:
        """Make the corrections that are due, in their order. Raises StoreError and then keeps the rest."""
        while self._due:
            change = self._due[0]
            step = timedelta(seconds=change.step_s)
            shift_times(self._store, change.since, change.until, step, self._boot_id)
            del self._due[0]
