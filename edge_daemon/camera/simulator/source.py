"""Frame source of a rendered tray or belt with ground truth, deterministic by seed."""

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

_SEGMENT_FRAMES = 45
"""Frames of each segment on the endless tray: three seconds at 15 frames per second."""

_ROUNDS = 4
"""Occurrences of each kind in one run of the endless timeline."""


class SyntheticSource:
    """Simulated camera; implements interfaces.FrameSource. Frame `seq` depends on the options alone.

    Without a `timeline` all kinds appear in turn, without end. On a belt every segment must last at least
    until its object has crossed the belt. `lossless` True: the consumer gets every frame, however slow it
    is. Raises ValueError for an unknown kind.
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
        self._pacer = FramePacer(options.fps, clock, sleep)
        self._renderer = Renderer(options.size, options.seed)
        self._scene = _build_scene(options, self._renderer, timeline)
        self._next_seq = 0
        self._open = False

    def open(self) -> None:
        """Start, or resume after the last frame."""
        self._open = True

    def read(self) -> Frame | None:
        """Render the next frame and wait until it is due; None after the last."""
        if not self._open:
            raise CameraError("the simulated camera is closed; open it before reading")
        seq = self._next_seq
        picture = None if self._options.frames == seq else self._scene.picture(seq)
        if picture is None:
            return None
        self._next_seq += 1
        image = self._renderer.expose(picture, seq)
        self._pacer.wait()
        return Frame(image, seq, self._clock.monotonic(), self._clock.utc())

    def close(self) -> None:
        """Stop; no resource is held."""
        self._open = False

    def truth(self, seq: int) -> str | None:
        """Return the kind in frame `seq`; None for an empty table and during transitions."""
        return self._scene.truth(seq)

    def intervals(self, end: int) -> tuple[GroundTruthInterval, ...]:
        """Return the ground truth interval of every object that appears before frame `end`."""
        return self._scene.intervals(end)


def _build_scene(
    options: SyntheticOptions, renderer: Renderer, timeline: Sequence[Segment] | None
) -> Tray | Belt:
    from edge_daemon.camera.simulator.objects import KINDS
    from edge_daemon.camera.simulator.scenes import Belt, Tray, travel_frames

    if unknown := {segment.kind for segment in timeline or () if segment.kind} - set(KINDS):
        raise ValueError(f"can't draw {', '.join(sorted(unknown))}; kinds are {', '.join(KINDS)}")
    if options.scene == "tray":
        return Tray(renderer, _build_timeline(timeline, KINDS, _SEGMENT_FRAMES, options.seed), options.seed)
    step = options.belt_speed * options.size[0] / options.fps
    frames = travel_frames(options.size, step)
    if any(segment.kind and segment.frames < frames for segment in timeline or ()):
        raise ValueError(f"an object needs {frames} frames to cross this belt; give each segment as many")
    return Belt(renderer, _build_timeline(timeline, KINDS, frames, options.seed), options.seed, step)


def _build_timeline(
    timeline: Sequence[Segment] | None, kinds: Sequence[str], frames: int, seed: int
) -> Timeline:
    if timeline is not None:
        return Timeline(timeline)
    return Timeline(_endless_segments(kinds, frames, seed), repeat=True)


def _endless_segments(kinds: Sequence[str], frames: int, seed: int) -> list[Segment]:
    """Return every kind in a new order each round, with an empty table at its end."""
    import numpy as np

    random = np.random.default_rng((seed, 4))
    order = [kind for _ in range(_ROUNDS) for kind in (*random.permutation(kinds).tolist(), None)]
    return [Segment(kind, frames, variation) for variation, kind in enumerate(order)]
