"""Value types, from the camera to the sinks.

Units: seconds are monotonic (`*_s`), wall-clock times are UTC datetimes (`*_at`).

The types are frozen structs rather than dataclasses: a dataclass takes 50 times as long to define and 8 times
as long to construct (docs/measurements/speed.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from edge_daemon.domain.lazy_picture import LazyPicture

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image: TypeAlias = npt.NDArray[np.uint8]
    """RGB image: uint8, shape (height, width, 3); read-only in a Frame."""

    Vector: TypeAlias = npt.NDArray[np.float32]
    """Embedding: float32, one-dimensional, unit length."""

UNKNOWN = "unknown"
"""Label of rejected predictions. Reserved: no example can have it."""

WHOLE_FRAME = "frame"
"""Name of the region that covers the whole frame when no regions are configured."""


def region_prefix(region: str) -> str:
    """Return what begins a line about a region: its name and a colon, nothing for the whole frame."""
    return "" if region == WHOLE_FRAME else f"{region}: "


class Frame(Struct, frozen=True):
    """A captured image. `captured_s` is the monotonic time at which the sensor was read."""

    pixels: Image | LazyPicture
    seq: int
    captured_s: float
    captured_at: datetime

    @property
    def image(self) -> Image:
        """The whole picture at its full size, which a lazy one decodes or copies now."""
        return self.at_least(1.0)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full picture in pixels."""
        pixels = self.pixels
        return pixels.size if isinstance(pixels, LazyPicture) else (pixels.shape[1], pixels.shape[0])

    def at_least(self, scale: float) -> Image:
        """Return the whole picture at the smallest scale on offer that is at least `scale`, else at 1."""
        pixels = self.pixels
        return pixels.at_least(scale) if isinstance(pixels, LazyPicture) else pixels

    def smallest_loaded(self) -> Image:
        """Return the picture at the smallest scale that is loaded, without decoding."""
        pixels = self.pixels
        return pixels.smallest_loaded() if isinstance(pixels, LazyPicture) else pixels


class Observation(Struct, frozen=True):
    """A region of a frame, cropped at the scale that the model needs.

    `embedding` is None where the model did not run on the crop. `load_full` returns the crop at the frame's
    full size; None where that is `crop`.
    """

    region: str
    frame: Frame
    crop: Image
    embedding: Vector | None = None
    load_full: Callable[[], Image] | None = None

    def full_crop(self) -> Image:
        """Return the crop at the frame's full size, which a lazy frame decodes or copies now."""
        return self.crop if self.load_full is None else self.load_full()


class RankedLabel(Struct, frozen=True):
    """A row of a ranking: a label and its confidence, 0 to 1."""

    label: str
    confidence: float


class NearestExample(Struct, frozen=True):
    """An example that a query was compared with. `similarity` is their cosine similarity, -1 to 1."""

    id: int
    label: str
    similarity: float


class Interpolation(Struct, frozen=True):
    """A number between taught ones, and its confidence, 0 to 1."""

    value: float
    confidence: float

    @property
    def label(self) -> str:
        """The number with three significant digits."""
        return f"{self.value:.3g}"


class Prediction(Struct, frozen=True):
    """A classifier's result for one embedding.

    `confidences` maps every class, in class order, to the probability that it is right; they sum to 1 (empty
    before the first example). `similarity` is the cosine similarity to the nearest example, -1 to 1. After
    open-set rejection `label` is UNKNOWN, and `confidences` still holds those of the classes. `nearest` is
    the nearest example and the nearest one of another class; it is shorter where there is none. With an
    `interpolation` the label is its number, which need not be a class.
    """

    label: str
    confidences: Mapping[str, float]
    similarity: float
    nearest: tuple[NearestExample, ...] = ()
    interpolation: Interpolation | None = None

    @property
    def number(self) -> float | None:
        """The interpolated number that is the label; None for a class and for unknown."""
        return None if self.interpolation is None or self.label == UNKNOWN else self.interpolation.value

    @property
    def confidence(self) -> float:
        """Confidence of the label; 0 for unknown."""
        if self.interpolation is not None and self.label != UNKNOWN:
            return self.interpolation.confidence
        return self.confidences.get(self.label, 0.0)

    @property
    def margin(self) -> float:
        """Difference between the two highest confidences, 0 to 1."""
        best = sorted(self.confidences.values(), reverse=True)[:2]
        return best[0] - best[1] if len(best) == 2 else sum(best)

    @property
    def ranking(self) -> tuple[RankedLabel, ...]:
        """All classes, highest confidence first; in a tie the label is first, then class order."""
        rows = sorted(self.confidences.items(), key=lambda item: (-item[1], item[0] != self.label))
        return tuple(RankedLabel(label, confidence) for label, confidence in rows)


UNKNOWN_PREDICTION = Prediction(UNKNOWN, {}, 0.0)
"""Result without a comparison: no examples, no object in view, or a picture that the model can't embed."""


class LabelChange(Struct, frozen=True):
    """A change of the stable label, from a label smoother."""

    label: str
    previous: str | None
    confidence: float


@dataclass(frozen=True, slots=True)
class Example:
    """A stored example. Examples of one burst share a `group`.

    `origin` is the fleet device that recorded it, empty for this device. `scene_id` is the stored scene in
    which it was taught, which may be deleted; None if no scene was known or the view was not trusted.
    `object_embedding` is the embedding of the object without its scene, in the same space; with a `scene_id`
    None means that the view was the empty scene. `boot_id` (empty if unknown) and `uptime_s` (monotonic)
    place the frame in time without the wall clock.
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
    scene_id: int | None = None
    object_embedding: Vector | None = None
    boot_id: str = ""
    uptime_s: float | None = None


class ClassReport(Struct, frozen=True):
    """The evaluation of one class.

    `recall` is the share of its examples that the others recognise, None if that can't be measured. The
    others are those of other sessions if the class was taught in several ones. `confused_with` names the
    other class of a `confused` one. `sessions` is the number of sessions that taught it, `session_presses`
    the number of its presses in the newest session of all classes.
    """

    status: Literal["ok", "needs_examples", "confused"]
    count: int
    recall: float | None
    confused_with: str | None = None
    sessions: int = 1
    session_presses: int = 0


class Recommendation(Struct, frozen=True):
    """The class whose next example helps most, and the reason.

    With `another_session`, that example is one of another light, place or day.
    """

    label: str
    reason: str
    another_session: bool = False


class Evaluation(Struct, frozen=True):
    """Leave-one-out evaluation of the taught examples.

    `accuracy` is the share of the examples that the others recognise, None with too few examples.
    `most_confused` names the two classes that are confused most. `near_duplicates` counts the presses
    that repeated an earlier view of their class. The examples were taught in `sessions` sessions; with
    `across_sessions`, those of each session are recognised by the other sessions. `note` says what the
    accuracy holds for, None without one. `predicted` is the label that the others give to each evaluated
    example, by its id.
    """

    accuracy: float | None
    classes: Mapping[str, ClassReport]
    most_confused: tuple[str, str] | None = None
    near_duplicates: int = 0
    recommendation: Recommendation | None = None
    sessions: int = 0
    across_sessions: bool = False
    note: str | None = None
    predicted: Mapping[int, str] = {}


class PeerFigures(Struct, frozen=True):
    """Numbers of a peer's examples that are accepted here, and that are quarantined."""

    accepted: int
    quarantined: int


class FleetFigures(Struct, frozen=True):
    """Fleet figures: examples shared, examples per peer, and rejections since the start by reason."""

    group: str
    shared: int
    peers: Mapping[str, PeerFigures]
    rejected: Mapping[str, int]
