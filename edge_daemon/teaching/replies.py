"""What becomes of a command that fails: it is answered, and nothing else ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from edge_daemon.domain.commands import Command
from edge_daemon.domain.errors import EdgeError
from edge_daemon.domain.events import CommandReply, Event

log = logging.getLogger(__name__)


def reply_on_error(command: Command, happening: Iterator[Event]) -> Iterator[Event]:
    """Pass on what happens as it does; an EdgeError answers the command."""
    try:
        yield from happening
    except EdgeError as exc:
        yield error_reply(command, exc)


def error_reply(command: Command, exc: EdgeError) -> CommandReply:
    """Answer a command that can't be done, and log why."""
    log.warning("%s refused: %s", type(command).__name__, exc)
    return CommandReply(command, error=str(exc))
