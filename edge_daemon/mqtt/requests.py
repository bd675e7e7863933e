"""Parsing of requests to commands. Pure: any topic and any bytes give a value, never an exception."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from edge_daemon.domain.commands import (
    MAX_NUMBER,
    AddExample,
    Clear,
    Command,
    ExportExamples,
    ForgetScene,
    LabelSample,
    LearnScene,
    ListExamples,
    Merge,
    Origin,
    Redo,
    Rename,
    SetThreshold,
    SetTrigger,
    ShowScene,
    TakeSnapshot,
    Trigger,
    Undo,
)
from edge_daemon.domain.errors import LabelError, RequestError
from edge_daemon.domain.labels import MAX_LABEL_CHARACTERS, check_label
from edge_daemon.domain.request_errors import explain_request
from edge_daemon.system.json_input import decode_json

MAX_REQUEST_BYTES = 16_000
MAX_TRANSACTION_BYTES = 1_000
_MAX_ERROR_CHARACTERS = 200

_Number = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
_Region = Annotated[str | None, Meta(description="the first region when left out")]
_Label = Annotated[
    str,
    Meta(
        max_length=MAX_LABEL_CHARACTERS,
        description="up to 64 characters, except / \\ + # and control characters",
    ),
]

Request: TypeAlias = Command | ExportExamples
"""A parsed request: a command of the pipeline, or an export by the bridge."""


class RejectedRequest(msgspec.Struct, frozen=True):
    """A request that was not submitted: the error, and the transaction of its sender."""

    verb: str
    error: str
    transaction: object = None


class ReturnAddress(msgspec.Struct, frozen=True):
    """Response topic and correlation data of an MQTT 5 request, besides its own transaction.

    It is stored as the `transaction` of the command's origin, so that the reply returns it.
    """

    topic: str
    correlation: bytes | None
    transaction: object


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys of every request besides its verb's own."""

    transaction: Annotated[
        object, Meta(description="any JSON of at most 1,000 bytes, returned in the response")
    ] = None


class AddRequest(_Body, frozen=True, kw_only=True):
    """Teach a label with the next frame. The payload may also be the label alone, as plain text."""

    label: _Label
    region: _Region = None


class LabelRequest(_Body, frozen=True, kw_only=True):
    """Teach a label with the uncertain sample of an `uncertain` event.

    The payload may also be the label alone, as plain text.
    """

    label: _Label
    region: _Region = None
    sample: Annotated[
        _Number | None,
        Meta(description="number of the sample; when left out, the latest of the last 15 seconds"),
    ] = None


class UndoRequest(_Body, frozen=True, kw_only=True):
    """Undo the latest change of the examples: a press or a whole burst, a rename, a clear."""

    change: Annotated[
        _Number | None,
        Meta(description="number of the change, from its response; the latest when left out"),
    ] = None


class RedoRequest(_Body, frozen=True, kw_only=True):
    """Redo the change that was undone last. Refused if another change followed."""

    change: Annotated[
        _Number | None,
        Meta(description="number of the undone change; the last one when left out"),
    ] = None


class RenameRequest(_Body, frozen=True, kw_only=True):
    """Rename a label in all its examples. Refused if the new label already has examples."""

    label: Annotated[str, Meta(description="the current label")]
    to: _Label


class MergeRequest(_Body, frozen=True, kw_only=True):
    """Give all examples of some labels one label."""

    labels: Annotated[list[str], Meta(min_length=1, max_length=200, description="the labels to merge")]
    into: Annotated[
        str,
        Meta(
            max_length=MAX_LABEL_CHARACTERS,
            description="the label that their examples get: one of `labels` or another",
        ),
    ]


class ClearRequest(_Body, frozen=True, kw_only=True):
    """Remove all examples, or all examples of one label."""

    label: Annotated[str | None, Meta(description="all labels when left out")] = None


