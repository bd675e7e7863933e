"""The shape of each payload. JSON Schemas are generated from these structs.

Times are UTC with milliseconds, `2026-05-01T12:00:00.000Z`; durations and latencies carry their unit.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

UtcTime = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Share = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0)]
CapturedAt = Annotated[UtcTime, Meta(description="when the frame was captured, UTC")]
SentAt = Annotated[UtcTime, Meta(description="when it happened, by the device's clock, UTC")]
Latency = Annotated[Milliseconds, Meta(description="from capture to label")]
FrameNumber = Annotated[int, Meta(ge=0, description="number of the frame since the start")]
Region = Annotated[str, Meta(description="`frame` when no regions are configured")]
Count = Annotated[int, Meta(ge=0)]
PowerFlag = Literal["under_voltage", "frequency_capped", "throttled", "temperature_limit"]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The base of every JSON payload. Keys may be added later; none is renamed or removed."""


class RankedLabelPayload(Payload, frozen=True, kw_only=True):
    """One row of a ranking."""

    label: str
    confidence: Share


class Result(Payload, frozen=True, kw_only=True):
    """One region of one frame, classified."""

    region: Region
    label: Annotated[str, Meta(description="`unknown` when nothing taught fits")]
    confidence: Annotated[Share, Meta(description="share of the label, 0 for `unknown`")]
    similarity: Annotated[float, Meta(ge=-1, le=1, description="cosine to the nearest example")]
    margin: Annotated[Share, Meta(description="first confidence less the second")]
    ranking: Annotated[
        list[RankedLabelPayload], Meta(max_length=10, description="the first ten labels, best first")
    ]
    seq: FrameNumber
    captured_at: CapturedAt
    latency_ms: Latency
    model: str


class Source(Payload, frozen=True, kw_only=True):
    """Who asked for a change."""

    via: Annotated[str, Meta(description="gpio, mqtt, keyboard, web or cli")]
    name: Annotated[str, Meta(description="of the button or verb")]


class _Event(Payload, frozen=True, kw_only=True, tag_field="event_type"):
    """What every event holds."""

    at: SentAt
    event_id: Annotated[str, Meta(description="the same when one event arrives twice")] = ""


class LabelChangedEvent(_Event, frozen=True, kw_only=True, tag="label_changed"):
    """The stable label of a region became another."""

    region: Region
    label: str
    previous: str | None
    confidence: Share
    seq: FrameNumber
    captured_at: CapturedAt
    latency_ms: Latency


class ObjectEvent(_Event, frozen=True, kw_only=True, tag="object"):
    """One object has passed; exactly one event for each, whatever its frames were taken for."""

    region: Region
    label: Annotated[str, Meta(description="voted over its frames; `unknown` when nothing taught fits")]
    confidence: Annotated[Share, Meta(description="the label's share of the vote, 0 for `unknown`")]
    frames: Annotated[Count, Meta(description="how many voted")]
    seq: Annotated[int, Meta(ge=0, description="number of the frame that shows it best")]
    captured_at: Annotated[UtcTime, Meta(description="when that frame was captured, UTC")]
    latency_ms: Annotated[Milliseconds, Meta(description="from that capture to this event")]


class ExampleAddedEvent(_Event, frozen=True, kw_only=True, tag="example_added"):
    """An example is on disk."""

    id: Annotated[int, Meta(description="of the example")]
    label: str
    region: Region
    count: Annotated[Count, Meta(description="examples of the label now")]
    seq: FrameNumber
    by: Source


class ExampleUndoneEvent(_Event, frozen=True, kw_only=True, tag="example_undone"):
    """The example added last was taken back."""

    id: Annotated[int, Meta(description="of the example")]
    label: str
    count: Annotated[Count, Meta(description="examples of the label now")]
    by: Source


