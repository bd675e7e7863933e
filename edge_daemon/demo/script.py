"""Script of the demo: a training phase with scripted button presses, then a test phase."""

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
"""Presses per object, each with another pose, light and background."""

_TRAINING_FRAMES = 20
_TEST_FRAMES = 22

_PRESS_OFFSET = 8
"""Frames from the start of a segment to the press: the object lies still, and does so for the next frames."""

_REPEATS = 3
"""Segments of each trained object in the test phase."""

_UNKNOWN_OBJECTS = 6
_EMPTY_TRAYS = 2

# No variation of the training phase occurs in the test phase.
_FIRST_TEST_VARIATION = 10_000


@dataclass(frozen=True)
class DemoScript:
    """Segments of the training and the test phase. Frame numbers start at 0, like the source's `seq`.

    `presses` are (frame, label): the label's button goes down before that frame.
    """

    segments: tuple[Segment, ...]
    presses: tuple[tuple[int, str], ...]
    training_frames: int

    @property
    def frames(self) -> int:
        """Total number of frames."""
        return self._timeline.frames

    def truth(self, seq: int) -> str | None:
        """Return the expected label of frame `seq`: a trained label, or unknown.

        None for frames that are not scored: the training phase, and moving objects.
        """
        from edge_daemon.camera.simulator.scenes import is_still

        position = self._timeline.at(seq)
        if position is None or seq < self.training_frames or not is_still(position):
            return None
        kind = position.segment.kind
        return kind if kind in self._trained else UNKNOWN

    @cached_property
    def _timeline(self) -> Timeline:
        return Timeline(self.segments)

    @cached_property
    def _trained(self) -> frozenset[str]:
        return frozenset(label for _, label in self.presses)


def make_script(labels: Sequence[str], seed: int = 1) -> DemoScript:
    """Return a script that trains these kinds, then tests them in new variations among unknown objects.

    Raises ConfigError for a label that can't be drawn, and for no label.
    """
    from edge_daemon.camera.simulator.objects import KINDS

    if not labels or (unknown := sorted(set(labels) - set(KINDS))):
        problem = f"not {', '.join(unknown)}" if labels else "and there are none"
        raise ConfigError(f"the demo draws only {', '.join(KINDS)}: its buttons must label these, {problem}")
    trained = tuple(dict.fromkeys(labels))
    presses = _repeated(trained, POSES)
    training = [Segment(kind, _TRAINING_FRAMES, index) for index, kind in enumerate(presses)]
    unknown = [kind for kind in KINDS if kind not in trained]
    return DemoScript(
        segments=(*training, *_test_segments(trained, unknown, seed)),
        presses=tuple((index * _TRAINING_FRAMES + _PRESS_OFFSET, kind) for index, kind in enumerate(presses)),
        training_frames=len(training) * _TRAINING_FRAMES,
    )


def _repeated(labels: Sequence[str], times: int) -> list[str]:
    return [label for label in labels for _ in range(times)]


def _test_segments(labels: Sequence[str], unknown: Sequence[str], seed: int) -> list[Segment]:
    rng = random.Random(seed)
    sampled = rng.sample(unknown, min(_UNKNOWN_OBJECTS, len(unknown)))
    order: list[str | None] = [*_repeated(labels, _REPEATS), *sampled, *[None] * _EMPTY_TRAYS]
    rng.shuffle(order)
    return [Segment(kind, _TEST_FRAMES, _FIRST_TEST_VARIATION + index) for index, kind in enumerate(order)]


PRESS_FRAMES = 3
"""Frames that a button stays down: longer than the debounce time, shorter than a hold."""


class ScriptedPresses:
    """FrameSource that wraps another and presses simulated buttons between its frames.

    `presses` are (seq, label): the button goes down before frame `seq` is read. `pins` maps labels to pins.
    """

    def __init__(
        self,
        source: FrameSource,
        presses: Sequence[tuple[int, str]],
        pins: Mapping[str, int],
        buttons: SimulatedButtons,
    ) -> None:
        self.lossless = source.lossless
        self._source = source
        self._down = {seq: pins[label] for seq, label in presses}
        self._up = {seq + PRESS_FRAMES: pins[label] for seq, label in presses}
        self._buttons = buttons
        self._next_seq = 0

    def open(self) -> None:
        """Open the source."""
        self._source.open()

    def read(self) -> Frame | None:
        """Release and press the buttons that are due, then return the next frame."""
        if (pin := self._up.get(self._next_seq)) is not None:
            self._buttons.release(pin)
        if (pin := self._down.get(self._next_seq)) is not None:
            self._buttons.press(pin)
        frame = self._source.read()
        if frame is not None:
            self._next_seq = frame.seq + 1
        return frame

    def close(self) -> None:
        """Close the source."""
        self._source.close()
