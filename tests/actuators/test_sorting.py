"""When a sorter's outputs are on."""

from __future__ import annotations

import pytest

from edge_daemon.actuators.sorting import Ejection, Sorting


@pytest.fixture
def sorting() -> Sorting:
    return Sorting({"nut": Ejection(travel_s=0.8, hold_s=0.2), "bolt": Ejection(travel_s=1.2, hold_s=0.2)})


def test_an_output_is_on_from_the_moment_of_capture_plus_travel(sorting: Sorting) -> None:
    assert sorting.take("nut", "1", age_s=0.3, now=10.0)
    states = {now: sorting.active(now) for now in (10.49, 10.51, 10.69, 10.71)}
    assert [bool(state) for state in states.values()] == [False, True, True, False]


def test_the_next_change_is_told(sorting: Sorting) -> None:
    assert sorting.next_change(10.0) is None
    sorting.take("nut", "1", age_s=0.0, now=10.0)
    assert sorting.next_change(10.0) == pytest.approx(10.8)
    assert sorting.next_change(10.9) == pytest.approx(11.0)
    assert sorting.next_change(11.1) is None


def test_a_slow_message_shifts_nothing(sorting: Sorting) -> None:
    sorting.take("nut", "1", age_s=0.0, now=10.0)
    sorting.take("nut", "2", age_s=0.7, now=10.7)
    assert sorting.next_change(10.75) == pytest.approx(10.8)
    assert sorting.active(11.01) == frozenset()


def test_an_object_that_is_past_is_let_go(sorting: Sorting) -> None:
    assert not sorting.take("nut", "1", age_s=0.9, now=10.0)
    assert sorting.late == 1
    assert sorting.active(10.05) == frozenset()


def test_an_event_that_comes_twice_counts_once(sorting: Sorting) -> None:
    assert sorting.take("nut", "1", age_s=0.0, now=10.0)
    assert not sorting.take("nut", "1", age_s=0.0, now=10.5)
    assert sorting.active(11.1) == frozenset()


def test_labels_without_an_output_do_nothing(sorting: Sorting) -> None:
    assert not sorting.take("unknown", "1", age_s=0.0, now=10.0)
    assert sorting.next_change(10.0) is None


def test_two_objects_are_ejected_each_in_its_time(sorting: Sorting) -> None:
    sorting.take("bolt", "1", age_s=0.0, now=10.0)
    sorting.take("nut", "2", age_s=0.0, now=10.1)
    assert [sorted(sorting.active(now)) for now in (10.95, 11.15, 11.25)] == [["nut"], [], ["bolt"]]


def test_nothing_is_on_once_the_device_is_gone(sorting: Sorting) -> None:
    sorting.take("nut", "1", age_s=0.0, now=10.0)
    sorting.abandon()
    assert sorting.active(10.9) == frozenset()
