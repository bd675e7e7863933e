"""The structs of all payloads except events. The JSON Schemas are generated from them.

Times are UTC with milliseconds, `2026-05-01T12:00:00.000Z`; durations and latencies carry their unit.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

UtcTime = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Share = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0)]
CapturedAt = Annotated[UtcTime, Meta(description="capture time of the frame, UTC")]
Latency = Annotated[Milliseconds, Meta(description="time from capture to label")]
FrameNumber = Annotated[int, Meta(ge=0, description="number of the frame since the start")]
Region = Annotated[str, Meta(description="`frame` when no regions are configured")]
Count = Annotated[int, Meta(ge=0)]
PowerFlag = Literal["under_voltage", "frequency_capped", "throttled", "temperature_limit"]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all JSON payloads. Later versions may add keys; they rename and remove none."""


class RankingEntry(Payload, frozen=True, kw_only=True):
    """One label of a ranking."""

    label: str
    confidence: Share


class NearestEntry(Payload, frozen=True, kw_only=True):
    """One taught example that resembles the frame."""

    id: Annotated[int, Meta(description="id of the example")]
    label: str
    similarity: Annotated[float, Meta(ge=-1, le=1, description="cosine to the example")]


class Result(Payload, frozen=True, kw_only=True):
    """Classification of one region of one frame."""

    region: Region
    label: Annotated[str, Meta(description="`unknown` if no taught label fits")]
    confidence: Annotated[Share, Meta(description="probability that the label is right, 0 for `unknown`")]
    similarity: Annotated[float, Meta(ge=-1, le=1, description="cosine to the nearest example")]
    margin: Annotated[Share, Meta(description="first confidence minus the second")]
    ranking: Annotated[
        list[RankingEntry], Meta(max_length=10, description="the first ten labels, best first")
    ]
    nearest: Annotated[
        list[NearestEntry] | msgspec.UnsetType,
        Meta(
            description="the nearest example, and the nearest one of another label; absent without examples"
        ),
    ] = msgspec.UNSET
    seq: FrameNumber
    captured_at: CapturedAt
    latency_ms: Latency
    model: Annotated[str, Meta(description="name of the model")]


class Source(Payload, frozen=True, kw_only=True):
    """Origin of a change."""

    via: Annotated[str, Meta(description="gpio, mqtt, keyboard, serial, web or cli")]
    name: Annotated[str, Meta(description="name of the button or verb")]


class ClassEvaluation(Payload, frozen=True, kw_only=True):
    """Evaluation of one label."""

    status: Annotated[
        Literal["ok", "needs_examples", "confused"],
        Meta(description="`confused`: many examples are classified as the label `confused_with`"),
    ]
    count: Annotated[Count, Meta(description="number of examples")]
    recall: Annotated[
        Share | None,
        Meta(
            description="share of its examples that the other examples classify correctly; "
            "only those of other sessions if `sessions` is above 1"
        ),
    ]
    confused_with: Annotated[
        str | None, Meta(description="the label that many examples get instead; null unless `confused`")
    ]
    sessions: Annotated[Count, Meta(description="number of sessions that taught it")]


class NextLabel(Payload, frozen=True, kw_only=True):
    """The label to show next, and the reason."""

    label: str
    reason: str


class EvaluationFigures(Payload, frozen=True, kw_only=True):
    """Leave-one-out evaluation of the taught examples; values are null with too few examples."""

    accuracy: Annotated[
        Share | None, Meta(description="share of all examples that the other examples classify correctly")
    ]
    classes: Annotated[
        dict[str, ClassEvaluation], Meta(description="by label: at most 50 labels, those not `ok` first")
    ]
    most_confused: Annotated[list[str] | None, Meta(description="the two labels most often confused")]
    near_duplicates: Annotated[
        Count, Meta(description="number of presses that repeated an earlier view of their label")
    ]
    recommendation: Annotated[NextLabel | None, Meta(description="the label to show next")]
    sessions: Annotated[
        Count,
        Meta(
            description="number of sessions; a boot, another scene or a pause of 20 minutes begins a new one"
        ),
    ]
    across_sessions: Annotated[
        bool, Meta(description="true if each example is classified by those of other sessions only")
    ]
    note: Annotated[
        str | None,
        Meta(description="limits of the accuracy, and what to do; null without an accuracy"),
    ]


class FleetPeer(Payload, frozen=True, kw_only=True):
    """Numbers of one peer's examples on this device."""

    accepted: Annotated[Count, Meta(description="number of examples in use")]
    quarantined: Annotated[
        Count, Meta(description="number of examples not in use, because they lower the accuracy")
    ]


