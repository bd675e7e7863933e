"""The real panel code from pin to command and from event to LED, on gpiozero's mock pins."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence

import pytest

from edge_daemon.config.panel import ButtonOptions
from edge_daemon.domain.commands import AddExample, Clear, Origin, Undo
from edge_daemon.domain.events import (
    CameraLost,
    CommandReply,
    ConfirmPending,
    ExampleAdded,
    LabelChanged,
    Ready,
)
from edge_daemon.panel.inbox import MAX_QUEUED, OnEdge
from edge_daemon.panel.wiring_check import OTHERS_PRESSED, STUCK_S
from edge_daemon.system.clock import SystemClock
from tests.harness.manual_clock import START
from tests.harness.panel_harness import (
    BUSY,
    CAPTURED,
    CAT,
    CAT_LED,
    DOG,
    DOG_LED,
    ERROR,
    READY,
    UNDO,
    Desk,
)


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    made.panel.open()
    yield made
    made.panel.stop()


def shows(desk: Desk, label: str) -> None:
    desk.panel.handle(LabelChanged("frame", label, None, 1.0, 1, START, 1.0))
    desk.wait(0.001)


@pytest.mark.parametrize(("pin", "label"), [(CAT, "cat"), (DOG, "dog")], ids=["pull up", "pull down"])
def test_a_bouncing_press_teaches_once_with_the_time_of_the_first_contact(
    desk: Desk, pin: int, label: str
) -> None:
    pressed_s = desk.clock.now

    desk.tap(pin)

    [command] = desk.commands
    assert isinstance(command, AddExample)
    assert (command.label, command.origin) == (label, Origin("gpio", label))
    assert command.pressed_s == pytest.approx(pressed_s, abs=0.1)  # by gpiozero's clock, which is a real one
    assert desk.gestures() == [(label, "press"), (label, "release")]


def test_a_hold_teaches_at_the_set_rate_in_one_group(desk: Desk) -> None:
    desk.presser.press(CAT)
    for _ in range(20):
        desk.wait(0.1)
        desk.answer()
    desk.presser.release(CAT)
    desk.wait(0.1)

    examples = [command for command in desk.commands if isinstance(command, AddExample)]
    offsets = [round(example.pressed_s - 100.0, 2) for example in examples]
    assert offsets == [0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert len({example.group for example in examples}) == 1
    assert desk.gestures() == [("cat", "press"), ("cat", "hold"), ("cat", "release")]


def test_a_burst_waits_for_the_camera(desk: Desk) -> None:
    desk.presser.press(CAT)
    desk.wait(2.0)
    assert len(desk.commands) == 1

    desk.answer()
    desk.wait(0.3)
    assert len(desk.commands) == 2


def test_presses_do_not_wait_for_the_camera(desk: Desk) -> None:
    for _ in range(3):
        desk.tap(CAT)
    desk.tap(DOG)

    assert desk.taught() == ["cat", "cat", "cat", "dog"]


def test_a_long_press_on_undo_takes_back_and_a_short_one_does_not(desk: Desk) -> None:
    desk.tap(UNDO)
    assert desk.commands == []
    desk.tap(UNDO, 2.0)
    assert desk.commands == [Undo(Origin("gpio", "undo"))]


def test_a_chord_and_a_second_press_clear_a_label(desk: Desk) -> None:
    desk.presser.press(UNDO)
    desk.wait(0.2)
    desk.tap(CAT)
    desk.presser.release(UNDO)
    desk.wait(0.1)
    assert desk.commands == []
    assert [event for event in desk.events if isinstance(event, ConfirmPending)] == [
        ConfirmPending(5.0, "cat")
    ]

    desk.tap(UNDO)
    assert desk.commands == [Clear(Origin("gpio", "undo"), "cat")]


def test_leds_follow_what_the_daemon_says(desk: Desk) -> None:
    lit = desk.presser.lit
    desk.panel.handle(Ready())
    shows(desk, "cat")
    assert (lit(READY), lit(CAT_LED), lit(DOG_LED), lit(ERROR)) == (True, True, False, False)
    shows(desk, "dog")
    assert (lit(CAT_LED), lit(DOG_LED)) == (False, True)
    desk.panel.handle(CameraLost("unplugged"))
    desk.wait(0.001)
    assert (lit(READY), lit(DOG_LED)) == (False, False)


def test_the_panel_is_not_fooled_by_the_echo_of_its_own_events(desk: Desk) -> None:
    desk.tap(CAT)
    desk.answer()
    desk.panel.handle(ConfirmPending(5.0))

    shown = set()
    for _ in range(3):
        desk.wait(0.1)
        shown.add(desk.presser.lit(BUSY))
    assert shown == {False}


def test_busy_burns_from_the_press_until_the_example_is_on_disk(desk: Desk) -> None:
    desk.tap(CAT)
    assert desk.presser.lit(BUSY)
    [command] = desk.commands
    assert isinstance(command, AddExample)

    desk.panel.handle(ExampleAdded(1, "cat", "frame", 1, 7, command))
    desk.panel.handle(CommandReply(command))
    desk.wait(0.001)

    assert (desk.presser.lit(BUSY), desk.presser.lit(CAPTURED)) == (False, True)
    desk.wait(0.2)
    assert not desk.presser.lit(CAPTURED)


def test_a_full_queue_lights_error_and_is_told_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.full = True
    with caplog.at_level(logging.WARNING):
        desk.tap(CAT)
        desk.tap(CAT)

    assert desk.presser.lit(ERROR)
    assert not desk.presser.lit(BUSY)
    assert len(caplog.records) == 1


def test_after_a_flood_of_edges_the_button_is_as_it_stands(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.presser.press(CAT)
    desk.wait(0.1)
    for _ in range(MAX_QUEUED):
        desk.presser.release(CAT)
        desk.presser.press(CAT)
    desk.presser.release(CAT)  # this edge does not fit any more
    desk.wait(0.1)

    assert desk.gestures() == [("cat", "press"), ("cat", "release")]
    assert "loose" in caplog.text


class JammedPins:
    """Pins of which one button is down from the start; gpiozero's double always starts released."""

    def open(self, buttons: Sequence[ButtonOptions], leds: Iterable[int], on_edge: OnEdge) -> dict[int, bool]:
        return {button.pin: button.pin == CAT for button in buttons}

    def pressed(self, pin: int) -> bool:
        return pin == CAT

    def light(self, pin: int, on: bool) -> None:
        pass

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_button_that_is_down_at_the_start_is_told_and_teaches_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk(pins=JammedPins())
    desk.panel.open()
    desk.wait(2.0)

    assert desk.commands == []
    assert "button 'cat' (BCM 17) is down at the start" in caplog.text

    caplog.clear()
    desk.clock.now += STUCK_S
    desk.wait(0.01)
    [said] = caplog.messages
    assert said.startswith("button 'cat' (BCM 17) is down since the start")


def test_a_button_that_never_moves_is_named(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(OTHERS_PRESSED):
        desk.tap(CAT)
    assert "button 'dog' (BCM 27) has never moved" in caplog.text
    assert "'undo'" in caplog.text


def test_stopping_darkens_the_leds_and_frees_the_pins(desk: Desk) -> None:
    shows(desk, "cat")
    desk.panel.stop()
    assert not desk.presser.lit(CAT_LED)

    desk.panel.open()  # would raise if a pin were still claimed
    desk.tap(CAT)
    assert desk.taught() == ["cat"]
    assert desk.presser.lit(CAT_LED)


def test_the_thread_reads_presses_by_itself_and_ends_when_stopped() -> None:
    desk = Desk(clock=SystemClock())
    desk.panel.start()
    desk.presser.press(CAT)
    pressed = desk.submitted.wait(5)
    desk.panel.stop()

    assert pressed
    assert desk.taught() == ["cat"]
    assert desk.crashes == []
    assert "panel" not in [thread.name for thread in threading.enumerate()]
