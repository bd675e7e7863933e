"""Requests to the supervisor: reloads, and changes of the configuration that a caller waits for."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Protocol

from edge_daemon.config.schema import LoadedConfig
from edge_daemon.domain.errors import RequestError

CHANGE_TIMEOUT_S = 60.0
"""Longest time that a change is prepared: a large model is loaded in some seconds, on a busy board."""


class ConfigChange(Protocol):
    """A change of the configuration that is kept. Its methods are called one at a time."""

    def load(self) -> LoadedConfig:
        """Return the changed configuration; nothing is written. Raises EdgeError."""

    def commit(self) -> None:
        """Write the change, after all checks have passed. Raises EdgeError."""

    def revert(self, working: LoadedConfig, reason: str) -> None:
        """Write what the last configuration that worked had: the new daemon failed before its first frame."""


class ChangeRequest:
    """A change and its outcome: None once it is written, or the exception that refused it.

    The serving thread marks it as running first; the caller may have withdrawn it.
    """

    def __init__(self, change: ConfigChange) -> None:
        self.change = change
        self.outcome: Future[None] = Future()


class ReloadRequests:
    """The requests of any thread or signal handler, for one thread that serves them."""

    def __init__(self) -> None:
        # A signal handler may call `put` during a `put`; an Event's `set` would wait for its own lock.
        self._queue: SimpleQueue[bool | ChangeRequest] = SimpleQueue()

    def reload(self) -> None:
        """Request a reload; several pending ones count as one."""
        self._queue.put(True)

    def end(self) -> None:
        """Request the end of the serving thread."""
        self._queue.put(False)

    def apply(self, change: ConfigChange) -> None:
        """Request a change and wait until it is written. Raises the EdgeError that refused it.

        A change whose turn has not come after CHANGE_TIMEOUT_S is withdrawn.
        """
        request = ChangeRequest(change)
        self._queue.put(request)
        try:
            request.outcome.result(CHANGE_TIMEOUT_S)
        except TimeoutError as exc:
            waited = f"{CHANGE_TIMEOUT_S:g} s"
            if request.outcome.cancel():
                raise RequestError(f"the change was not checked within {waited}; try again") from exc
            raise RequestError(
                f"the change is still being checked after {waited}; it is shown once it is in use"
            ) from exc

    def pop(self) -> list[bool | ChangeRequest]:
        """Wait for a request, and return all pending ones: True is a reload, False the end."""
        found = [self._queue.get()]
        with contextlib.suppress(Empty):
            while True:
                found.append(self._queue.get_nowait())
        return list(dict.fromkeys(found))
