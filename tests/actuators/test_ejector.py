"""Times at which the outputs of ejectors are on."""

from __future__ import annotations

import pytest

from edge_daemon.actuators.ejector import EjectPulse, EjectSchedule


@pytest.fixture
def schedule() -> EjectSchedule:
    nut, bolt = EjectPulse(travel_s=0.8, hold_s=0.2), EjectPulse(travel_s=1.2, hold_s=0.2)
    return EjectSchedule({"nut": nut, "bolt": bolt})


def test_an_output_is_on_from_capture_plus_travel_for_its_hold_time(schedule: EjectSchedule) -> None:
    assert schedule.plan("nut", "1", age_s=0.3, now=10.0)
    states = {now: schedule.active(now) for now in (10.49, 10.51, 10.69, 10.71)}
    assert [bool(state) for state in states.values()] == [False, True, True, False]


def test_the_next_change_is_the_start_and_then_the_end_of_a_pulse(schedule: EjectSchedule) -> None:
    assert schedule.next_change(10.0) is None
    schedule.plan("nut", "1", age_s=0.0, now=10.0)
    assert schedule.next_change(10.0) == pytest.approx(10.8)
    assert schedule.next_change(10.9) == pytest.approx(11.0)
    assert schedule.next_change(11.1) is None


def test_a_slow_message_shifts_no_pulse(schedule: EjectSchedule) -> None:
    schedule.plan("nut", "1", age_s=0.0, now=10.0)
    schedule.plan("nut", "2", age_s=0.7, now=10.7)
    assert schedule.next_change(10.75) == pytest.approx(10.8)
    assert schedule.active(11.01) == frozenset()


def test_an_object_that_has_passed_its_ejector_is_skipped(schedule: EjectSchedule) -> None:
    assert not schedule.plan("nut", "1", age_s=0.9, now=10.0)
    assert schedule.late == 1
    assert schedule.active(10.05) == frozenset()


def test_an_event_delivered_twice_counts_once(schedule: EjectSchedule) -> None:
    assert schedule.plan("nut", "1", age_s=0.0, now=10.0)
    assert not schedule.plan("nut", "1", age_s=0.0, now=10.5)
    assert schedule.active(11.1) == frozenset()


def test_labels_without_an_output_do_nothing(schedule: EjectSchedule) -> None:
    assert not schedule.plan("unknown", "1", age_s=0.0, now=10.0)
    assert schedule.next_change(10.0) is None


def test_two_objects_are_ejected_each_at_its_own_time(schedule: EjectSchedule) -> None:
    schedule.plan("bolt", "1", age_s=0.0, now=10.0)
    schedule.plan("nut", "2", age_s=0.0, now=10.1)
    assert [sorted(schedule.active(now)) for now in (10.95, 11.15, 11.25)] == [["nut"], [], ["bolt"]]


def test_no_output_is_on_once_the_device_is_lost(schedule: EjectSchedule) -> None:
    schedule.plan("nut", "1", age_s=0.0, now=10.0)
    schedule.all_off()
    assert schedule.active(10.9) == frozenset()
