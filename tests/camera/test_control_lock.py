"""The lock of the automatic controls, before a simulated camera and room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.camera.control_lock import (
    MAX_SETTLE_S,
    MAX_UNUSABLE_WAIT_S,
    MAX_WAIT_S,
    ControlLock,
    Lock,
    Reading,
    Release,
)
from edge_daemon.camera.light import CELL_COLUMNS, CELL_ROWS, Light

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

CELLS = CELL_ROWS * CELL_COLUMNS
HOUR_S = 3600.0
ROOM = np.linspace(60, 180, CELLS, dtype=np.float32)
"""Brightness of the room's cells at the right exposure."""

MAX_EXPOSURE = 16.0
"""Largest exposure of the camera; 1.0 is right at a light of 1.0."""


@dataclass
class Camera:
    """A camera that adjusts its exposure to the mean brightness, and the lock that commands it."""

    light: Callable[[float], float] = lambda now_s: 1.0
    objects: Callable[[float, Vector], Vector] = lambda now_s, cells: cells
    focus: Callable[[float], float] = lambda now_s: 2.0
    holds_values: bool = True
    period_s: float = 0.2
    lock: ControlLock = field(default_factory=ControlLock)
    now_s: float = 0.0
    exposure: float = 1.0
    fixed: float | None = None
    commands: list[tuple[float, Lock | Release]] = field(default_factory=list)
    brightness: dict[float, float] = field(default_factory=dict)

    def run(self, until_s: float) -> Camera:
        """Deliver readings until a time."""
        while self.now_s < until_s:
            self.now_s = round(self.now_s + self.period_s, 6)
            self._step()
        return self

    def _step(self) -> None:
        seen = self.objects(self.now_s, ROOM * self.light(self.now_s) ** (1 / 2.2))
        mean = float((seen * self.exposure ** (1 / 2.2)).mean())
        if self.fixed is None:
            wanted = self.exposure * (ROOM.mean() / max(mean, 1.0)) ** 2.2
            self.exposure += 0.4 * (min(max(wanted, 0.01), MAX_EXPOSURE) - self.exposure)
        else:
            self.exposure = self.fixed
        cells = (seen * self.exposure ** (1 / 2.2)).clip(0, 255).astype(np.float32)
        self.brightness[self.now_s] = float(cells.mean())
        light = Light(cells, float((cells >= 250).mean()))
        values = {"exposure_us": self.exposure * 1e4, "focus_dioptres": self.focus(self.now_s)}
        command = self.lock.update(Reading(self.now_s, light, values))
        if command is not None:
            self._obey(command)

    def _obey(self, command: Lock | Release) -> None:
        self.commands.append((self.now_s, command))
        if isinstance(command, Release):
            self.fixed = None
        else:
            self.fixed = command.values["exposure_us"] / 1e4 if self.holds_values else 0.2

    @property
    def releases(self) -> list[float]:
        """Times of the releases."""
        return [at_s for at_s, command in self.commands if isinstance(command, Release)]

    @property
    def locks(self) -> list[Lock]:
        """All locks in order."""
        return [command for _, command in self.commands if isinstance(command, Lock)]


def _lamp(on_s: float, off_s: float, dim: float) -> Callable[[float], float]:
    return lambda now_s: dim if on_s <= now_s < off_s else 1.0


def test_settled_values_are_locked_once() -> None:
    camera = Camera(light=lambda now_s: 0.5).run(60)
    assert len(camera.commands) == 1
    at_s, command = camera.commands[0]
    assert isinstance(command, Lock)
    assert at_s < 5
    assert command.values["exposure_us"] == pytest.approx(2e4, rel=0.05)
    assert camera.lock.state == "locked"


def test_nothing_is_locked_while_a_control_still_moves() -> None:
    camera = Camera(focus=lambda now_s: min(now_s / 2, 4.0)).run(7.9)
    assert camera.commands == []
    assert camera.run(12).locks[0].values["focus_dioptres"] == 4.0


def test_a_hunting_focus_is_locked_at_a_typical_value() -> None:
    camera = Camera(focus=lambda now_s: 2.0 if now_s % 2 < 1.5 else 9.0).run(MAX_SETTLE_S + 5)
    assert camera.locks[0].values["focus_dioptres"] == 2.0


def test_the_values_of_a_frame_that_is_not_searching_are_preferred() -> None:
    lock = ControlLock()
    light = Light(ROOM, 0.0)
    command = None
    for step in range(200):
        searching = step % 4 != 0
        values = {"focus_dioptres": 7.0 if searching else 3.0}
        command = lock.update(Reading(step / 5, light, values, searching)) or command
    assert command == Lock({"focus_dioptres": 3.0})


def test_a_lamp_that_is_switched_off_and_on_is_followed() -> None:
    camera = Camera(light=_lamp(60, 180, 0.1)).run(300)
    assert len(camera.locks) == 3
    assert camera.brightness[150.0] == pytest.approx(ROOM.mean(), rel=0.1)
    assert camera.brightness[290.0] == pytest.approx(ROOM.mean(), rel=0.1)


def test_a_lamp_that_saturates_the_picture_is_followed() -> None:
    camera = Camera(light=_lamp(60, 999, 12.0)).run(100)
    assert len(camera.locks) == 2
    assert camera.brightness[99.0] == pytest.approx(ROOM.mean(), rel=0.1)


def test_the_same_light_gets_the_same_values_again() -> None:
    camera = Camera(light=lambda now_s: 1.05 if now_s > 120 else 0.001 if now_s > 60 else 1.0).run(200)
    day, night, next_day = camera.locks
    assert night != day
    assert next_day == day