class ExamplesRequest(_Body, frozen=True, kw_only=True):
    """Request the counts per label, or with `export` all examples as an archive, in parts."""

    export: Annotated[bool, Meta(description="true: one response for each part of the archive")] = False


class SnapshotRequest(_Body, frozen=True):
    """Request a JPEG of the next frame."""


class TriggerRequest(_Body, frozen=True, kw_only=True):
    """Report that an object is in view now. The response has its label, after the classification.

    With `mode`, set the trigger of all regions instead.
    """

    region: _Region = None
    mode: Annotated[
        Literal["continuous", "motion", "gpio", "mqtt"] | None,
        Meta(description="the new trigger, one of those in `info`"),
    ] = None


class SceneRequest(_Body, frozen=True, kw_only=True):
    """Learn the scene from the next frames. Nothing but the scene may be in view."""

    region: Annotated[str | None, Meta(description="every region when left out")] = None
    action: Annotated[
        Literal["learn", "show", "forget"],
        Meta(description="`show` only returns the state; `forget` lets the device learn it by itself again"),
    ] = "learn"


class ThresholdRequest(_Body, frozen=True, kw_only=True):
    """Set the threshold of the open-set rejection."""

    unknown: Annotated[
        Annotated[float, Meta(ge=-1, le=1)] | Literal["auto", "off"],
        Meta(description="minimum similarity of a known label, -1 to 1, or auto, or off"),
    ]


REQUESTS: dict[str, type[_Body]] = {
    "add": AddRequest,
    "label": LabelRequest,
    "undo": UndoRequest,
    "redo": RedoRequest,
    "rename": RenameRequest,
    "merge": MergeRequest,
    "clear": ClearRequest,
    "examples": ExamplesRequest,
    "snapshot": SnapshotRequest,
    "trigger": TriggerRequest,
    "scene": SceneRequest,
    "threshold": ThresholdRequest,
}
SAMPLES: dict[str, str] = {
    "add": '{"label": "cat"}',
    "label": '{"label": "cat"}',
    "undo": '{"change": 4}',
    "redo": '{"change": 4}',
    "rename": '{"label": "cat", "to": "dog"}',
    "merge": '{"labels": ["kitten", "tomcat"], "into": "cat"}',
    "clear": '{"label": "cat"}',
    "examples": '{"export": true}',
    "snapshot": "{}",
    "trigger": '{"mode": "motion"}',
    "scene": '{"action": "show"}',
    "threshold": '{"unknown": 0.7}',
}
"""A payload of each verb for error messages: one that does what plain text seems to ask for, and no more."""

LABEL_REQUESTS = frozenset(
    verb
    for verb, kind in REQUESTS.items()
    if [field.name for field in msgspec.structs.fields(kind) if field.required] == ["label"]
)
"""Verbs whose one required key is the label: plain text is accepted in place of JSON."""


def read_request(
    verb: str, payload: bytes, regions: Sequence[str], now_s: float
) -> Request | RejectedRequest:
    """Return the command of `payload`, or a RejectedRequest with the reason.

    `now_s` (monotonic) is the time of receipt: an example is taken from the first frame after it.
    """
    transaction: object = None
    try:
        body = _body(verb, payload)
        transaction = _transaction(body)
        return _command(verb, body, regions, now_s, Origin("mqtt", verb, transaction))
    except (RequestError, LabelError) as exc:
        return RejectedRequest(verb, str(exc), transaction)


def _body(verb: str, payload: bytes) -> dict[str, object]:
    """Return the JSON object; an empty payload is an empty object, as required keys are checked later.

    For a label's verb, a JSON string and text that doesn't begin as JSON are the label.
    """
    if not payload:
        return {}
    if len(payload) > MAX_REQUEST_BYTES:
        raise RequestError(f"the request is longer than {MAX_REQUEST_BYTES} bytes")
    try:
        text = payload.decode()
        if verb in LABEL_REQUESTS and text.lstrip()[:1] not in ("{", "[", '"'):
            return {"label": text}
        body = decode_json(payload, object)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _malformed(verb, "JSON") from exc
    if verb in LABEL_REQUESTS and isinstance(body, str):
        return {"label": body}
    if not isinstance(body, dict):
        raise _malformed(verb, "a JSON object")
    return body


