"""The shape of each payload. JSON Schemas are generated from these structs.

Times are UTC with milliseconds, `2026-05-01T12:00:00.000Z`; durations and latencies carry their unit.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

UtcTime = Annotated[str, Meta(description="UTC, milliseconds", extra_json_schema={"format": "date-time"})]
Share = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The base of every JSON payload. Keys may be added later; none is renamed or removed."""


class RankedLabel(Payload, frozen=True):
    """One row of a ranking."""

    label: str
    confidence: Share


class Result(Payload, frozen=True):
    """One region of one frame, classified. `label` is `unknown` when nothing taught fits."""

    region: str
    label: str
    confidence: Share
    similarity: Annotated[float, Meta(ge=-1, le=1, description="cosine to the nearest example")]
    margin: Annotated[Share, Meta(description="first confidence less the second")]
    ranking: Annotated[list[RankedLabel], Meta(description="every taught label, best first")]
    seq: Annotated[Count, Meta(description="number of the frame")]
    captured_at: UtcTime
    latency_ms: Annotated[Milliseconds, Meta(description="from capture to label")]
    model: str


class Source(Payload, frozen=True):
    """Who asked for a change: `via` is gpio, mqtt, keyboard, web or cli."""

    via: str
    name: str


class LabelChangedEvent(Payload, frozen=True, tag_field="event_type", tag="label_changed"):
    """The stable label of a region became another."""

    at: UtcTime
    region: str
    label: str
    previous: str | None
    confidence: Share
    seq: Count
    captured_at: UtcTime
    latency_ms: Milliseconds


class ExampleAddedEvent(Payload, frozen=True, tag_field="event_type", tag="example_added"):
    """An example is on disk; `count` is how many its label has now."""

    at: UtcTime
    id: int
    label: str
    region: str
    count: Count
    seq: Count
    by: Source


class ExampleUndoneEvent(Payload, frozen=True, tag_field="event_type", tag="example_undone"):
    """The example added last was taken back."""

    at: UtcTime
    id: int
    label: str
    count: Count
    by: Source


class ClearedEvent(Payload, frozen=True, tag_field="event_type", tag="cleared"):
    """Examples were taken back: of one label, or all when `label` is null."""

    at: UtcTime
    label: str | None
    removed: Count
    by: Source


class ButtonEvent(Payload, frozen=True, tag_field="event_type", tag="button"):
    """A button's gesture: press, release, hold, long_press or chord."""

    at: UtcTime
    name: str
    gesture: str


class CameraLostEvent(Payload, frozen=True, tag_field="event_type", tag="camera_lost"):
    """The camera stopped delivering; the labels are cleared until it is back."""

    at: UtcTime
    reason: str


class CameraRestoredEvent(Payload, frozen=True, tag_field="event_type", tag="camera_restored"):
    """The camera delivers again."""

    at: UtcTime
    outage_s: Annotated[float, Meta(ge=0)]


EventPayload = (
    LabelChangedEvent
    | ExampleAddedEvent
    | ExampleUndoneEvent
    | ClearedEvent
    | ButtonEvent
    | CameraLostEvent
    | CameraRestoredEvent
)


class LabelVerdict(Payload, frozen=True):
    """What the exam thinks of one label."""

    verdict: Literal["good", "needs_more", "looks_like"]
    count: Count
    recall: Share | None
    looks_like: str | None


class NextLabel(Payload, frozen=True):
    """Which label to show next, and why."""

    label: str
    reason: str


class ExamFigures(Payload, frozen=True):
    """Leave-one-out figures over the taught examples; null where there are too few to tell."""

    accuracy: Share | None
    verdicts: dict[str, LabelVerdict]
    confused: Annotated[list[str] | None, Meta(description="the two labels confused most")]
    near_duplicates: Count
    advice: NextLabel | None


class Examples(Payload, frozen=True):
    """What was taught: examples per label, in teaching order, and the exam."""

    counts: dict[str, Count]
    total: Count
    exam: ExamFigures | None


class Info(Payload, frozen=True):
    """What this device is and runs."""

    device: str
    name: str
    version: str
    model: str
    classifier: str
    regions: list[str]
    config_digest: str


class Response(Payload, frozen=True):
    """The answer to a request: `data` when it was done, `error` when not."""

    status: Literal["ok", "error"]
    data: dict[str, object] | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET
    transaction: Annotated[object, Meta(description="echoed as sent, null when none was")] = None


def utc_ms(moment: datetime) -> str:
    """Write a timezone-aware moment as UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(payload: Payload) -> bytes:
    """Write a payload as compact JSON in UTF-8."""
    return msgspec.json.encode(payload)
