"""A drawn tray or belt with objects, deterministic by seed, with ground truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edge_daemon.camera.frames import FramePacer
from edge_daemon.camera.simulator.timeline import GroundTruthInterval, Segment, Timeline
from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame

if TYPE_CHECKING:
    from edge_daemon.camera.simulator.renderer import Renderer
    from edge_daemon.camera.simulator.scenes import Belt, Tray

_STILL_FRAMES = 45
"""How long each thing stays on the endless tray: three seconds at 15 frames a second."""

_ROUNDS = 4
"""How often every kind appears in one run of the endless timeline."""


class SyntheticSource:
    """Draws frames; fulfils interfaces.FrameSource. What frame `seq` shows depends on the options alone.

    Without a `timeline` every kind comes in turn, for ever. On a belt every showing must last at
    least as long as an object needs from side to side. `lossless` True makes the consumer see every
    frame, however slow it is. Raises ValueError for a kind that can't be drawn.
    """

    def __init__(
        self,
        options: SyntheticOptions,
        clock: Clock,
        timeline: Sequence[Segment] | None = None,
        *,
        lossless: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from edge_daemon.camera.simulator.renderer import Renderer

        self.lossless = lossless
        self._options = options
        self._clock = clock
        self._pace = FramePacer(options.fps, clock, sleep)
        self._painter = Renderer(options.size, options.seed)
        self._stage = _stage(options, self._painter, timeline)
        self._next_seq = 0
        self._open = False

    def open(self) -> None:
        """Start, or go on where the last frame was."""
        self._open = True

    def read(self) -> Frame | None:
        """Wait for the next frame's time and draw it; None after the last."""
        if not self._open:
            raise CameraError("the drawn camera is closed; open it before reading")
        seq = self._next_seq
        picture = None if self._options.frames == seq else self._stage.picture(seq)
        if picture is None:
            return None
        self._next_seq += 1
        image = self._painter.expose(picture, seq)
        self._pace.wait()
        return Frame(image, seq, self._clock.monotonic(), self._clock.utc())

    def close(self) -> None:
        """Stop; nothing is held."""
        self._open = False

    def truth(self, seq: int) -> str | None:
        """Return the kind shown in frame `seq`; None for an empty table and for transitions."""
        return self._stage.truth(seq)

    def passages(self, end: int) -> tuple[GroundTruthInterval, ...]:
        """Return every object's time on the table that begins before frame `end`."""
        return self._stage.passages(end)


def _stage(options: SyntheticOptions, painter: Renderer, timeline: Sequence[Segment] | None) -> Tray | Belt:
    from edge_daemon.camera.simulator.objects import KINDS
    from edge_daemon.camera.simulator.scenes import Belt, Tray, travel_frames

    if unknown := {showing.kind for showing in timeline or () if showing.kind} - set(KINDS):
        raise ValueError(f"can't draw {', '.join(sorted(unknown))}; kinds are {', '.join(KINDS)}")
    if options.scene == "tray":
        return Tray(painter, _plan(timeline, KINDS, _STILL_FRAMES, options.seed), options.seed)
    step = options.belt_speed * options.size[0] / options.fps
    frames = travel_frames(options.size, step)
    if any(showing.kind and showing.frames < frames for showing in timeline or ()):
        raise ValueError(f"an object needs {frames} frames to pass this belt; give each showing as many")
    return Belt(painter, _plan(timeline, KINDS, frames, options.seed), options.seed, step)


def _plan(timeline: Sequence[Segment] | None, kinds: Sequence[str], frames: int, seed: int) -> Timeline:
    if timeline is not None:
        return Timeline(timeline)
    return Timeline(_endless(kinds, frames, seed), repeat=True)


def _endless(kinds: Sequence[str], frames: int, seed: int) -> list[Segment]:
    """Every kind in a new order each round, and an empty table at its end."""
    import numpy as np

    random = np.random.default_rng((seed, 4))
    order = [kind for _ in range(_ROUNDS) for kind in (*random.permutation(kinds).tolist(), None)]
    return [Segment(kind, frames, variation) for variation, kind in enumerate(order)]
