"""Commands to the pipeline: from buttons, MQTT requests, the web page and the keyboard."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


MAX_NUMBER: Final = 2**63 - 1
"""Largest number of an example, a change or a sample in a request: the store holds no larger one."""


class Origin(Struct, frozen=True):
    """Sender of a command: `via` is gpio, mqtt, keyboard, serial, web or cli; replies echo `transaction`."""

    via: str
    name: str = ""
    transaction: object = None


class AddExample(Struct, frozen=True):
    """Add an example of `label`: the first frame captured after `pressed_s` (monotonic).

    `region` None means the first region. Examples of one held button share a `group`. If `uncertain_s` is
    above 0, the latest uncertain sample of the last `uncertain_s` seconds is used instead, if there is one.
    """

    label: str
    pressed_s: float
    origin: Origin
    region: str | None = None
    group: str = ""
    uncertain_s: float = 0.0


class AddPicture(Struct, frozen=True, eq=False):
    """Add an example of `label` that shows a picture file: RGB uint8 HWC `image`, of `name`.

    `thumbnail` is the JPEG to store. `region` None means the first region. Pictures with the same `batch`
    are undone together. A picture that is stored already is left out, and the reply has its label.
    """

    label: str
    image: Image
    thumbnail: bytes
    name: str
    origin: Origin
    region: str | None = None
    batch: str = ""


class LabelSample(Struct, frozen=True):
    """Label an uncertain sample: the one with the number `sample`, or the latest of the last 15 seconds."""

    label: str
    pressed_s: float
    origin: Origin
    region: str | None = None
    sample: int | None = None


class Undo(Struct, frozen=True):
    """Undo the latest change of the examples, such as a whole burst; or the `change` of this number."""

    origin: Origin
    change: int | None = None


class Redo(Struct, frozen=True):
    """Redo the change undone last, or the `change` of this number."""

    origin: Origin
    change: int | None = None


class Clear(Struct, frozen=True):
    """Remove all examples, or all examples of one label."""

    origin: Origin
    label: str | None = None


class Remove(Struct, frozen=True):
    """Remove the examples with these ids."""

    ids: tuple[int, ...]
    origin: Origin


class Restore(Struct, frozen=True):
    """Restore removed examples."""

    ids: tuple[int, ...]
    origin: Origin


class Relabel(Struct, frozen=True):
    """Change the label of the examples with these ids."""

    ids: tuple[int, ...]
    label: str
    origin: Origin


class Rename(Struct, frozen=True):
    """Rename a label: all its examples get the label `to`, which has none yet."""

    label: str
    to: str
    origin: Origin


class Merge(Struct, frozen=True):
    """Give all examples of some labels the one label `into`."""

    labels: tuple[str, ...]
    into: str
    origin: Origin


class ListExamples(Struct, frozen=True):
    """Get the counts per label and the evaluation."""

    origin: Origin


class ExportExamples(Struct, frozen=True):
    """Get all examples as an archive. The MQTT bridge runs it; it never reaches the pipeline."""

    origin: Origin


class TakeSnapshot(Struct, frozen=True):
    """Get the next frame as a JPEG."""

    origin: Origin


class Trigger(Struct, frozen=True):
    """Start an object, in view from `pressed_s` (monotonic) on; `region` None means the first."""

    pressed_s: float
    origin: Origin
    region: str | None = None


class SetTrigger(Struct, frozen=True):
    """Set the trigger until the next restart or reload: continuous, motion, gpio or mqtt."""

    origin: Origin
    mode: str


class SetThreshold(Struct, frozen=True):
    """Set the threshold of open-set rejection: a similarity from -1 to 1, "auto" or "off"."""

    origin: Origin
    unknown: float | str


class SetSmoothing(Struct, frozen=True):
    """Set the smoothing of every region; the labels and the votes of the latest frames stay.

    `window` is the number of frames in the vote, `hysteresis` the lead of a new label as a share of them.
    """

    origin: Origin
    window: int
    hysteresis: float
    min_hold_s: float


class MoveRegion(Struct, frozen=True):
    """Move a region until the next restart or reload: `box` is [x, y, width, height].

    The numbers are fractions of the frame if all four are at most 1, else pixels.
    """

    region: str
    box: tuple[float, float, float, float]
    origin: Origin


class LearnScene(Struct, frozen=True):
    """Learn the scene without an object from the frames captured after `pressed_s` (monotonic).

    `region` None means every region.
    """

    pressed_s: float
    origin: Origin
    region: str | None = None


class ShowScene(Struct, frozen=True):
    """Get the state of the scenes; `region` None means every region."""

    origin: Origin
    region: str | None = None


class ForgetScene(Struct, frozen=True):
    """Forget the known scene, which is then learned again; `region` None means every region."""

    origin: Origin
    region: str | None = None


class CameraFailed(Struct, frozen=True):
    """Report of the capture thread that the camera stopped delivering frames."""

    reason: str


class ClockSet(Struct, frozen=True):
    """Report that the clock was synchronised, which moved it by `step_s` seconds, forward if positive.

    Earlier times of this boot lie between `since` and `until` (UTC, by the old clock).
    """

    since: datetime
    until: datetime
    step_s: float


Command: TypeAlias = (
    AddExample
    | AddPicture
    | LabelSample
    | Undo
    | Redo
    | Clear
    | Remove
    | Restore
    | Relabel
    | Rename
    | Merge
    | ListExamples
    | TakeSnapshot
    | Trigger
    | SetTrigger
    | SetThreshold
    | SetSmoothing
    | MoveRegion
    | LearnScene
    | ShowScene
    | ForgetScene
)
"""A user's command; each has an origin and gets a `CommandReply` event."""

Instruction: TypeAlias = Command | CameraFailed | ClockSet
"""Input of the pipeline beside frames."""
