"""A tray on which one thing after another is put down, lies still, and is taken away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_daemon.camera.backgrounds import Picture
from edge_daemon.camera.lighting import Sprite
from edge_daemon.camera.scene import Painter, Setting, setting
from edge_daemon.camera.timeline import Moment, Passage, Timeline

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


def settled(moment: Moment) -> bool:
    """Return whether the picture of this moment is at rest: put down, and not yet taken away."""
    return ENTER_FRAMES <= moment.offset < moment.showing.frames - LEAVE_FRAMES


class Tray:
    """Paints the tray frame by frame. Frames may be asked for in any order; in order they are cheap."""

    def __init__(self, painter: Painter, timeline: Timeline, seed: int) -> None:
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

    def passages(self, end: int) -> tuple[Passage, ...]:
        """Return every object's stay on the tray that begins before frame `end`."""
        moments = self._timeline.moments(end)
        return tuple(
            Passage(moment.showing.kind, moment.first, moment.first + moment.showing.frames)
            for moment in moments
            if moment.showing.kind is not None
        )

    def _lay(self, moment: Moment) -> _Laid:
        chosen = setting(self._seed, moment.showing.variation)
        table = self._painter.table(chosen.tray, chosen.light)
        sprite = self._painter.sprite(moment.showing.kind, chosen) if moment.showing.kind else None
        lying = table.copy()
        if sprite:
            self._painter.lay(lying, sprite, *self._place(chosen))
        return _Laid(moment.first, chosen, self._table_before(moment, table), table, sprite, lying)

    def _table_before(self, moment: Moment, table: Picture) -> Picture:
        previous = self._timeline.at(moment.first - 1)
        if previous is None:
            return table
        chosen = setting(self._seed, previous.showing.variation)
        return self._painter.table(chosen.tray, chosen.light)

    def _moving(self, laid: _Laid, moment: Moment) -> Picture:
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
