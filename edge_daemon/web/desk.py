"""Where requests become commands and wait for their outcome."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping

from edge_daemon.commands import Command
from edge_daemon.errors import RequestError
from edge_daemon.events import Replied

MAX_WAITING = 64
PATIENCE_S = 8.0
"""Longer than the pipeline waits for a frame, so that its own word on the matter comes first."""


class Desk:
    """Submits commands and hands out replies. Used from the page's thread alone."""

    def __init__(self, submit: Callable[[Command], bool], patience_s: float = PATIENCE_S) -> None:
        self._submit = submit
        self._patience_s = patience_s
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Replied]] = {}

    async def ask(self, make: Callable[[int], Command]) -> Mapping[str, object]:
        """Submit the command that `make(transaction)` gives; return what it answers.

        Raises RequestError when it is refused, not taken, or not answered in time.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError("too many requests are waiting; try again")
        number = next(self._numbers)
        command = make(number)
        waiting: asyncio.Future[Replied] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            if not self._submit(command):
                raise RequestError("the device is too busy to take this; try again")
            reply = await asyncio.wait_for(waiting, self._patience_s)
        except TimeoutError as exc:
            raise RequestError(f"the device did not answer within {self._patience_s:g} s") from exc
        finally:
            del self._waiting[number]
        if reply.error is not None:
            raise RequestError(reply.error)
        return reply.data

    def take(self, reply: Replied) -> None:
        """Take a reply to one of our commands."""
        number = reply.command.origin.transaction
        waiting = self._waiting.get(number) if isinstance(number, int) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)
