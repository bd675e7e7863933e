"""Times at which the outputs of ejectors are on."""

from __future__ import annotations

from typing import Literal

import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from edge_daemon.actuators.ejector import SERVO_TRAVEL_S, EjectPulse, EjectSchedule, GpioOutputs, OutputPin


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


@pytest.mark.parametrize("age_s", [0.78, 0.84])
def test_a_short_pulse_that_begins_late_has_its_whole_length(age_s: float) -> None:
    schedule = EjectSchedule({"nut": EjectPulse(travel_s=0.8, hold_s=0.02)})
    assert schedule.plan("nut", "1", age_s, now=10.0)
    start_s = schedule.next_change(9.99)
    assert start_s is not None
    assert schedule.active(start_s + 0.001) == {"nut"}
    assert schedule.active(start_s + 0.019) == {"nut"}
    assert schedule.active(start_s + 0.021) == frozenset()
    assert schedule.late == 0


def test_a_pulse_that_is_over_before_it_was_seen_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    schedule = EjectSchedule({"nut": EjectPulse(travel_s=0.8, hold_s=0.02)})
    schedule.plan("nut", "1", age_s=0.0, now=10.0)
    assert schedule.active(11.8) == frozenset()
    assert schedule.late == 1
    assert "nut: not ejected, due 1.0 s ago" in caplog.text


class ManualSeconds:
    """Monotonic seconds that `sleep` advances."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize(("kind", "waited_s"), [("servo", SERVO_TRAVEL_S - 0.1), ("output", 0.0)])
def test_a_servo_is_driven_until_it_is_back_before_its_pin_is_released(
    kind: Literal["servo", "output"], waited_s: float
) -> None:
    seconds, factory = ManualSeconds(), MockFactory(pin_class=MockPWMPin)
    with GpioOutputs({"nut": OutputPin(18, kind)}, factory, seconds.now, seconds.sleep) as outputs:
        outputs.switch("nut", True)
        seconds.sleep(3.0)
        outputs.switch("nut", False)
        seconds.sleep(0.1)
    assert seconds.now() == pytest.approx(103.1 + waited_s)
    factory.close()
