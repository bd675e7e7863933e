"""The structs of the payloads at `<base>/event`, one for each `event_type`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge_daemon.mqtt.payloads import (
    CapturedAt,
    Count,
    FrameNumber,
    Latency,
    Milliseconds,
    Payload,
    PowerFlag,
    RankingEntry,
    Region,
    Share,
    Source,
    UtcTime,
)

SentAt = Annotated[UtcTime, Meta(description="time of the event by the device's clock, UTC")]


class _Event(Payload, frozen=True, kw_only=True, tag_field="event_type"):
    """Keys of every event."""

    at: SentAt
    event_id: Annotated[str, Meta(description="the same if one event is delivered twice")] = ""


class LabelChangedEvent(_Event, frozen=True, kw_only=True, tag="label_changed"):
    """The stable label of a region changed."""

    region: Region
    label: Annotated[str, Meta(description="the new label")]
    previous: Annotated[str | None, Meta(description="the label before; null if there was none")]
    confidence: Share
    seq: FrameNumber
    captured_at: CapturedAt
    latency_ms: Latency


class ObjectEvent(_Event, frozen=True, kw_only=True, tag="object"):
    """An object passed. Exactly one event per object, however its frames were classified."""

    region: Region
    label: Annotated[str, Meta(description="result of the vote; `unknown` if no taught label fits")]
    confidence: Annotated[Share, Meta(description="the label's share of the vote, 0 for `unknown`")]
    frames: Annotated[Count, Meta(description="number of frames in the vote")]
    seq: Annotated[int, Meta(ge=0, description="number of the frame with the best view")]
    captured_at: Annotated[UtcTime, Meta(description="capture time of that frame, UTC")]
    latency_ms: Annotated[Milliseconds, Meta(description="time from that capture to this event")]


class ExampleAddedEvent(_Event, frozen=True, kw_only=True, tag="example_added"):
    """An example was stored on disk."""

    id: Annotated[int, Meta(description="id of the example")]
    label: str
    region: Region
    count: Annotated[Count, Meta(description="number of examples of the label")]
    seq: FrameNumber
    by: Source


class ExampleUndoneEvent(_Event, frozen=True, kw_only=True, tag="example_undone"):
    """An undo removed an example, or all examples of a burst."""

    id: Annotated[int, Meta(description="id of the example, or of the newest one of a burst")]
    label: str
    count: Annotated[Count, Meta(description="remaining number of examples of the label")]
    by: Source
    ids: Annotated[list[int] | msgspec.UnsetType, Meta(description="ids of a burst, the first 1,000")] = (
        msgspec.UNSET
    )


class ClearedEvent(_Event, frozen=True, kw_only=True, tag="cleared"):
    """All examples of a label, or of all labels, were removed."""

    label: Annotated[str | None, Meta(description="null: all labels")]
    removed: Annotated[Count, Meta(description="number of removed examples")]
    by: Source


class ExamplesEditedEvent(_Event, frozen=True, kw_only=True, tag="examples_edited"):
    """Examples were removed, restored or relabelled, also by renaming or merging a label."""

    action: Literal["removed", "restored", "relabelled"]
    ids: Annotated[list[int], Meta(description="ids of the examples, the first 1,000")]
    label: Annotated[str | None, Meta(description="the new label if `relabelled`, otherwise null")]
    by: Source
    count: Annotated[
        Count | msgspec.UnsetType, Meta(description="number of examples if there are more than 1,000")
    ] = msgspec.UNSET


class UncertainEvent(_Event, frozen=True, kw_only=True, tag="uncertain"):
    """The classification of a frame was uncertain. The request `label` can teach the latest samples."""

    sample: Annotated[int, Meta(description="number of the sample, for the request `label`")]
    region: Region
    reason: Annotated[str, Meta(description="why it was uncertain, in words")]
    label: Annotated[str, Meta(description="`unknown` if no taught label fits")]
    ranking: Annotated[
        list[RankingEntry], Meta(max_length=10, description="the first ten labels, best first")
    ]
    seq: FrameNumber
    captured_at: CapturedAt


class ButtonEvent(_Event, frozen=True, kw_only=True, tag="button"):
    """A button was used."""

    name: Annotated[str, Meta(description="label or action of the button")]
    gesture: Annotated[str, Meta(description="press, release, hold, long_press or chord")]


class CameraLostEvent(_Event, frozen=True, kw_only=True, tag="camera_lost"):
    """The camera stopped delivering frames; the labels are empty until it delivers again.

    Sent again if the reason changes during an outage.
    """

    reason: Annotated[str, Meta(description="cause, in words")]


class CameraRestoredEvent(_Event, frozen=True, kw_only=True, tag="camera_restored"):
    """The camera delivers frames again."""

    outage_s: Annotated[float, Meta(ge=0, description="duration of the outage, seconds")]


class PanelLostEvent(_Event, frozen=True, kw_only=True, tag="panel_lost"):
    """The GPIO chip is missing; frames are classified without buttons and LEDs until it is back."""

    reason: str


class PanelRestoredEvent(_Event, frozen=True, kw_only=True, tag="panel_restored"):
    """Buttons and LEDs work again."""

    outage_s: Annotated[float, Meta(ge=0, description="duration of the outage, seconds")]


class PowerLowEvent(_Event, frozen=True, kw_only=True, tag="power_low"):
    """Supply voltage or temperature throttle the board; sent again when the flags change."""

    flags: Annotated[list[PowerFlag], Meta(description="the active causes")]


class PowerOkEvent(_Event, frozen=True, kw_only=True, tag="power_ok"):
    """The board has not been throttled for a minute."""

    low_s: Annotated[float, Meta(ge=0, description="duration of the throttling, seconds")]


class SceneLearnedEvent(_Event, frozen=True, kw_only=True, tag="scene_learned"):
    """The device has learned the scene of a region: its picture without an object."""

    region: Region
    automatic: Annotated[bool, Meta(description="false: learned by a press or request")]
    seq: FrameNumber


class SceneChangedEvent(_Event, frozen=True, kw_only=True, tag="scene_changed"):
    """A region no longer shows the learned scene: the camera was moved, or the light is another."""

    region: Region
    automatic: Annotated[bool, Meta(description="true: the device learns the new scene by itself")]
    seq: FrameNumber


EventPayload = (
    LabelChangedEvent
    | ObjectEvent
    | ExampleAddedEvent
    | ExampleUndoneEvent
    | ClearedEvent
    | ExamplesEditedEvent
    | UncertainEvent
    | ButtonEvent
    | CameraLostEvent
    | CameraRestoredEvent
    | PanelLostEvent
    | PanelRestoredEvent
    | PowerLowEvent
    | PowerOkEvent
    | SceneLearnedEvent
    | SceneChangedEvent
)
