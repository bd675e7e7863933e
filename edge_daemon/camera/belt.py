"""A conveyor belt on which one object after another passes from left to right."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from edge_daemon.camera import backgrounds
from edge_daemon.camera.backgrounds import Picture
from edge_daemon.camera.lighting import Sprite
from edge_daemon.camera.scene import Painter, setting
from edge_daemon.camera.timeline import Moment, Passage, Timeline

_REACH = 0.54
"""How far an object and its shadow reach from its middle at most, in heights of the frame."""

_SHRINK = 0.85
"""So that objects lie between the rails."""


class Belt:
    """Paints the belt frame by frame. `step` is its speed in pixels per frame."""

    def __init__(self, painter: Painter, timeline: Timeline, seed: int, step: float) -> None:
        self._painter = painter
        self._timeline = timeline
        self._seed = seed
        self._step = step
        self._passing: tuple[int, Sprite] | None = None
        width, height = painter.size
        # The lamp over a belt is fixed; only the objects vary.
        self._light = replace(setting(seed, 0).light, brightness=1.0, elevation=1.0)
        rubber = backgrounds.belt(painter.size, np.random.default_rng((seed, 3)))
        self._rubber = np.concatenate((rubber, rubber), axis=1)
        self._shine = self._light.over(width, height)
        self._rail_height, self._rail = backgrounds.rails(painter.size)

    def picture(self, seq: int) -> Picture | None:
        """Paint frame `seq`, without the sensor's noise; None after the end."""
        moment = self._timeline.at(seq)
        if moment is None:
            return None
        width, height = self._painter.size
        shift = width - int(seq * self._step) % width
        picture = self._rubber[:, shift : shift + width] * self._shine
        if moment.showing.kind and (x := self._middle(moment)) < width + _REACH * height:
            y = setting(self._seed, moment.showing.variation).pose.y
            self._painter.lay(picture, self._sprite(moment, moment.showing.kind), x, int(y * height))
        picture[: self._rail_height] = self._rail
        picture[-self._rail_height :] = self._rail[::-1]
        return picture

    def truth(self, seq: int) -> str | None:
        """Return the kind whose middle is in the middle half of frame `seq`, if any."""
        moment = self._timeline.at(seq)
        width = self._painter.size[0]
        if moment is None or not width / 4 <= self._middle(moment) <= width * 3 / 4:
            return None
        return moment.showing.kind

    def passages(self, end: int) -> tuple[Passage, ...]:
        """Return every object's way over the belt that begins before frame `end`."""
        frames = travel_frames(self._painter.size, self._step)
        return tuple(
            Passage(moment.showing.kind, moment.first, moment.first + min(frames, moment.showing.frames))
            for moment in self._timeline.moments(end)
            if moment.showing.kind is not None
        )

    def _middle(self, moment: Moment) -> int:
        return int(moment.offset * self._step - _REACH * self._painter.size[1])

    def _sprite(self, moment: Moment, kind: str) -> Sprite:
        if self._passing is None or self._passing[0] != moment.first:
            chosen = setting(self._seed, moment.showing.variation)
            pose = replace(chosen.pose, scale=chosen.pose.scale * _SHRINK)
            sprite = self._painter.sprite(kind, replace(chosen, pose=pose, light=self._light))
            self._passing = (moment.first, sprite)
        return self._passing[1]


def travel_frames(size: tuple[int, int], step: float) -> int:
    """Return how many frames an object needs from side to side."""
    return ceil((size[0] + 2 * _REACH * size[1]) / step)
