"""The demo's script: what is taught by which press, and what is shown again afterwards."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from edge_daemon.camera.simulator.timeline import Segment, Timeline
from edge_daemon.domain.errors import ConfigError
from edge_daemon.domain.interfaces import FrameSource
from edge_daemon.domain.types import UNKNOWN, Frame
from edge_daemon.panel.simulated_buttons import SimulatedButtons

POSES = 5
"""In how many poses, lights and backgrounds each thing is taught, by one press each."""

_TEACH_FRAMES = 20
_SHOW_FRAMES = 22

_PRESS_OFFSET = 8
"""The press comes just after the thing lies still, and leaves time for the next frames to show it too."""

_AGAIN = 3
"""How often each taught thing is shown after the lesson."""

_STRANGERS = 6
_EMPTY = 2

# Variations of the lesson and of the show never meet, so that nothing is shown as it was taught.
_FIRST_SHOWN = 10_000


@dataclass(frozen=True)
class DemoScript:
    """A lesson and a show. Frames count from 0, as the source's `seq` does.

    `presses` says before which frame the button of which label goes down.
    """

    showings: tuple[Segment, ...]
    presses: tuple[tuple[int, str], ...]
    lesson_frames: int

    @property
    def frames(self) -> int:
        """How long it is."""
        return self._timeline.frames

    def truth(self, seq: int) -> str | None:
        """Return what the device should say of frame `seq`: a taught label, or unknown.

        None for frames that aren't scored: the lesson, and things on their way in or out.
        """
        from edge_daemon.camera.simulator.scenes import is_still

        moment = self._timeline.at(seq)
        if moment is None or seq < self.lesson_frames or not is_still(moment):
            return None
        kind = moment.segment.kind
        return kind if kind in self._taught else UNKNOWN

    @cached_property
    def _timeline(self) -> Timeline:
        return Timeline(self.showings)

    @cached_property
    def _taught(self) -> frozenset[str]:
        return frozenset(label for _, label in self.presses)


def make_script(labels: Sequence[str], seed: int = 1) -> DemoScript:
    """Teach these kinds, then show them in other poses, light and order among things never taught.

    Raises ConfigError for a label that can't be drawn, and when none is given.
    """
    from edge_daemon.camera.simulator.objects import KINDS

    if not labels or (unknown := sorted(set(labels) - set(KINDS))):
        named = f"not {', '.join(unknown)}" if labels else "and there are none"
        raise ConfigError(f"the demo draws only {', '.join(KINDS)}: its buttons must teach these, {named}")
    taught = tuple(dict.fromkeys(labels))
    lesson = [Segment(kind, _TEACH_FRAMES, index) for index, kind in enumerate(_repeated(taught, POSES))]
    strangers = [kind for kind in KINDS if kind not in taught]
    return DemoScript(
        showings=(*lesson, *_show(taught, strangers, seed)),
        presses=tuple(
            (index * _TEACH_FRAMES + _PRESS_OFFSET, kind)
            for index, kind in enumerate(_repeated(taught, POSES))
        ),
        lesson_frames=len(lesson) * _TEACH_FRAMES,
    )


def _repeated(labels: Sequence[str], times: int) -> list[str]:
    return [label for label in labels for _ in range(times)]


def _show(labels: Sequence[str], strangers: Sequence[str], seed: int) -> list[Segment]:
    shuffle = random.Random(seed)
    some = shuffle.sample(strangers, min(_STRANGERS, len(strangers)))
    order: list[str | None] = [*_repeated(labels, _AGAIN), *some, *[None] * _EMPTY]
    shuffle.shuffle(order)
    return [Segment(kind, _SHOW_FRAMES, _FIRST_SHOWN + index) for index, kind in enumerate(order)]


PRESS_FRAMES = 3
"""How long a button stays down: longer than the debouncing, shorter than a hold."""


class ScriptedPresses:
    """Fulfils interfaces.FrameSource around another. Before frame `seq` is read, its button goes down.

    `presses` are (seq, label); `pins` the button of each label.
    """

    def __init__(
        self,
        source: FrameSource,
        presses: Sequence[tuple[int, str]],
        pins: Mapping[str, int],
        presser: SimulatedButtons,
    ) -> None:
        self.lossless = source.lossless
        self._source = source
        self._down = {seq: pins[label] for seq, label in presses}
        self._up = {seq + PRESS_FRAMES: pins[label] for seq, label in presses}
        self._presser = presser
        self._next_seq = 0

    def open(self) -> None:
        """Open the source."""
        self._source.open()

    def read(self) -> Frame | None:
        """Move the finger, then take the next frame."""
        if (pin := self._up.get(self._next_seq)) is not None:
            self._presser.release(pin)
        if (pin := self._down.get(self._next_seq)) is not None:
            self._presser.press(pin)
        frame = self._source.read()
        if frame is not None:
            self._next_seq = frame.seq + 1
        return frame

    def close(self) -> None:
        """Close the source."""
        self._source.close()
