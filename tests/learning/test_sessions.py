"""Teaching sessions by the times, boots and scenes of the examples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from edge_daemon.domain.types import Example
from edge_daemon.learning.sessions import SessionCounter

START = datetime(2025, 3, 1, 9, tzinfo=UTC)


def press(minute: float, **values: Any) -> Example:
    created = START + timedelta(minutes=minute)
    return Example(1, "cat", np.ones(2, np.float32), "s", "frame", created, **values)


def numbers(presses: list[Example]) -> list[int]:
    counter = SessionCounter()
    return [counter.number(each) for each in presses]


def booted(boot_id: str, uptime_minute: float, minute: float = 0, scene_id: int | None = None) -> Example:
    return press(minute, boot_id=boot_id, uptime_s=60 * uptime_minute, scene_id=scene_id)


def test_presses_more_than_twenty_minutes_apart_are_of_two_sessions() -> None:
    minutes = [0, 5, 25, 45, 65.1, 70, 2000]
    assert numbers([press(each) for each in minutes]) == [0, 0, 0, 0, 1, 1, 2]


def test_a_clock_that_starts_again_begins_a_session() -> None:
    assert numbers([press(each) for each in [60, 62, 0, 3]]) == [0, 0, 1, 1]


def test_each_device_of_a_fleet_has_sessions_of_its_own() -> None:
    devices = zip([0, 1, 30, 10, 31, 12], "ababab", strict=True)
    assert numbers([press(minute, origin=origin) for minute, origin in devices]) == [0, 1, 2, 1, 2, 1]


def test_a_clock_that_is_set_ends_no_session_of_a_boot() -> None:
    presses = [booted("a", 1, 0), booted("a", 2, 90_000), booted("a", 3, 50), booted("a", 30, 50.5)]
    assert numbers(presses) == [0, 0, 0, 1]


def test_presses_of_two_boots_are_of_two_sessions_whatever_the_clock_shows() -> None:
    presses = [booted("a", 300, 0), booted("b", 1, 1), booted("b", 2, 2), booted("c", 2, 3)]
    assert numbers(presses) == [0, 1, 1, 2]


def test_a_frame_that_is_stored_after_a_later_one_is_of_the_same_session() -> None:
    assert numbers([booted("a", 5, 5), booted("a", 4, 4), booted("a", 6, 6)]) == [0, 0, 0]


def test_an_import_between_two_presses_splits_no_session() -> None:
    imported = [press(-90_000), booted("x", 1, -80_000)]
    assert numbers([booted("a", 1), *imported, booted("a", 2)]) == [0, 1, 2, 0]


def test_presses_under_two_scenes_are_of_two_sessions() -> None:
    scenes = [1, 1, 2, 2, 1]
    assert numbers([press(each, scene_id=scene) for each, scene in enumerate(scenes)]) == [0, 0, 1, 1, 0]


def test_a_scene_that_becomes_known_or_lost_begins_no_session() -> None:
    scenes = [None, None, 7, None, 7, 8, None]
    assert numbers([press(each, scene_id=scene) for each, scene in enumerate(scenes)]) == [
        *(0, 0, 0, 0, 0, 1, 1)
    ]


def test_a_scene_that_is_seen_again_later_is_another_session() -> None:
    assert numbers([press(0, scene_id=1), press(100, scene_id=1), press(101, scene_id=2)]) == [0, 1, 2]
