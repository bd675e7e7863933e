"""A tray on which one thing after another is put down, lies still, and is taken away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from edge_daemon.camera.simulator import renderer as backgrounds
from edge_daemon.camera.simulator.lighting import Sprite
from edge_daemon.camera.simulator.renderer import Picture, Renderer, Setting, setting
from edge_daemon.camera.simulator.timeline import GroundTruthInterval, Timeline, TimelinePosition

_REACH = 0.54
"""How far an object and its shadow reach from its middle at most, in heights of the frame."""

_SHRINK = 0.85
"""So that objects lie between the rails."""


class Belt:
    """Paints the belt frame by frame. `step` is its speed in pixels per frame."""

    def __init__(self, painter: Renderer, timeline: Timeline, seed: int, step: float) -> None:
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

    def passages(self, end: int) -> tuple[GroundTruthInterval, ...]:
        """Return every object's way over the belt that begins before frame `end`."""
        frames = travel_frames(self._painter.size, self._step)
        return tuple(
            GroundTruthInterval(
                moment.showing.kind, moment.first, moment.first + min(frames, moment.showing.frames)
            )
            for moment in self._timeline.moments(end)
            if moment.showing.kind is not None
        )

    def _middle(self, moment: TimelinePosition) -> int:
        return int(moment.offset * self._step - _REACH * self._painter.size[1])

    def _sprite(self, moment: TimelinePosition, kind: str) -> Sprite:
        if self._passing is None or self._passing[0] != moment.first:
            chosen = setting(self._seed, moment.showing.variation)
            pose = replace(chosen.pose, scale=chosen.pose.scale * _SHRINK)
            sprite = self._painter.sprite(kind, replace(chosen, pose=pose, light=self._light))
            self._passing = (moment.first, sprite)
        return self._passing[1]


def travel_frames(size: tuple[int, int], step: float) -> int:
    """Return how many frames an object needs from side to side."""
    return ceil((size[0] + 2 * _REACH * size[1]) / step)


ENTER_FRAMES = 7
"""A thing slides in during the first frames of its showing…"""

LEAVE_FRAMES = 5
"""…and out during the last."""


@dataclass(frozen=True, slots=True)
class _Laid:
    """One showing, drawn: the table before it, its own table, what lies on it, and both together."""

    first: int
    setting: Setting
    before: Picture
    table: Picture
    sprite: Sprite | None
    settled: Picture


def settled(moment: TimelinePosition) -> bool:
    """Return whether the picture of this moment is at rest: put down, and not yet taken away."""
    return ENTER_FRAMES <= moment.offset < moment.showing.frames - LEAVE_FRAMES


class Tray:
    """Paints the tray frame by frame. Frames may be asked for in any order; in order they are cheap."""

    def __init__(self, painter: Renderer, timeline: Timeline, seed: int) -> None:
        self._painter = painter
        self._timeline = timeline
        self._seed = seed
        self._laid: _Laid | None = None

    def picture(self, seq: int) -> Picture | None:
        """Paint frame `seq`, without the sensor's noise; None after the end."""
        moment = self._timeline.at(seq)
        if moment is None:
            return None
        if self._laid is None or self._laid.first != moment.first:
            self._laid = self._lay(moment)
        if settled(moment):
            return self._laid.settled
        return self._moving(self._laid, moment)

    def truth(self, seq: int) -> str | None:
        """Return the kind that lies still in frame `seq`; None for an empty or moving tray."""
        moment = self._timeline.at(seq)
        return moment.showing.kind if moment and settled(moment) else None

    def passages(self, end: int) -> tuple[GroundTruthInterval, ...]:
        """Return every object's stay on the tray that begins before frame `end`."""
        moments = self._timeline.moments(end)
        return tuple(
            GroundTruthInterval(moment.showing.kind, moment.first, moment.first + moment.showing.frames)
            for moment in moments
            if moment.showing.kind is not None
        )

    def _lay(self, moment: TimelinePosition) -> _Laid:
        chosen = setting(self._seed, moment.showing.variation)
        table = self._painter.table(chosen.tray, chosen.light)
        sprite = self._painter.sprite(moment.showing.kind, chosen) if moment.showing.kind else None
        lying = table.copy()
        if sprite:
            self._painter.lay(lying, sprite, *self._place(chosen))
        return _Laid(moment.first, chosen, self._table_before(moment, table), table, sprite, lying)

    def _table_before(self, moment: TimelinePosition, table: Picture) -> Picture:
        previous = self._timeline.at(moment.first - 1)
        if previous is None:
            return table
        chosen = setting(self._seed, previous.showing.variation)
        return self._painter.table(chosen.tray, chosen.light)

    def _moving(self, laid: _Laid, moment: TimelinePosition) -> Picture:
        """Fade to the new table while its thing slides in; let it slide out over the edge."""
        entering = (moment.offset + 1) / (ENTER_FRAMES + 1)
        leaving = (moment.offset - moment.showing.frames + LEAVE_FRAMES + 1) / (LEAVE_FRAMES + 1)
        picture = laid.table.copy()
        if entering < 1:
            picture += (laid.before - picture) * np.float32(1 - entering)
        if laid.sprite:
            away = (1 - entering) ** 2 if entering < 1 else max(leaving, 0) ** 2
            self._painter.lay(picture, laid.sprite, *self._place(laid.setting, away))
        return picture

    def _place(self, chosen: Setting, away: float = 0.0) -> tuple[int, int]:
        """Return the middle of a thing in pixels; `away` 0 is its resting place, 1 past the edge."""
        width, height = self._painter.size
        pose = chosen.pose
        distance = away * (0.5 * width + pose.scale * 1.6 * height)
        # Things come and go along their own length, to either side.
        side = 1 if np.cos(pose.angle) >= 0 else -1
        return int(pose.x * width + side * distance), int(pose.y * height)
