"""What the daemon says happened. Sinks (MQTT, LEDs, the page) receive these in order.

Structs, as in types.py; dataclasses where a field is left out of comparisons or of the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from edge_daemon.domain.commands import Command
from edge_daemon.domain.types import Evaluation, FleetFigures, Prediction

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


@dataclass(frozen=True, slots=True)
class Classified:
    """One region of one frame was classified; `embedding` is None for a picture the model can't embed."""

    region: str
    prediction: Prediction
    seq: int
    captured_at: datetime
    latency_ms: float
    embedding: Vector | None = field(default=None, repr=False, compare=False)


class LabelChanged(Struct, frozen=True):
    """The stable label of a region became another."""

    region: str
    label: str
    previous: str | None
    confidence: float
    seq: int
    captured_at: datetime
    latency_ms: float


class ObjectPassed(Struct, frozen=True):
    """One object has passed; `label` is what its `frames` voted, `confidence` its share of the vote.

    `seq` and `captured_at` are those of the frame that shows it best, and `latency_ms` runs from there.
    """

    region: str
    label: str
    confidence: float
    frames: int
    seq: int
    captured_at: datetime
    latency_ms: float


class ExampleAdded(Struct, frozen=True):
    """An example is on disk; `count` is how many its label has now, `seq` the frame it shows."""

    id: int
    label: str
    region: str
    count: int
    seq: int
    command: Command


class ExampleUndone(Struct, frozen=True):
    """The last example was taken back."""

    id: int
    label: str
    count: int
    command: Command


class Cleared(Struct, frozen=True):
    """Examples were taken back: of one label, or all when `label` is None."""

    label: str | None
    removed: int
    command: Command


class ExamplesEdited(Struct, frozen=True):
    """Examples were removed, restored or relabelled one by one; `label` is the new one of relabelled ones."""

    action: Literal["removed", "restored", "relabelled"]
    ids: tuple[int, ...]
    command: Command
    label: str | None = None


@dataclass(frozen=True, slots=True)
class UncertainSampleKept:
    """A frame the device is not sure of; `moment` can be taught with LabelSample for a while.

    `image` is the region's crop, shared with the pipeline's own memory of the moment.
    """

    sample: int
    region: str
    reason: str
    prediction: Prediction
    seq: int
    captured_at: datetime
    image: Image | None = field(default=None, repr=False, compare=False)


class ExamplesChanged(Struct, frozen=True):
    """Counts per label and the exam's figures, after every change and at start."""

    counts: Mapping[str, int]
    evaluation: Evaluation | None = None
    fleet: FleetFigures | None = None


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """All that the group should know of our own examples: signed records by number, and the roll of them."""

    live_set: bytes = field(repr=False)
    records: Mapping[int, bytes] = field(repr=False)


class SettingsChanged(Struct, frozen=True):
    """What can be set while the device runs, as it is now; after every change and at start."""

    trigger: str
    unknown: float | str


class Button(Struct, frozen=True):
    """A button's gesture: press, release, hold, long_press or chord."""

    name: str
    gesture: str


class CameraLost(Struct, frozen=True):
    """The camera stopped delivering; labels are no longer current."""

    reason: str


class CameraRestored(Struct, frozen=True):
    """The camera delivers again after `outage_s` seconds."""

    outage_s: float


class PanelLost(Struct, frozen=True):
    """Buttons and LEDs don't work, as their chip is gone; told again when the reason becomes another."""

    reason: str


class PanelRestored(Struct, frozen=True):
    """Buttons and LEDs work again after `outage_s` seconds."""

    outage_s: float


class PowerLow(Struct, frozen=True):
    """The board is held back; `flags` are those of board/power.py. Repeated when they become others."""

    flags: tuple[str, ...]


class PowerOk(Struct, frozen=True):
    """Nothing holds the board back any more, after `low_s` seconds."""

    low_s: float


class ClockChanged(Struct, frozen=True):
    """The wall clock became synchronised or not; None where nothing reveals it."""

    synced: bool | None


class ExamplesNotKept(Struct, frozen=True):
    """What is taught would be gone after a reboot, as `reason` says; again when it becomes another."""

    reason: str


class ExamplesKept(Struct, frozen=True):
    """What is taught survives a reboot again."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A JPEG of a frame, asked for by a command."""

    jpeg: bytes = field(repr=False)
    command: Command


class CommandReply(Struct, frozen=True):
    """A command's outcome: `error` is None when it was done, `data` what it answers."""

    command: Command
    error: str | None = None
    data: Mapping[str, object] = {}


class Ready(Struct, frozen=True):
    """The first inference is done: the daemon sees."""


class ConfirmPending(Struct, frozen=True):
    """The panel asks to clear `label` (None: everything); a second press within `within_s` confirms."""

    within_s: float
    label: str | None = None


Event: TypeAlias = (
    Classified
    | LabelChanged
    | ObjectPassed
    | ExampleAdded
    | ExampleUndone
    | Cleared
    | ExamplesEdited
    | UncertainSampleKept
    | ExamplesChanged
    | FleetSnapshot
    | SettingsChanged
    | Button
    | CameraLost
    | CameraRestored
    | PanelLost
    | PanelRestored
    | PowerLow
    | PowerOk
    | ClockChanged
    | ExamplesNotKept
    | ExamplesKept
    | Snapshot
    | CommandReply
    | Ready
    | ConfirmPending
)