def _malformed(verb: str, expected: str) -> RequestError:
    if verb not in REQUESTS:
        return _unknown_verb(verb)
    return RequestError(f"the request isn't {expected}; send an object such as {SAMPLES[verb]}")


def _unknown_verb(verb: str) -> RequestError:
    return RequestError(f"this device doesn't offer {verb[:20]!r}; it offers {', '.join(REQUESTS)}")


def _transaction(body: dict[str, object]) -> object:
    """Return the transaction if it can be encoded: some numbers and depths can only be decoded."""
    transaction = body.get("transaction")
    try:
        size = len(msgspec.json.encode(transaction))
    except (OverflowError, RecursionError) as exc:
        raise RequestError("the transaction can't be returned; send a short text or number") from exc
    if size > MAX_TRANSACTION_BYTES:
        raise RequestError(f"the transaction has {size} bytes; at most {MAX_TRANSACTION_BYTES}")
    return transaction


def _command(
    verb: str, body: dict[str, object], regions: Sequence[str], now_s: float, origin: Origin
) -> Request:
    if verb not in REQUESTS:
        raise _unknown_verb(verb)
    try:
        request = msgspec.convert(body, REQUESTS[verb])
    except msgspec.ValidationError as exc:
        fault = explain_request(exc, REQUESTS[verb], body)[:_MAX_ERROR_CHARACTERS]
        sample = f"; send an object such as {SAMPLES[verb]}" if fault.endswith(" missing") else ""
        raise RequestError(f"{verb}: {fault}{sample}") from exc
    match request:
        case AddRequest():
            return AddExample(check_label(request.label), now_s, origin, _region(request.region, regions))
        case LabelRequest():
            region = _region(request.region, regions)
            return LabelSample(check_label(request.label), now_s, origin, region, request.sample)
        case UndoRequest():
            return Undo(origin, request.change)
        case RedoRequest():
            return Redo(origin, request.change)
        case RenameRequest():
            return Rename(check_label(request.label), check_label(request.to), origin)
        case MergeRequest():
            return Merge(tuple(map(check_label, request.labels)), check_label(request.into), origin)
        case ClearRequest():
            return Clear(origin, None if request.label is None else check_label(request.label))
        case ExamplesRequest():
            return ExportExamples(origin) if request.export else ListExamples(origin)
        case SnapshotRequest():
            return TakeSnapshot(origin)
        case TriggerRequest():
            return _trigger(request, regions, now_s, origin)
        case SceneRequest():
            return _scene(request, regions, now_s, origin)
        case ThresholdRequest():
            return SetThreshold(origin, request.unknown)
    raise TypeError(f"no command for {type(request).__name__}")


def _trigger(request: TriggerRequest, regions: Sequence[str], now_s: float, origin: Origin) -> Command:
    if request.mode is None:
        return Trigger(now_s, origin, _region(request.region, regions))
    if request.region is not None:
        raise RequestError("trigger: the mode is that of every region; leave the region out")
    return SetTrigger(origin, request.mode)


def _scene(request: SceneRequest, regions: Sequence[str], now_s: float, origin: Origin) -> Command:
    region = _region(request.region, regions)
    if request.action == "learn":
        return LearnScene(now_s, origin, region)
    return (ShowScene if request.action == "show" else ForgetScene)(origin, region)


def _region(name: str | None, regions: Sequence[str]) -> str | None:
    if name is not None and name not in regions:
        raise RequestError(f"there is no region {name[:40]!r}; use one of {', '.join(regions)}")
    return name
