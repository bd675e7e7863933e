"""Requests of the page: a body becomes a command, which the pipeline executes and answers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from edge_daemon.domain import commands
from edge_daemon.domain.commands import Command, Origin
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import CommandReply
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.request_errors import explain_request
from edge_daemon.system.json_input import decode_json

MAX_IDS = 2000
"""As many as the page lists. Their digits have room in a body of 16 kB up to id 9,999,999."""
MAX_PENDING = 64
TIMEOUT_S = 150.0
"""Longer than the pipeline waits for frames of a slow camera and then for the store, so that its own reply
comes first."""

_MAX_ERROR_CHARACTERS = 200

_Kind = TypeVar("_Kind", bound=msgspec.Struct)
_Text = Annotated[str, Meta(max_length=64)]
_Number = Annotated[int, Meta(ge=1, le=commands.MAX_NUMBER)]
_Ids = Annotated[tuple[_Number, ...], Meta(min_length=1, max_length=MAX_IDS)]
_Scalar: TypeAlias = bool | int | float | str | None


class RequestBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of every request body: unknown keys are refused."""


class TeachBody(RequestBody, frozen=True):
    """Teach `label` with the next frame of `region`; the examples of one held button share a `burst`."""

    label: str
    region: _Text | None = None
    burst: _Text = ""


class LabelBody(RequestBody, frozen=True):
    """Label the uncertain sample of number `sample`."""

    sample: _Number
    label: str


class IdsBody(RequestBody, frozen=True):
    """The ids of the examples to change."""

    ids: _Ids


class RelabelBody(RequestBody, frozen=True):
    """Give the examples of these ids another label."""

    ids: _Ids
    label: str


class ChangeBody(RequestBody, frozen=True):
    """Undo or redo the change of this number, by default the latest."""

    change: _Number | None = None


class RenameBody(RequestBody, frozen=True):
    """Rename a label that has examples to one that has none."""

    label: str
    to: str


class MergeBody(RequestBody, frozen=True):
    """Give all examples of some labels one label."""

    labels: Annotated[tuple[str, ...], Meta(min_length=1, max_length=200)]
    into: str


class ClearBody(RequestBody, frozen=True):
    """Remove all examples of a label."""

    label: str


class PictureQuery(RequestBody, frozen=True):
    """Teach `label` with the picture file in the body; the files of one upload share a `batch`."""

    label: str
    name: Annotated[str, Meta(max_length=1000)] = "picture"
    region: _Text | None = None
    batch: _Text = ""


class PieceQuery(RequestBody, frozen=True):
    """A piece of the archive `upload`, from byte `offset` on; none and a `name` once it is complete."""

    upload: _Text
    offset: Annotated[int, Meta(ge=0)] = 0
    name: Annotated[str, Meta(max_length=1000)] = ""


class SettingsBody(RequestBody, frozen=True):
    """Change `settings`, by section of the configuration; null gives a value back to the configuration.

    `revision` is that of the settings that the client has seen. The configuration checks the values.
    """

    settings: dict[str, _Scalar | dict[str, _Scalar] | list[dict[str, str | list[float]]]]
    revision: str


class SceneBody(RequestBody, frozen=True):
    """Learn, show or forget the scene of `region`, of every region if it is None."""

    region: _Text | None = None
    action: Literal["learn", "show", "forget"] = "learn"


class LoginBody(RequestBody, frozen=True):
    """The token submitted by the login form."""

    token: Annotated[str, Meta(max_length=1000)]


BODIES: dict[str, type[RequestBody]] = {
    "teach": TeachBody,
    "label": LabelBody,
    "undo": ChangeBody,
    "redo": ChangeBody,
    "rename": RenameBody,
    "merge": MergeBody,
    "clear": ClearBody,
    "remove": IdsBody,
    "restore": IdsBody,
    "relabel": RelabelBody,
    "scene": SceneBody,
}
"""The body of each command, by the command's name in the request's path."""


