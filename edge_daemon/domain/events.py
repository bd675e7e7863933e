"""Events of the daemon. Sinks (MQTT, LEDs, the web page) receive them in order.

They are structs, as in types.py, or dataclasses if a field is left out of comparison or repr.
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
    """A region of a frame was classified.

    `embedding` is that of the whole region, `object_embedding` that of its object alone; the one that was
    compared is given. Both are None if the model did not run or failed.
    """

    region: str
    prediction: Prediction
    seq: int
    captured_at: datetime
    latency_ms: float
    embedding: Vector | None = field(default=None, repr=False, compare=False)
    object_embedding: Vector | None = field(default=None, repr=False, compare=False)


class LabelChanged(Struct, frozen=True):
    """The stable label of a region changed; `previous` is None for the first label."""

    region: str
    label: str
    previous: str | None
    confidence: float
    seq: int
    captured_at: datetime
    latency_ms: float


class ObjectPassed(Struct, frozen=True):
    """An object passed. `label` won the vote over `frames` frames; `confidence` is its share of the vote.

    `seq` and `captured_at` belong to the frame that shows the object best; `latency_ms` is measured from it.
    """

    region: str
    label: str
    confidence: float
    frames: int
    seq: int
    captured_at: datetime
    latency_ms: float


class ExampleAdded(Struct, frozen=True):
    """An example is on disk; `count` is the new number of examples of its label.

    `seq` is the number of its frame, 0 for a picture file.
    """

    id: int
    label: str
    region: str
    count: int
    seq: int
    command: Command


class AnotherSessionAdvised(Struct, frozen=True):
    """Ten presses taught `label` in one session alone; sent at most once a day for each label.

    The next example of it should be of another light, place or day; `note` says so.
    """

    label: str
    note: str


class ExampleUndone(Struct, frozen=True):
    """An undo removed the example `id`; `count` is the number left of its label.

    `ids` are those of a whole burst; empty for a single example.
    """

    id: int
    label: str
    count: int
    command: Command
    ids: tuple[int, ...] = ()


class Cleared(Struct, frozen=True):
    """Examples were removed: all of one label, or all if `label` is None."""

    label: str | None
    removed: int
    command: Command


class ExamplesEdited(Struct, frozen=True):
    """Examples were removed, restored or relabelled; `label` is the new label of relabelled ones."""

    action: Literal["removed", "restored", "relabelled"]
    ids: tuple[int, ...]
    command: Command
    label: str | None = None


@dataclass(frozen=True, slots=True)
class UncertainSampleKept:
    """An uncertain sample was kept: LabelSample can label it by its number `sample` while it is kept.

    `image` is the region's crop, reduced to the size of an example's picture, and shared with the pipeline.
    """

    sample: int
    region: str
    reason: str
    prediction: Prediction
    seq: int
    captured_at: datetime
    image: Image | None = field(default=None, repr=False, compare=False)


class ExamplesChanged(Struct, frozen=True):
    """Counts per label, evaluation and fleet figures; sent after every change and at start.

    `predicted` is `Evaluation.predicted` of all pools; with several, `evaluation` is None.
    """

    counts: Mapping[str, int]
    evaluation: Evaluation | None = None
    fleet: FleetFigures | None = None
    predicted: Mapping[int, str] = {}


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """Signed records of this device's own examples by sequence number, and their signed live set."""

    live_set: bytes = field(repr=False)
    records: Mapping[int, bytes] = field(repr=False)


class SettingsChanged(Struct, frozen=True):
    """Settings that can change while the device runs; sent after every change and at start."""

    trigger: str
    unknown: float | str


class ConfigurationChanged(Struct, frozen=True):
    """The daemon took a changed configuration while it runs; `digest` identifies it, as in `info`."""

    digest: str


class Button(Struct, frozen=True):
    """A button's gesture: press, release, hold, long_press or chord."""

    name: str
    gesture: str


class CameraLost(Struct, frozen=True):
    """The camera stopped delivering frames, or its fault has changed; labels are no longer current."""

    reason: str


class CameraRestored(Struct, frozen=True):
    """The camera delivers frames again after `outage_s` seconds."""

    outage_s: float


class PanelLost(Struct, frozen=True):
    """Buttons and LEDs don't work because their GPIO chip is gone; repeated when the reason changes."""

    reason: str


class PanelRestored(Struct, frozen=True):
    """Buttons and LEDs work again after `outage_s` seconds."""

    outage_s: float


class PowerLow(Struct, frozen=True):
    """The board is throttled; `flags` are those of board/power.py. Repeated when they change."""

    flags: tuple[str, ...]


class PowerOk(Struct, frozen=True):
    """The board is no longer throttled, after `low_s` seconds."""

    low_s: float


class ClockChanged(Struct, frozen=True):
    """The wall clock is synchronised or not; None if that can't be found out."""

    synced: bool | None


class ExamplesNotKept(Struct, frozen=True):
    """New examples would be lost at a reboot, because of `reason`; repeated when the reason changes."""

    reason: str


class ExamplesKept(Struct, frozen=True):
    """New examples survive a reboot again."""


class SceneLearned(Struct, frozen=True):
    """The empty scene of a region was learned from frames up to `seq`; by a press if not `automatic`."""

    region: str
    seq: int
    automatic: bool


class SceneChanged(Struct, frozen=True):
    """A region no longer shows the scene that was learned: its camera or a lamp moved, at frame `seq`.

    The region learns the new scene by itself if `automatic`; otherwise it needs a press.
    """

    region: str
    seq: int
    automatic: bool


class SceneStatus(Struct, frozen=True):
    """State of a region's scene; sent at the start and after every change.

    `learning`: not known yet. `known`: since `learned_at`, by a press unless `automatic`. `changed`: it no
    longer fits and is learned again. `none`: most of the picture moves. `learned_at` is None unless known.
    """

    region: str
    state: Literal["learning", "known", "changed", "none"]
    learned_at: datetime | None = None
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A JPEG of a frame, for the command that asked for it."""

    jpeg: bytes = field(repr=False)
    command: Command


class CommandReply(Struct, frozen=True):
    """Outcome of a command: `error` is None if it succeeded; `data` holds its results.

    `withdrawn` is true for a press that an undo ended while it waited: the error is the user's own wish.
    """

    command: Command
    error: str | None = None
    data: Mapping[str, object] = {}
    withdrawn: bool = False


class Ready(Struct, frozen=True):
    """The first frame was classified: the daemon is ready."""


class ConfirmPending(Struct, frozen=True):
    """Clearing `label` (None: everything) needs a second press within `within_s` seconds."""

    within_s: float
    label: str | None = None


Event: TypeAlias = (
    Classified
    | LabelChanged
    | ObjectPassed
    | ExampleAdded
    | AnotherSessionAdvised
    | ExampleUndone
    | Cleared
    | ExamplesEdited
    | UncertainSampleKept
    | ExamplesChanged
    | FleetSnapshot
    | SettingsChanged
    | ConfigurationChanged
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
    | SceneLearned
    | SceneChanged
    | SceneStatus
    | Snapshot
    | CommandReply
    | Ready
    | ConfirmPending
)
