"""Changes that other processes make to the store, loaded from time to time."""

from __future__ import annotations

import logging

from edge_daemon.domain.errors import EdgeError
from edge_daemon.domain.events import Event
from edge_daemon.teaching.trainer import Trainer

log = logging.getLogger(__name__)

STORE_POLL_S = 2.0


class StorePoll:
    """Maintains the store and loads its changes, every STORE_POLL_S seconds from `now` (monotonic) on."""

    def __init__(self, trainer: Trainer, now: float) -> None:
        self._trainer = trainer
        self._polled_s = now
        self._unreadable = False

    def advance(self, now: float) -> list[Event]:
        """Return the events of the changes, if they are due; a store that can't be read is tried again."""
        if now - self._polled_s < STORE_POLL_S:
            return []
        self._polled_s = now
        try:
            self._trainer.maintain_store(now)
        except EdgeError as exc:
            log.debug("the store is maintained later: %s", exc)
        try:
            happened = list(self._trainer.reload_if_changed())
        except EdgeError as exc:
            log.log(
                logging.DEBUG if self._unreadable else logging.WARNING, "the store can't be read: %s", exc
            )
            self._unreadable = True
            return []
        self._unreadable = False
        return happened
