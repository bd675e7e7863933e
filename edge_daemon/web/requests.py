"""From a request's body to a command. Pure: any bytes give a command or a RequestError."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from edge_daemon.domain import commands
from edge_daemon.domain.commands import Command, Origin
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import CommandReply
from edge_daemon.domain.labels import check_label

MAX_IDS = 1000
_MAX_ERROR_CHARACTERS = 200

_Kind = TypeVar("_Kind", bound=msgspec.Struct)
_Text = Annotated[str, Meta(max_length=64)]
_Ids = Annotated[tuple[Annotated[int, Meta(ge=1, le=2**63 - 1)], ...], Meta(min_length=1, max_length=MAX_IDS)]
_Edge = Annotated[float, Meta(ge=0, le=1)]


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of every request: unknown keys are refused."""


class Teach(_Body, frozen=True):
    """Teach `label` with the next frame of `region`; presses of one held button share a `burst`."""

    label: str
    region: _Text | None = None
    burst: _Text = ""


class TeachMoment(_Body, frozen=True):
    """Teach `label` with a doubtful moment."""

    moment: Annotated[int, Meta(ge=1)]
    label: str


class Nothing(_Body, frozen=True):
    """A request that needs no values."""


class Ids(_Body, frozen=True):
    """Some examples by their ids."""

    ids: _Ids


class Rename(_Body, frozen=True):
    """Give some examples another label."""

    ids: _Ids
    label: str


class Place(_Body, frozen=True):
    """Put a region elsewhere: x, y, width, height in fractions of the frame."""

    region: _Text
    box: tuple[_Edge, _Edge, _Edge, _Edge]


class Token(_Body, frozen=True):
    """What was entered at the door."""

    token: Annotated[str, Meta(max_length=1000)]


BODIES: dict[str, type[_Body]] = {
    "teach": Teach,
    "moment": TeachMoment,
    "undo": Nothing,
    "remove": Ids,
    "restore": Ids,
    "relabel": Rename,
    "region": Place,
}
"""What may be asked, by the name it has in the request's path."""


def read_command(verb: str, body: bytes, now_s: float, transaction: int) -> Command:
    """Return the command that a request means. Raises RequestError, LabelError.

    `now_s` (monotonic) is when it came: an example shows the first frame after it.
    """
    origin = Origin("web", verb, transaction)
    match read_body(body, BODIES[verb]):
        case Teach() as teach:
            return commands.AddExample(check_label(teach.label), now_s, origin, teach.region, teach.burst)
        case TeachMoment() as late:
            return commands.LabelSample(check_label(late.label), now_s, origin, sample=late.moment)
        case Ids() as some:
            return (commands.Remove if verb == "remove" else commands.Restore)(some.ids, origin)
        case Rename() as rename:
            return commands.Relabel(rename.ids, check_label(rename.label), origin)
        case Place() as place:
            return commands.MoveRegion(place.region, place.box, origin)
    return commands.Undo(origin)


def read_body(body: bytes, kind: type[_Kind]) -> _Kind:
    """Read JSON of a known shape. Raises RequestError saying what is wrong with it."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise RequestError(f"the request can't be read: {exc}"[:_MAX_ERROR_CHARACTERS]) from exc


MAX_WAITING = 64
PATIENCE_S = 8.0
"""Longer than the pipeline waits for a frame, so that its own word on the matter comes first."""


class CommandClient:
    """Submits commands and hands out replies. Used from the page's thread alone."""

    def __init__(self, submit: Callable[[Command], bool], patience_s: float = PATIENCE_S) -> None:
        self._submit = submit
        self._patience_s = patience_s
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[CommandReply]] = {}

    async def ask(self, make: Callable[[int], Command]) -> Mapping[str, object]:
        """Submit the command that `make(transaction)` gives; return what it answers.

        Raises RequestError when it is refused, not taken, or not answered in time.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError("too many requests are waiting; try again")
        number = next(self._numbers)
        command = make(number)
        waiting: asyncio.Future[CommandReply] = asyncio.get_running_loop().create_future()
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

    def take(self, reply: CommandReply) -> None:
        """Take a reply to one of our commands."""
        number = reply.command.origin.transaction
        waiting = self._waiting.get(number) if isinstance(number, int) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)