def test_a_start_in_the_dark_locks_when_there_is_light() -> None:
    camera = Camera(light=lambda now_s: 1e-5 if now_s < 600 else 1.0).run(590)
    assert camera.commands == []
    assert camera.lock.state == "unusable"
    camera.run(620)
    assert len(camera.locks) == 1
    assert camera.brightness[619.0] == pytest.approx(ROOM.mean(), rel=0.05)


def test_a_slow_dusk_is_followed_by_a_few_steps() -> None:
    camera = Camera(light=lambda now_s: 0.5 ** (now_s / 900)).run(HOUR_S)
    assert 3 <= len(camera.releases) <= 6
    assert min(camera.brightness.values()) > 0.6 * ROOM.mean()


@pytest.mark.parametrize("swing", [0.2, 0.6])
@pytest.mark.parametrize("period_s", [0.4, 1.0])
def test_flickering_light_releases_nothing(swing: float, period_s: float) -> None:
    camera = Camera(light=lambda now_s: 1 + swing * (-1) ** int(now_s / period_s * 2)).run(HOUR_S / 4)
    assert camera.releases == []
    assert camera.lock.state == "locked"


def test_a_change_of_flickering_light_is_followed() -> None:
    def flicker(now_s: float) -> float:
        swing = 0.6 if round(now_s * 5) % 2 else -0.6
        return (0.3 if now_s > 60 else 1.0) * (1 + swing)

    assert len(Camera(light=flicker).run(90).releases) == 1


@pytest.mark.parametrize("seconds", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("brightness", [2.0, 250.0])
def test_an_object_that_fills_the_view_for_a_moment_releases_nothing(
    seconds: float, brightness: float
) -> None:
    def pass_by(now_s: float, cells: Vector) -> Vector:
        return np.full_like(cells, brightness) if now_s > 10 and now_s % 20 < seconds else cells

    assert Camera(objects=pass_by).run(HOUR_S / 4).releases == []


@pytest.mark.parametrize("brightness", [2.0, 250.0])
def test_an_object_that_rests_in_half_of_the_view_releases_nothing(brightness: float) -> None:
    def rest(now_s: float, cells: Vector) -> Vector:
        covered = np.arange(CELLS) % CELL_COLUMNS < CELL_COLUMNS // 2
        limited = min(brightness, 240.0)
        return np.where(covered, np.float32(limited), cells) if now_s > 30 else cells

    assert Camera(objects=rest).run(HOUR_S / 4).releases == []


def test_a_covered_camera_waits_in_automatic_mode_and_gets_its_values_back() -> None:
    def cover(now_s: float, cells: Vector) -> Vector:
        return cells * np.float32(1e-3) if 60 < now_s < 2000 else cells

    camera = Camera(objects=cover).run(1990)
    assert len(camera.releases) == 1
    assert camera.lock.state == "unusable"
    camera.run(2030)
    assert camera.locks[-1] == camera.locks[0]


def test_a_moved_camera_settles_again() -> None:
    turned = ROOM[::-1].copy()
    camera = Camera(
        objects=lambda now_s, cells: turned if now_s > 60 else cells,
        focus=lambda now_s: 5.0 if now_s > 60 else 2.0,
    ).run(120)
    assert len(camera.releases) == 1
    assert camera.locks[-1].values["focus_dioptres"] == 5.0


@pytest.mark.parametrize(("dim", "longest_s"), [(0.2, MAX_WAIT_S), (1e-4, MAX_UNUSABLE_WAIT_S)])
@pytest.mark.parametrize("half_period_s", [8.0, 70.0])
def test_releases_are_bounded_in_a_light_that_never_stays(
    dim: float, longest_s: float, half_period_s: float
) -> None:
    camera = Camera(light=lambda now_s: dim if int(now_s / half_period_s) % 2 else 1.0).run(HOUR_S)
    waits = [
        later - earlier for earlier, later in zip(camera.releases[5:], camera.releases[6:], strict=False)
    ]
    assert all(wait_s >= longest_s - 0.5 for wait_s in waits)
    assert len(camera.releases) <= HOUR_S / longest_s + 7


def test_after_a_quiet_time_a_change_is_followed_at_once() -> None:
    nervous = Camera(light=lambda now_s: 0.2 if int(now_s / 30) % 2 and now_s < 900 else 1.0)
    nervous.run(HOUR_S)
    earlier = len(nervous.releases)
    nervous.light = lambda now_s: 0.2
    nervous.run(HOUR_S + 15)
    assert len(nervous.releases) == earlier + 1


def test_a_camera_that_does_not_hold_its_values_stays_automatic() -> None:
    camera = Camera(holds_values=False).run(600)
    assert len(camera.locks) == len(camera.releases) == 3
    assert camera.lock.state == "automatic"
    assert camera.fixed is None


def test_an_opened_camera_settles_again_to_the_former_values() -> None:
    camera = Camera().run(30)
    camera.lock.restart()
    camera.fixed, camera.exposure = None, 0.97
    camera.run(60)
    assert len(camera.locks) == 2
    assert camera.locks[0] == camera.locks[1]
    assert camera.releases == []


def test_a_slow_camera_is_not_locked_before_its_controls_can_act() -> None:
    camera = Camera(light=lambda now_s: 0.2, period_s=2.0).run(200)
    assert len(camera.locks) == 1
    assert camera.brightness[200.0] == pytest.approx(ROOM.mean(), rel=0.1)