class ClearedEvent(_Event, frozen=True, kw_only=True, tag="cleared"):
    """Examples were taken back."""

    label: Annotated[str | None, Meta(description="null: of every label")]
    removed: Annotated[Count, Meta(description="how many")]
    by: Source


class ExamplesEditedEvent(_Event, frozen=True, kw_only=True, tag="examples_edited"):
    """Examples were changed one by one."""

    action: Literal["removed", "restored", "relabelled"]
    ids: Annotated[list[int], Meta(description="of the examples")]
    label: Annotated[str | None, Meta(description="the new label of relabelled ones")]
    by: Source


class DoubtedEvent(_Event, frozen=True, kw_only=True, tag="doubted"):
    """A frame the device is not sure of; the request `label` can teach it for a while."""

    moment: Annotated[int, Meta(description="number of the moment, for the request")]
    region: Region
    reason: str
    label: str
    ranking: Annotated[
        list[RankedLabelPayload], Meta(max_length=10, description="the first ten labels, best first")
    ]
    seq: FrameNumber
    captured_at: CapturedAt


class ButtonEvent(_Event, frozen=True, kw_only=True, tag="button"):
    """Someone used a button."""

    name: str
    gesture: Annotated[str, Meta(description="press, release, hold, long_press or chord")]


class CameraLostEvent(_Event, frozen=True, kw_only=True, tag="camera_lost"):
    """The camera stopped delivering; the labels are cleared until it is back."""

    reason: str


class CameraRestoredEvent(_Event, frozen=True, kw_only=True, tag="camera_restored"):
    """The camera delivers again."""

    outage_s: Annotated[float, Meta(ge=0, description="how long it was gone, seconds")]


class PanelLostEvent(_Event, frozen=True, kw_only=True, tag="panel_lost"):
    """The GPIO chip is gone; frames are classified without buttons and LEDs until it is back."""

    reason: str


class PanelRestoredEvent(_Event, frozen=True, kw_only=True, tag="panel_restored"):
    """Buttons and LEDs work again."""

    outage_s: Annotated[float, Meta(ge=0, description="how long they did not, seconds")]


class PowerLowEvent(_Event, frozen=True, kw_only=True, tag="power_low"):
    """Supply or temperature hold the board back; sent again when the flags become others."""

    flags: Annotated[list[PowerFlag], Meta(description="what holds it back now")]


class PowerOkEvent(_Event, frozen=True, kw_only=True, tag="power_ok"):
    """Nothing has held the board back for a minute."""

    low_s: Annotated[float, Meta(ge=0, description="how long something did, seconds")]


EventPayload = (
    LabelChangedEvent
    | ObjectEvent
    | ExampleAddedEvent
    | ExampleUndoneEvent
    | ClearedEvent
    | ExamplesEditedEvent
    | DoubtedEvent
    | ButtonEvent
    | CameraLostEvent
    | CameraRestoredEvent
    | PanelLostEvent
    | PanelRestoredEvent
    | PowerLowEvent
    | PowerOkEvent
)


class LabelVerdict(Payload, frozen=True, kw_only=True):
    """What the exam thinks of one label."""

    verdict: Literal["good", "needs_more", "looks_like"]
    count: Annotated[Count, Meta(description="examples")]
    recall: Annotated[Share | None, Meta(description="share of its examples that the others recognise")]
    looks_like: Annotated[str | None, Meta(description="the label it is confused with")]


class NextLabel(Payload, frozen=True, kw_only=True):
    """Which label to show next, and why."""

    label: str
    reason: str


class ExamFigures(Payload, frozen=True, kw_only=True):
    """Leave-one-out figures over the taught examples; null where there are too few to tell."""

    accuracy: Annotated[Share | None, Meta(description="share of all examples that the others recognise")]
    verdicts: Annotated[dict[str, LabelVerdict], Meta(description="of 50 labels, those not `good` first")]
    confused: Annotated[list[str] | None, Meta(description="the two labels confused most")]
    near_duplicates: Annotated[
        Count, Meta(description="presses that showed a view of the class taught before")
    ]
    advice: NextLabel | None


