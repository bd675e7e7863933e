"""The values that flow from the camera to the sinks.

Units: seconds are monotonic (`*_s`), wall-clock times are UTC datetimes (`*_at`).

They are frozen structs rather than dataclasses, which take fifty times as long to define and eight times as
long to make (docs/speed.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image: TypeAlias = npt.NDArray[np.uint8]
    """RGB, uint8, height x width x 3, read-only once it stands in a Frame."""

    Vector: TypeAlias = npt.NDArray[np.float32]
    """An embedding: float32, one-dimensional, unit length."""

UNKNOWN = "unknown"
"""The label of what was never taught. Reserved: it can't be taught."""

WHOLE_FRAME = "frame"
"""The region that covers the frame when no regions are configured."""


class Frame(Struct, frozen=True):
    """One captured picture. `captured_s` is when its exposure was read, on the monotonic clock."""

    image: Image
    seq: int
    captured_s: float
    captured_at: datetime


class Observation(Struct, frozen=True):
    """A region of a frame, cropped. `embedding` is None where the model did not run on the crop."""

    region: str
    frame: Frame
    crop: Image
    embedding: Vector | None = None


class RankedLabel(Struct, frozen=True):
    """One row of a ranking."""

    label: str
    confidence: float


class Prediction(Struct, frozen=True):
    """What a classifier says of one embedding.

    `confidences` holds every taught class in class order and sums to 1 (empty before the first
    example). `similarity` is the cosine to the nearest example, -1 to 1. `label` is UNKNOWN when
    open-set rejection refused it; the confidences then still say what it was nearest to.
    """

    label: str
    confidences: Mapping[str, float]
    similarity: float

    @property
    def confidence(self) -> float:
        """The share of the named label; 0 for unknown."""
        return self.confidences.get(self.label, 0.0)

    @property
    def margin(self) -> float:
        """The distance between the first and second confidence, 0 to 1."""
        best = sorted(self.confidences.values(), reverse=True)[:2]
        return best[0] - best[1] if len(best) == 2 else sum(best)

    @property
    def ranking(self) -> tuple[RankedLabel, ...]:
        """Every class, best first; on a tie the named label leads, and the others keep class order."""
        rows = sorted(self.confidences.items(), key=lambda item: (-item[1], item[0] != self.label))
        return tuple(RankedLabel(label, confidence) for label, confidence in rows)


class LabelChange(Struct, frozen=True):
    """A smoother's word that the stable label became another."""

    label: str
    previous: str | None
    confidence: float


@dataclass(frozen=True, slots=True)
class Example:
    """A taught example as the store keeps it. `group` ties the examples of one burst together.

    `origin` is the device of the fleet that taught it, empty for this one.
    """

    id: int
    label: str
    embedding: Vector
    space: str
    region: str
    created_at: datetime
    group: str = ""
    source: str = ""
    origin: str = ""
    thumbnail: bytes = field(default=b"", repr=False)


class ClassReport(Struct, frozen=True):
    """What the exam thinks of one class. `looks_like` names the class it is confused with."""

    verdict: Literal["good", "needs_more", "looks_like"]
    count: int
    recall: float | None
    looks_like: str | None = None


class Recommendation(Struct, frozen=True):
    """Which class the teacher should show next, and why."""

    label: str
    reason: str


class Evaluation(Struct, frozen=True):
    """Leave-one-out figures over the taught examples; None where there are too few to tell.

    `near_duplicates` are presses that showed a view of their class that was taught before.
    """

    accuracy: float | None
    verdicts: Mapping[str, ClassReport]
    confused: tuple[str, str] | None = None
    near_duplicates: int = 0
    advice: Recommendation | None = None


class PeerFigures(Struct, frozen=True):
    """How many living examples of a peer count here, and how many are on probation."""

    accepted: int
    quarantined: int


class FleetFigures(Struct, frozen=True):
    """What this device shares with its group, what it has of each peer, what it refused since the start."""

    group: str
    shared: int
    peers: Mapping[str, PeerFigures]
    rejected: Mapping[str, int]
