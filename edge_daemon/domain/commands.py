"""What a button, a request, the page or the keyboard asks of the pipeline thread."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct


class Origin(Struct, frozen=True):
    """Who asked: `via` is gpio, mqtt, keyboard, web or cli; `transaction` is echoed in the reply."""

    via: str
    name: str = ""
    transaction: object = None


class AddExample(Struct, frozen=True):
    """Teach `label` with the first frame captured after `pressed_s` (monotonic).

    `region` None means the first region. Examples of one held button share a `group`. With `uncertain_s`, a
    doubtful moment of the last so many seconds is taught instead, if there was one.
    """

    label: str
    pressed_s: float
    origin: Origin
    region: str | None = None
    group: str = ""
    uncertain_s: float = 0.0


class LabelSample(Struct, frozen=True):
    """Teach `label` with a doubtful moment: the one numbered `moment`, or the latest of a few seconds."""

    label: str
    pressed_s: float
    origin: Origin
    region: str | None = None
    sample: int | None = None


class Undo(Struct, frozen=True):
    """Take back the example added last."""

    origin: Origin


class Clear(Struct, frozen=True):
    """Take back every example, or every example of one label."""

    origin: Origin
    label: str | None = None


class Remove(Struct, frozen=True):
    """Take back the examples with these ids."""

    ids: tuple[int, ...]
    origin: Origin


class Restore(Struct, frozen=True):
    """Bring examples back that were taken back."""

    ids: tuple[int, ...]
    origin: Origin


class Relabel(Struct, frozen=True):
    """Give the examples with these ids another label."""

    ids: tuple[int, ...]
    label: str
    origin: Origin


class ListExamples(Struct, frozen=True):
    """Ask for the counts and the exam's figures."""

    origin: Origin


class ExportExamples(Struct, frozen=True):
    """Ask for all examples as an archive. The MQTT sink itself does it: it never reaches the pipeline."""

    origin: Origin


class TakeSnapshot(Struct, frozen=True):
    """Ask for a JPEG of the next frame."""

    origin: Origin


class Trigger(Struct, frozen=True):
    """An object is before the camera from `pressed_s` (monotonic) on; `region` None means the first."""

    pressed_s: float
    origin: Origin
    region: str | None = None


class SetTrigger(Struct, frozen=True):
    """Tell objects apart in another way, until the daemon is built anew: continuous, motion, gpio or mqtt."""

    origin: Origin
    mode: str


class SetThreshold(Struct, frozen=True):
    """Set the unknown-rejection: a similarity from -1 to 1, "auto" or "off"."""

    origin: Origin
    unknown: float | str


class MoveRegion(Struct, frozen=True):
    """Look elsewhere with a region, until the daemon is built anew: `box` is [x, y, width, height].

    Fractions of the frame when all four numbers are at most 1, else pixels.
    """

    region: str
    box: tuple[float, float, float, float]
    origin: Origin


class CameraFailed(Struct, frozen=True):
    """The capture thread's word that the camera stopped delivering."""

    reason: str


class ClockSet(Struct, frozen=True):
    """The clock was synchronised, which set it forward by `step_s` seconds, back where that is negative.

    What happened in this boot before has times from `since` to `until` (UTC).
    """

    since: datetime
    until: datetime
    step_s: float


Command: TypeAlias = (
    AddExample
    | LabelSample
    | Undo
    | Clear
    | Remove
    | Restore
    | Relabel
    | ListExamples
    | TakeSnapshot
    | Trigger
    | SetTrigger
    | SetThreshold
    | MoveRegion
)
"""What users ask; each carries its origin and is answered by a `Replied` event."""

Instruction: TypeAlias = Command | CameraFailed | ClockSet
"""All that the pipeline takes beside frames."""
