"""One region as the pipeline sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from edge_daemon.domain.events import Event
from edge_daemon.imaging.regions import Box
from edge_daemon.imaging.static_scene import StaticSceneDetector
from edge_daemon.tracking.label_smoother import LabelSmoother
from edge_daemon.tracking.object_tracker import ObjectTracker

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

MakePassage: TypeAlias = Callable[[str], ObjectTracker | None]
"""Makes what tells the objects of a region (by its name) apart; None where every frame is classified."""


class View(Struct, frozen=True):
    """A region, its labels' smoother and the `pool` of examples it is classified by.

    With a `passage`, only frames that show an object are embedded, and each object gives one event.
    Without one, `stillness` says which frames show nothing new and are passed over.
    """

    name: str
    box: Box | None
    pool: str
    smoother: LabelSmoother
    passage: ObjectTracker | None = None
    stillness: StaticSceneDetector | None = None

    def start_afresh(self, now: float) -> Iterator[Event]:
        """Forget what the region showed; an object that was seen gets its event now (monotonic)."""
        self.smoother.reset()
        self.wake()
        if self.passage is not None:
            yield from self.passage.interrupt(now)

    def rests(self, image: Image, now: float) -> bool:
        """Return whether a picture captured at `now` (monotonic) shows nothing new."""
        if self.stillness is None or self.passage is not None:
            return False
        return self.stillness.rests(image, now)

    def wake(self) -> None:
        """Have the next frame classified, whatever it shows."""
        if self.stillness is not None:
            self.stillness.wake()
