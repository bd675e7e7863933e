"""History of the labels since the start: counts, last times, and a small picture of each."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from edge_daemon.domain.errors import ImageError
from edge_daemon.domain.events import LabelChanged, ObjectPassed
from edge_daemon.imaging.image_io import encode_jpeg, scale_down
from edge_daemon.imaging.regions import WHOLE, Box, crop_frame
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.web.messages import Message

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

log = logging.getLogger(__name__)

MAX_LABELS = 200
"""Number of labels that are counted; the one seen longest ago makes room."""

MAX_PICTURES = 50
"""Number of labels with a picture."""

PICTURE_GAP_S = 2.0
"""Shortest time between two pictures of one label: a label that flickers costs no more."""

_LATE = timedelta(seconds=0.25)
"""A frame this much later than the change may show the next thing."""

_PICTURE_PX = 160
_WAIT_S = 1.0


@dataclass(slots=True)
class _Picture:
    """A reduced picture of a label; `jpeg` replaces `image` when someone looks at it first."""

    number: int
    image: Image | None = field(repr=False)
    jpeg: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class _Seen:
    """`times` counts the changes to a label, `objects` the objects that passed with it."""

    times: int = 0
    objects: int = 0
    last_s: float = 0.0
    picture_s: float = float("-inf")
    picture: _Picture | None = None


class LabelHistory:
    """Counts the labels since the start. Used from the page's thread alone.

    A picture is cut from the frame of the change, by `executor`; it is encoded only when someone looks. The
    smoothed label follows some frames after the thing: a thing shown more briefly has a later frame. `now` is
    the monotonic clock.
    """

    def __init__(self, frames: LatestFrame, executor: Executor, now: Callable[[], float]) -> None:
        self._frames = frames
        self._executor = executor
        self._now = now
        self._seen: dict[str, _Seen] = {}
        self._held: dict[str, tuple[str, float]] = {}
        """The label of each region, and since when."""
        self._numbers = itertools.count(1)

    @property
    def times(self) -> Mapping[str, int]:
        """Changes to each label."""
        return {label: seen.times for label, seen in self._seen.items()}

    def held_s(self, region: str) -> float:
        """Return how long the region has had its label; 0 without one."""
        now = self._now()
        return now - self._held[region][1] if region in self._held else 0.0

    def change(self, event: LabelChanged, box: Box | None) -> None:
        """Count a change of a label, in the region with this box (None: the whole frame)."""
        seen, now = self._touch(event.label), self._now()
        seen.times += 1
        self._release(event.region)
        self._held[event.region] = event.label, now
        if now - seen.picture_s < PICTURE_GAP_S:
            self._frames.release(event.seq)
            return
        seen.picture_s = now
        reducing = asyncio.get_running_loop().run_in_executor(
            self._executor, _reduced, self._frames, event, box
        )
        reducing.add_done_callback(partial(self._keep, event.label))

    def count_object(self, event: ObjectPassed) -> None:
        """Count an object that passed."""
        self._touch(event.label).objects += 1

    def lose_camera(self) -> None:
        """Note that no region has a label any more."""
        for region in tuple(self._held):
            self._release(region)

    def rows(self) -> list[Message]:
        """Return each label with its counts and the time since it was seen; the latest one first."""
        now, held = self._now(), {label for label, _ in self._held.values()}
        return [
            {
                "label": label,
                "times": seen.times,
                "objects": seen.objects,
                "ago_s": 0.0 if label in held else round(now - seen.last_s, 1),
                "picture": None if seen.picture is None else seen.picture.number,
            }
            for label, seen in reversed(self._seen.items())
        ]

    async def jpeg(self, number: int) -> bytes | None:
        """Return the picture of this number; None when it is no longer kept."""
        for seen in self._seen.values():
            picture = seen.picture
            if picture is not None and picture.number == number:
                if picture.image is not None:
                    loop = asyncio.get_running_loop()
                    picture.jpeg = await loop.run_in_executor(self._executor, encode_jpeg, picture.image)
                    picture.image = None
                return picture.jpeg
        return None

    def _touch(self, label: str) -> _Seen:
        """Return the entry of a label, which becomes the latest one."""
        seen = self._seen.pop(label) if label in self._seen else _Seen()
        self._seen[label] = seen
        seen.last_s = self._now()
        if len(self._seen) > MAX_LABELS:
            del self._seen[next(iter(self._seen))]
        return seen

    def _release(self, region: str) -> None:
        """Note that the label of a region ends now."""
        label, _ = self._held.pop(region, ("", 0.0))
        if label in self._seen:
            self._seen[label].last_s = self._now()

    def _keep(self, label: str, reducing: asyncio.Future[Image | None]) -> None:
        if reducing.cancelled():
            return
        image, seen = reducing.result(), self._seen.get(label)
        if seen is None:
            return
        if image is None:
            seen.picture_s = float("-inf")
            return
        seen.picture = _Picture(next(self._numbers), image)
        pictured = [each for each in self._seen.values() if each.picture is not None]
        for oldest in pictured[:-MAX_PICTURES]:
            oldest.picture = None


def _reduced(frames: LatestFrame, event: LabelChanged, box: Box | None) -> Image | None:
    """Return the region of a change's frame, reduced; None if the frame is gone or the box does not fit."""
    frame = frames.take(event.seq, _WAIT_S)
    if frame is None or frame.captured_at - event.captured_at > _LATE:
        return None
    try:
        part = (box or WHOLE).pixels(*frame.size)
        scale = _PICTURE_PX / max(part.width, part.height)
        return scale_down(crop_frame(frame, box, scale), _PICTURE_PX)
    except ImageError as exc:
        log.debug("no picture of a label: %s", exc)
        return None