class FleetPeer(Payload, frozen=True, kw_only=True):
    """What this device has of one other."""

    counting: Annotated[Count, Meta(description="examples that count")]
    probation: Annotated[Count, Meta(description="examples that don't, as they would lower the exam")]


class Fleet(Payload, frozen=True, kw_only=True):
    """What is shared in the fleet; see fleet.md."""

    group: str
    shared: Annotated[Count, Meta(description="examples of this device that the others are told of")]
    peers: Annotated[dict[str, FleetPeer], Meta(description="by device id")]
    refused: Annotated[dict[str, Count], Meta(description="records refused since the start, by reason")]


class Examples(Payload, frozen=True, kw_only=True):
    """What was taught: examples per label, in teaching order, and the exam."""

    counts: Annotated[
        dict[str, Count],
        Meta(description="of the last 200 labels; those of the fleet that count among them"),
    ]
    total: Annotated[Count, Meta(description="of all labels")]
    labels: Annotated[Count, Meta(description="how many there are")]
    exam: ExamFigures | None
    fleet: Fleet | msgspec.UnsetType = msgspec.UNSET


class Info(Payload, frozen=True, kw_only=True):
    """What this device is and runs."""

    device: Annotated[str, Meta(description="id of the device")]
    name: str
    version: Annotated[str, Meta(description="of edge_daemon")]
    model: str
    classifier: str
    regions: list[str]
    config_digest: Annotated[str, Meta(description="changes when the effective configuration does")]
    instance: Annotated[str, Meta(description="changes at each start; frame numbers begin anew")] = ""
    triggers: Annotated[list[str], Meta(description="what the request trigger can set")] = []
    button_labels: Annotated[list[str], Meta(description="what the buttons of the device teach")] = []
    clock_synced: Annotated[
        bool | None,
        Meta(description="whether the device's times can be relied on; null where it can't find out"),
    ] = None
    power: Annotated[
        list[PowerFlag] | None,
        Meta(description="what has held the board back in the last minute; null where nothing reports it"),
    ] = None


class Response(Payload, frozen=True, kw_only=True):
    """The answer to a request: `data` when it was done, `error` when not."""

    status: Literal["ok", "error"]
    data: dict[str, object] | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET
    transaction: Annotated[object, Meta(description="echoed as sent, null when none was")] = None


class SettingsPayload(Payload, frozen=True, kw_only=True):
    """What can be set while the device runs, as it is now; its configuration counts again after a restart."""

    trigger: Annotated[str, Meta(description="continuous, motion, gpio or mqtt")]
    unknown: Annotated[
        float | str, Meta(description="the least similarity of a known label, -1 to 1, or auto, or off")
    ]


class ExportPart(Payload, frozen=True, kw_only=True):
    """One part of the archive of all examples; the parts in order, decoded and joined, are a zip."""

    export: Annotated[str, Meta(description="names this export; the same in all its parts")]
    part: Annotated[int, Meta(ge=1, description="number of this part, from 1")]
    parts: Annotated[int, Meta(ge=1, description="how many there are")]
    bytes: Annotated[int, Meta(ge=1, description="size of the whole archive")]
    sha256: Annotated[str, Meta(description="of the whole archive, in hexadecimal")]
    base64: Annotated[str, Meta(description="the bytes of this part, at most 64,000 characters")]


class ExportResponse(Payload, frozen=True, kw_only=True):
    """The answer to `request/examples` with `export`: one for each part, or an error."""

    status: Literal["ok", "error"]
    data: ExportPart | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET
    transaction: Annotated[object, Meta(description="echoed as sent, null when none was")] = None


def utc_ms(moment: datetime) -> str:
    """Write a timezone-aware moment as UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(payload: Payload) -> bytes:
    """Write a payload as compact JSON in UTF-8."""
    return msgspec.json.encode(payload)
