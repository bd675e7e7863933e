"""What a button, a request, the page or the keyboard asks of the pipeline thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asked: `via` is gpio, mqtt, keyboard, web or cli; `transaction` is echoed in the reply."""

    via: str
    name: str = ""
    transaction: object = None


@dataclass(frozen=True, slots=True)
class AddExample:
    """Teach `label` with the first frame captured after `pressed_s` (monotonic).

    `region` None means the first region. Examples of one held button share a `group`.
    """

    label: str
    pressed_s: float
    origin: Origin
    region: str | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Undo:
    """Take back the example added last."""

    origin: Origin


@dataclass(frozen=True, slots=True)
class Clear:
    """Take back every example, or every example of one label."""

    origin: Origin
    label: str | None = None


@dataclass(frozen=True, slots=True)
class ListExamples:
    """Ask for the counts and the exam's figures."""

    origin: Origin


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Ask for a JPEG of the next frame."""

    origin: Origin


@dataclass(frozen=True, slots=True)
class SetThreshold:
    """Set the unknown-rejection: a similarity from -1 to 1, "auto" or "off"."""

    origin: Origin
    unknown: float | str


@dataclass(frozen=True, slots=True)
class ReportOutage:
    """The capture thread's word that the camera stopped delivering."""

    reason: str


Command: TypeAlias = AddExample | Undo | Clear | ListExamples | TakeSnapshot | SetThreshold
"""What users ask; each carries its origin and is answered by a `Replied` event."""

Instruction: TypeAlias = Command | ReportOutage
"""All that the pipeline takes beside frames."""
