"""Which picture a press means, and teaching it: a doubtful moment, one just seen, or the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from edge_daemon.domain.commands import AddExample, LabelSample
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import CommandReply, Event, ExamplesChanged
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import Glance, Prediction, Sight
from edge_daemon.learning.quality.uncertain_samples import UncertainSample, UncertainSamples
from edge_daemon.teaching.pending_changes import PendingChanges
from edge_daemon.teaching.replies import reply_on_error
from edge_daemon.teaching.trainer import Trainer

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


MAX_WAITING = 64
PRESS_LASTS_S = 5.0
"""A press without a frame for so long is answered with an error."""


class PendingLabels:
    """At most 64 waiting presses with the region each means; pure."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, AddExample]] = []

    def wait(self, region: str, press: AddExample) -> None:
        """Let a press wait. Raises RequestError when too many do."""
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError("too many presses are waiting for a frame")
        self._waiting.append((region, press))

    def take_due(self, region: str, captured_s: float) -> list[AddExample]:
        """Take those that a frame of this region answers: it was captured after they were made."""
        return self._take(
            [each for each in self._waiting if each[0] == region and each[1].pressed_s < captured_s]
        )

    def take_overdue(self, now: float) -> list[AddExample]:
        """Take those that have waited for too long."""
        return self._take([each for each in self._waiting if now - each[1].pressed_s > PRESS_LASTS_S])

    def _take(self, chosen: list[tuple[str, AddExample]]) -> list[AddExample]:
        self._waiting = [each for each in self._waiting if each not in chosen]
        return [press for _, press in chosen]


RECENT_FRAMES = 4
"""So many are kept for each region: a press is debounced after the frame that it means."""

DOUBT_LASTS_S = 15.0
"""How long after a doubtful moment a request without its number still means it."""


class Labeller:
    """Remembers what was seen lately and the presses that wait. Every call comes from one thread.

    `embed` is for a picture that was seen but not classified; `encode` makes thumbnails, `shrink` what is
    kept of a picture that may yet become one. `changes` holds what is taught while the store is locked.
    """

    def __init__(
        self,
        teacher: Trainer,
        changes: PendingChanges,
        embed: Callable[[Image], Vector],
        encode: Callable[[Image], bytes],
        shrink: Callable[[Image], Image],
        regions: int,
    ) -> None:
        self._teacher = teacher
        self._changes = changes
        self._embed = embed
        self._encode = encode
        self._doubts = UncertainSamples(shrink)
        self._recent: deque[Sight | Glance] = deque(maxlen=RECENT_FRAMES * regions)
        self._presses = PendingLabels()
        self._exam_due = False

    @property
    def last_seen(self) -> Sight | Glance | None:
        """What was seen last, in any region."""
        return self._recent[-1] if self._recent else None

    def see(self, seen: Sight | Glance) -> None:
        """Remember what is seen."""
        self._recent.append(seen)

    def consider(self, sight: Sight, prediction: Prediction) -> UncertainSample | None:
        """Remember a moment if it is doubtful, see `UncertainSamples`."""
        return self._doubts.consider(sight, prediction)

    def take_due(self, region: str, captured_s: float) -> list[AddExample]:
        """Take the presses that waited for a frame of this time."""
        return self._presses.take_due(region, captured_s)

    def teach_due(self, presses: list[AddExample], sight: Sight) -> Iterator[Event]:
        """Teach what such presses waited for; a fault answers its press."""
        for press in presses:
            yield from reply_on_error(press, self._teach(press, sight))

    def answer_overdue(self, now: float) -> Iterator[Event]:
        """Answer the presses for which no frame came."""
        for press in self._presses.take_overdue(now):
            yield CommandReply(press, error=f"no frame came within {PRESS_LASTS_S:g} s of the press")

    def press(self, command: AddExample, region: str) -> Iterator[Event]:
        """Teach what the press means: a doubtful moment, else the first frame captured after it.

        That frame may have been seen already: debouncing takes longer than a fast camera's frame.
        """
        check_label(command.label)
        moment = (
            self._doubts.latest(region, command.pressed_s - command.uncertain_s)
            if command.uncertain_s
            else None
        )
        if moment is not None:
            yield from self._teach_moment(command, moment)
            return
        for seen in self._recent:
            if seen.region == region and seen.frame.captured_s > command.pressed_s:
                yield from self._teach(command, self._embedded(seen))
                return
        self._presses.wait(region, command)

    def label_moment(self, command: LabelSample, region: str) -> Iterator[Event]:
        """Teach the moment that a request means: by its number, or the region's last."""
        if command.moment is not None:
            moment = self._doubts.get(command.moment)
            missing = f"moment {command.moment} is no longer kept; the last doubtful ones are"
        else:
            moment = self._doubts.latest(region, command.pressed_s - DOUBT_LASTS_S)
            missing = f"nothing was doubtful in the last {DOUBT_LASTS_S:g} s"
        if moment is None:
            raise RequestError(missing)
        yield from self._teach_moment(command, moment)

    def examine(self) -> Iterator[ExamplesChanged]:
        """Examine the examples if any was taught since the last time."""
        if self._exam_due:
            self._exam_due = False
            yield self._teacher.examples()

    def _teach_moment(self, command: AddExample | LabelSample, moment: UncertainSample) -> Iterator[Event]:
        yield from self._teach(command, moment.sight, moment)

    def _teach(
        self, press: AddExample | LabelSample, sight: Sight, moment: UncertainSample | None = None
    ) -> Iterator[Event]:
        thumbnail = self._encode(sight.image)
        attempt = partial(self._add, press, _without_picture(sight), thumbnail, moment)
        yield from self._changes.make(press, attempt)

    def _add(
        self,
        press: AddExample | LabelSample,
        sight: Sight,
        thumbnail: bytes,
        moment: UncertainSample | None,
    ) -> Iterator[Event]:
        yield from self._teacher.add(press, sight, thumbnail)
        self._exam_due = True
        if moment is not None:
            self._doubts.drop(moment)

    def _embedded(self, seen: Sight | Glance) -> Sight:
        if isinstance(seen, Sight):
            return seen
        return Sight(seen.region, seen.frame, seen.image, self._embed(seen.image))


def _without_picture(sight: Sight) -> Sight:
    """Return what is taught of a sight: 64 frames that wait would take 59 MB."""
    nothing = np.empty((0, 0, 3), np.uint8)
    return replace(sight, image=nothing, frame=replace(sight.frame, image=nothing))