def read_command(verb: str, body: bytes, now_s: float, transaction: int) -> Command:
    """Return the command of a request. Raises RequestError, LabelError.

    `now_s` (monotonic) is the time of the request: an example shows the first frame after it.
    """
    origin = Origin("web", verb, transaction)
    match read_body(body, BODIES[verb]):
        case TeachBody() as teach:
            return commands.AddExample(check_label(teach.label), now_s, origin, teach.region, teach.burst)
        case LabelBody() as late:
            return commands.LabelSample(check_label(late.label), now_s, origin, sample=late.sample)
        case IdsBody() as some:
            return (commands.Remove if verb == "remove" else commands.Restore)(some.ids, origin)
        case RelabelBody() as relabel:
            return commands.Relabel(relabel.ids, check_label(relabel.label), origin)
        case ChangeBody() as change:
            return (commands.Undo if verb == "undo" else commands.Redo)(origin, change.change)
        case RenameBody() as rename:
            return commands.Rename(check_label(rename.label), check_label(rename.to), origin)
        case MergeBody() as merge:
            return commands.Merge(tuple(map(check_label, merge.labels)), check_label(merge.into), origin)
        case ClearBody() as clear:
            return commands.Clear(origin, check_label(clear.label))
        case SceneBody(action="learn") as scene:
            return commands.LearnScene(now_s, origin, scene.region)
        case SceneBody() as scene:
            make = commands.ShowScene if scene.action == "show" else commands.ForgetScene
            return make(origin, scene.region)
    raise TypeError(f"no command for {verb}")


def read_body(body: bytes, kind: type[_Kind]) -> _Kind:
    """Decode a JSON body. Raises RequestError with the reason; any other bytes are safe."""
    try:
        return decode_json(body or b"{}", kind)
    except msgspec.ValidationError as exc:
        raise _unreadable(_fault(exc, kind, body)) from exc
    except msgspec.DecodeError as exc:
        raise _unreadable("it isn't JSON") from exc


def read_query(query: Mapping[str, str], kind: type[_Kind]) -> _Kind:
    """Return the struct of a request's query. Raises RequestError with the reason."""
    try:
        return msgspec.convert(dict(query), kind, strict=False)
    except msgspec.ValidationError as exc:
        raise _unreadable(explain_request(exc, kind, query)) from exc


def _fault(exc: msgspec.ValidationError, kind: type[msgspec.Struct], body: bytes) -> str:
    """Return what is wrong with a JSON body; the decoder may have stopped before its malformed part."""
    try:
        return explain_request(exc, kind, decode_json(body or b"{}", object))
    except msgspec.DecodeError:
        return "it isn't JSON"


def _unreadable(fault: str) -> RequestError:
    return RequestError(f"the request can't be read: {fault}"[:_MAX_ERROR_CHARACTERS])


class CommandClient:
    """Submits commands and waits for their replies. Used from the page's thread alone."""

    def __init__(self, submit: Callable[[Command], bool], timeout_s: float = TIMEOUT_S) -> None:
        self._submit = submit
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[CommandReply]] = {}

    async def execute(self, make: Callable[[int], Command]) -> Mapping[str, object]:
        """Submit the command that `make(transaction)` returns, and return the data of its reply.

        Raises RequestError when the command is refused, the queue is full or no reply comes in time.
        """
        if len(self._pending) >= MAX_PENDING:
            raise RequestError("too many requests are waiting; try again")
        number = next(self._numbers)
        command = make(number)
        pending: asyncio.Future[CommandReply] = asyncio.get_running_loop().create_future()
        self._pending[number] = pending
        try:
            if not self._submit(command):
                raise RequestError("the device is too busy for this request; try again")
            reply = await asyncio.wait_for(pending, self._timeout_s)
        except TimeoutError as exc:
            raise RequestError(f"the device did not answer within {self._timeout_s:g} s") from exc
        finally:
            del self._pending[number]
        if reply.error is not None:
            raise RequestError(reply.error)
        return reply.data

    def resolve(self, reply: CommandReply) -> None:
        """Hand a reply to the request that waits for it; replies to other commands are ignored."""
        number = reply.command.origin.transaction
        pending = self._pending.get(number) if isinstance(number, int) else None
        if pending is not None and not pending.done():
            pending.set_result(reply)
