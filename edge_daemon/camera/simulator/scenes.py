"""The simulated scenes: a conveyor belt, and a tray on which objects are placed and removed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from edge_daemon.camera.simulator.lighting import Sprite
from edge_daemon.camera.simulator.renderer import (
    Appearance,
    FloatPicture,
    Renderer,
    draw_belt,
    draw_rails,
    random_appearance,
)
from edge_daemon.camera.simulator.timeline import GroundTruthInterval, Timeline, TimelinePosition

_REACH = 0.54
"""Largest extent of an object and its shadow from its middle, in heights of the frame."""

_SCALE = 0.85
"""Scale of objects on the belt, which fits them between the rails."""


ENTER_FRAMES = 7
"""Frames at the start of a segment in which its object slides in."""

LEAVE_FRAMES = 5
"""Frames at the end of a segment in which its object slides out."""


class Belt:
    """Renders the belt frame by frame. `step` is its speed in pixels per frame."""

    def __init__(self, renderer: Renderer, timeline: Timeline, seed: int, step: float) -> None:
        self._renderer = renderer
        self._timeline = timeline
        self._seed = seed
        self._step = step
        self._passing: tuple[int, Sprite] | None = None
        width, height = renderer.size
        # The lamp over a belt is fixed; only the objects vary.
        self._light = replace(random_appearance(seed, 0).light, brightness=1.0, elevation=1.0)
        rubber = draw_belt(renderer.size, np.random.default_rng((seed, 3)))
        self._rubber = np.concatenate((rubber, rubber), axis=1)
        self._shine = self._light.over(width, height)
        self._rail_height, self._rail = draw_rails(renderer.size)

    def picture(self, seq: int) -> FloatPicture | None:
        """Render frame `seq` without sensor noise; None after the end."""
        position = self._timeline.at(seq)
        if position is None:
            return None
        width, height = self._renderer.size
        shift = width - int(seq * self._step) % width
        picture = self._rubber[:, shift : shift + width] * self._shine
        if position.segment.kind and (x := self._middle(position)) < width + _REACH * height:
            y = random_appearance(self._seed, position.segment.variation).pose.y
            self._renderer.paste(picture, self._sprite(position, position.segment.kind), x, int(y * height))
        picture[: self._rail_height] = self._rail
        picture[-self._rail_height :] = self._rail[::-1]
        return picture

    def truth(self, seq: int) -> str | None:
        """Return the kind of the object whose middle is in the middle half of frame `seq`, if any."""
        position = self._timeline.at(seq)
        width = self._renderer.size[0]
        if position is None or not width / 4 <= self._middle(position) <= width * 3 / 4:
            return None
        return position.segment.kind

    def intervals(self, end: int) -> tuple[GroundTruthInterval, ...]:
        """Return the interval of every object that enters the belt before frame `end`."""
        frames = travel_frames(self._renderer.size, self._step)
        return tuple(
            GroundTruthInterval(
                position.segment.kind, position.first, position.first + min(frames, position.segment.frames)
            )
            for position in self._timeline.segment_starts(end)
            if position.segment.kind is not None
        )

    def _middle(self, position: TimelinePosition) -> int:
        return int(position.offset * self._step - _REACH * self._renderer.size[1])

    def _sprite(self, position: TimelinePosition, kind: str) -> Sprite:
        if self._passing is None or self._passing[0] != position.first:
            appearance = random_appearance(self._seed, position.segment.variation)
            pose = replace(appearance.pose, scale=appearance.pose.scale * _SCALE)
            sprite = self._renderer.sprite(kind, replace(appearance, pose=pose, light=self._light))
            self._passing = (position.first, sprite)
        return self._passing[1]


def travel_frames(size: tuple[int, int], step: float) -> int:
    """Return the number of frames in which an object crosses the belt."""
    return ceil((size[0] + 2 * _REACH * size[1]) / step)


@dataclass(frozen=True, slots=True)
class _DrawnSegment:
    """A drawn segment: the previous table, its own table, its object, and both composited (`still`)."""

    first: int
    appearance: Appearance
    before: FloatPicture
    table: FloatPicture
    sprite: Sprite | None
    still: FloatPicture


def is_still(position: TimelinePosition) -> bool:
    """Return whether the object lies still at this position of the timeline."""
    return ENTER_FRAMES <= position.offset < position.segment.frames - LEAVE_FRAMES


class Tray:
    """Renders the tray frame by frame, in any order; consecutive frames are cheap."""

    def __init__(self, renderer: Renderer, timeline: Timeline, seed: int) -> None:
        self._renderer = renderer
        self._timeline = timeline
        self._seed = seed
        self._current: _DrawnSegment | None = None

    def picture(self, seq: int) -> FloatPicture | None:
        """Render frame `seq` without sensor noise; None after the end."""
        position = self._timeline.at(seq)
        if position is None:
            return None
        if self._current is None or self._current.first != position.first:
            self._current = self._draw_segment(position)
        if is_still(position):
            return self._current.still
        return self._draw_motion(self._current, position)

    def truth(self, seq: int) -> str | None:
        """Return the kind that lies still in frame `seq`; None for an empty tray and during motion."""
        position = self._timeline.at(seq)
        return position.segment.kind if position and is_still(position) else None

    def intervals(self, end: int) -> tuple[GroundTruthInterval, ...]:
        """Return the interval of every object that is placed before frame `end`."""
        segment_starts = self._timeline.segment_starts(end)
        return tuple(
            GroundTruthInterval(
                position.segment.kind, position.first, position.first + position.segment.frames
            )
            for position in segment_starts
            if position.segment.kind is not None
        )

    def _draw_segment(self, position: TimelinePosition) -> _DrawnSegment:
        appearance = random_appearance(self._seed, position.segment.variation)
        table = self._renderer.table(appearance.tray, appearance.light)
        sprite = self._renderer.sprite(position.segment.kind, appearance) if position.segment.kind else None
        still = table.copy()
        if sprite:
            self._renderer.paste(still, sprite, *self._middle_of(appearance))
        return _DrawnSegment(
            position.first, appearance, self._table_before(position, table), table, sprite, still
        )

    def _table_before(self, position: TimelinePosition, table: FloatPicture) -> FloatPicture:
        previous = self._timeline.at(position.first - 1)
        if previous is None:
            return table
        appearance = random_appearance(self._seed, previous.segment.variation)
        return self._renderer.table(appearance.tray, appearance.light)

    def _draw_motion(self, drawn: _DrawnSegment, position: TimelinePosition) -> FloatPicture:
        """Render the object sliding in, while the tables cross-fade, or out over the edge."""
        entering = (position.offset + 1) / (ENTER_FRAMES + 1)
        leaving = (position.offset - position.segment.frames + LEAVE_FRAMES + 1) / (LEAVE_FRAMES + 1)
        picture = drawn.table.copy()
        if entering < 1:
            picture += (drawn.before - picture) * np.float32(1 - entering)
        if drawn.sprite:
            away = (1 - entering) ** 2 if entering < 1 else max(leaving, 0) ** 2
            self._renderer.paste(picture, drawn.sprite, *self._middle_of(drawn.appearance, away))
        return picture

    def _middle_of(self, appearance: Appearance, away: float = 0.0) -> tuple[int, int]:
        """Return the middle of an object in pixels; `away` is 0 at its place on the tray, 1 past the edge."""
        width, height = self._renderer.size
        pose = appearance.pose
        distance = away * (0.5 * width + pose.scale * 1.6 * height)
        # Objects move along their own length, to either side.
        side = 1 if np.cos(pose.angle) >= 0 else -1
        return int(pose.x * width + side * distance), int(pose.y * height)