class Fleet(Payload, frozen=True, kw_only=True):
    """State of the fleet on this device; see fleet.md."""

    group: Annotated[str, Meta(description="name of the group")]
    shared: Annotated[Count, Meta(description="number of examples that this device publishes")]
    peers: Annotated[dict[str, FleetPeer], Meta(description="by device id")]
    rejected: Annotated[
        dict[str, Count], Meta(description="by reason: number of records rejected since the start")
    ]


class Examples(Payload, frozen=True, kw_only=True):
    """Taught examples per label, in teaching order, and their evaluation."""

    counts: Annotated[
        dict[str, Count],
        Meta(description="number of examples by label, of the last 200 labels, with peers' accepted ones"),
    ]
    total: Annotated[Count, Meta(description="number of examples of all labels")]
    labels: Annotated[Count, Meta(description="number of labels")]
    evaluation: EvaluationFigures | None
    fleet: Fleet | msgspec.UnsetType = msgspec.UNSET


class Scene(Payload, frozen=True, kw_only=True):
    """State of the scene of one region; see scene.md."""

    state: Annotated[
        Literal["learning", "known", "changed", "none"],
        Meta(description="`changed`: it no longer fits and is learned again; `none`: most of it moves"),
    ]
    learned_at: Annotated[UtcTime | None, Meta(description="null unless the scene is known")] = None
    automatic: Annotated[bool, Meta(description="false: learned by a press or request")] = False


class Info(Payload, frozen=True, kw_only=True):
    """Identity, software and configuration of the device."""

    device: Annotated[str, Meta(description="id of the device")]
    name: Annotated[str, Meta(description="display name of the device")]
    version: Annotated[str, Meta(description="version of edge_daemon")]
    model: Annotated[str, Meta(description="name of the model")]
    classifier: Annotated[str, Meta(description="type of the classifier")]
    regions: Annotated[list[str], Meta(description="names of the regions")]
    config_digest: Annotated[str, Meta(description="hash of the effective configuration")]
    instance: Annotated[
        str, Meta(description="id of this start of the daemon; frame numbers begin again with each")
    ] = ""
    triggers: Annotated[list[str], Meta(description="values of `mode` for the request `trigger`")] = []
    button_labels: Annotated[list[str], Meta(description="labels that the device's buttons teach")] = []
    clock_synced: Annotated[
        bool | None,
        Meta(description="true if the device's times are reliable; null if this can't be determined"),
    ] = None
    power: Annotated[
        list[PowerFlag] | None,
        Meta(description="causes of throttling in the last minute; null if the board reports no throttling"),
    ] = None
    scenes: Annotated[dict[str, Scene], Meta(description="by region")] | msgspec.UnsetType = msgspec.UNSET


class Response(Payload, frozen=True, kw_only=True):
    """The response to a request: `data` after success, `error` after a failure."""

    status: Literal["ok", "error"]
    data: dict[str, object] | msgspec.UnsetType = msgspec.UNSET
    error: Annotated[str | msgspec.UnsetType, Meta(description="cause and remedy")] = msgspec.UNSET
    transaction: Annotated[object, Meta(description="the request's transaction, null if it had none")] = None


class SettingsPayload(Payload, frozen=True, kw_only=True):
    """Current values of the settings that requests can change. A restart restores the configured ones."""

    trigger: Annotated[str, Meta(description="continuous, motion, gpio or mqtt")]
    unknown: Annotated[
        float | str, Meta(description="minimum similarity of a known label, -1 to 1, or auto, or off")
    ]


class ExportPart(Payload, frozen=True, kw_only=True):
    """One part of the archive of all examples. The parts, decoded and joined in order, are a zip file."""

    export: Annotated[str, Meta(description="id of this export, the same in all its parts")]
    part: Annotated[int, Meta(ge=1, description="number of this part, from 1")]
    parts: Annotated[int, Meta(ge=1, description="number of parts")]
    bytes: Annotated[int, Meta(ge=1, description="size of the whole archive")]
    sha256: Annotated[str, Meta(description="SHA-256 of the whole archive, in hexadecimal")]
    base64: Annotated[str, Meta(description="the bytes of this part in base64, at most 64,000 characters")]


class ExportResponse(Payload, frozen=True, kw_only=True):
    """The response to `request/examples` with `export`: one for each part, or an error."""

    status: Literal["ok", "error"]
    data: ExportPart | msgspec.UnsetType = msgspec.UNSET
    error: Annotated[str | msgspec.UnsetType, Meta(description="cause and remedy")] = msgspec.UNSET
    transaction: Annotated[object, Meta(description="the request's transaction, null if it had none")] = None
