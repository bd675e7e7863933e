"""The real panel code from pin to command and from event to LED, on gpiozero's mock pins."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence

import pytest

from edge_daemon.config.panel import ButtonOptions
from edge_daemon.domain.commands import AddExample, Clear, Origin, Undo
from edge_daemon.domain.events import (
    AnotherSessionAdvised,
    CameraLost,
    CommandReply,
    ConfirmPending,
    Event,
    ExampleAdded,
    ExampleUndone,
    LabelChanged,
    Ready,
    SceneLearned,
)
from edge_daemon.panel.gpio import GpioPins
from edge_daemon.panel.panel import MAX_QUEUED, OnEdge
from edge_daemon.panel.simulated_buttons import SimulatedButtons
from edge_daemon.panel.wiring_check import OTHERS_PRESSED, STUCK_S
from edge_daemon.system.clock import SystemClock
from tests.harness.panel_harness import (
    BUSY,
    CAPTURED,
    CAT,
    CAT_LED,
    DOG,
    DOG_LED,
    ERROR,
    READY,
    START,
    UNDO,
    PanelHarness,
)


@pytest.fixture
def harness() -> Iterator[PanelHarness]:
    running = PanelHarness()
    running.panel.open()
    yield running
    running.panel.stop()


def show_label(harness: PanelHarness, label: str) -> None:
    harness.panel.handle(LabelChanged("frame", label, None, 1.0, 1, START, 1.0))
    harness.wait(0.001)


@pytest.mark.parametrize(("pin", "label"), [(CAT, "cat"), (DOG, "dog")], ids=["pull up", "pull down"])
def test_a_bouncing_press_teaches_once_with_the_time_of_the_first_contact(
    harness: PanelHarness, pin: int, label: str
) -> None:
    pressed_s = harness.clock.monotonic()

    harness.click(pin)

    [command] = harness.commands
    assert isinstance(command, AddExample)
    assert (command.label, command.origin) == (label, Origin("gpio", label))
    assert command.pressed_s == pytest.approx(pressed_s, abs=0.1)  # by gpiozero's clock, which is a real one
    assert harness.gestures() == [(label, "press"), (label, "release")]


def test_a_hold_teaches_at_the_set_rate_in_one_group(harness: PanelHarness) -> None:
    harness.buttons.press(CAT)
    for _ in range(20):
        harness.wait(0.1)
        harness.reply_to_all()
    harness.buttons.release(CAT)
    harness.wait(0.1)

    examples = [command for command in harness.commands if isinstance(command, AddExample)]
    offsets = [round(example.pressed_s - 100.0, 2) for example in examples]
    assert offsets == [0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert len({example.group for example in examples}) == 1
    assert harness.gestures() == [("cat", "press"), ("cat", "hold"), ("cat", "release")]


def test_a_burst_waits_for_the_camera(harness: PanelHarness) -> None:
    harness.buttons.press(CAT)
    harness.wait(2.0)
    assert len(harness.commands) == 1

    harness.reply_to_all()
    harness.wait(0.3)
    assert len(harness.commands) == 2


def test_presses_do_not_wait_for_the_camera(harness: PanelHarness) -> None:
    for _ in range(3):
        harness.click(CAT)
    harness.click(DOG)

    assert harness.taught_labels() == ["cat", "cat", "cat", "dog"]


def test_a_long_press_on_undo_takes_back_and_a_short_one_does_not(harness: PanelHarness) -> None:
    harness.click(UNDO)
    assert harness.commands == []
    harness.click(UNDO, 2.0)
    assert harness.commands == [Undo(Origin("gpio", "undo"))]


def test_a_chord_and_a_second_press_clear_a_label(harness: PanelHarness) -> None:
    harness.buttons.press(UNDO)
    harness.wait(0.2)
    harness.click(CAT)
    harness.buttons.release(UNDO)
    harness.wait(0.1)
    assert harness.commands == []
    assert [event for event in harness.events if isinstance(event, ConfirmPending)] == [
        ConfirmPending(5.0, "cat")
    ]

    harness.click(UNDO)
    assert harness.commands == [Clear(Origin("gpio", "undo"), "cat")]


def test_leds_follow_the_events(harness: PanelHarness) -> None:
    lit = harness.buttons.is_lit
    harness.panel.handle(Ready())
    show_label(harness, "cat")
    assert (lit(READY), lit(CAT_LED), lit(DOG_LED), lit(ERROR)) == (True, True, False, False)
    show_label(harness, "dog")
    assert (lit(CAT_LED), lit(DOG_LED)) == (False, True)
    harness.panel.handle(CameraLost("unplugged"))
    harness.wait(0.001)
    assert (lit(READY), lit(DOG_LED)) == (False, False)


def test_the_panel_ignores_its_own_events(harness: PanelHarness) -> None:
    harness.click(CAT)
    harness.reply_to_all()
    harness.panel.handle(ConfirmPending(5.0))

    shown = set()
    for _ in range(3):
        harness.wait(0.1)
        shown.add(harness.buttons.is_lit(BUSY))
    assert shown == {False}


def test_busy_is_lit_from_the_press_until_the_example_is_on_disk(harness: PanelHarness) -> None:
    harness.click(CAT)
    assert harness.buttons.is_lit(BUSY)
    [command] = harness.commands
    assert isinstance(command, AddExample)

    harness.panel.handle(ExampleAdded(1, "cat", "frame", 1, 7, command))
    harness.panel.handle(CommandReply(command))
    harness.wait(0.001)

    assert (harness.buttons.is_lit(BUSY), harness.buttons.is_lit(CAPTURED)) == (False, True)
    harness.wait(0.2)
    assert not harness.buttons.is_lit(CAPTURED)


def test_busy_is_lit_until_the_second_of_two_undos_is_done(harness: PanelHarness) -> None:
    harness.click(UNDO, 2.0)
    harness.click(UNDO, 2.0)
    first, second = harness.commands
    assert first == second
    for left in (True, False):
        harness.panel.handle(ExampleUndone(1, "cat", 0, first))
        harness.panel.handle(CommandReply(first))
        harness.wait(0.001)
        assert harness.buttons.is_lit(BUSY) is left


def test_a_full_queue_lights_error_and_is_logged_once(
    harness: PanelHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.full = True
    with caplog.at_level(logging.WARNING):
        harness.click(CAT)
        harness.click(CAT)

    assert harness.buttons.is_lit(ERROR)
    assert not harness.buttons.is_lit(BUSY)
    assert len(caplog.records) == 1


def test_after_a_flood_of_edges_the_level_is_read_again(
    harness: PanelHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.buttons.press(CAT)
    harness.wait(0.1)
    for _ in range(MAX_QUEUED):
        harness.buttons.release(CAT)
        harness.buttons.press(CAT)
    harness.buttons.release(CAT)  # this edge does not fit into the queue
    harness.wait(0.1)

    assert harness.gestures() == [("cat", "press"), ("cat", "release")]
    assert "loose" in caplog.text


class StuckPins:
    """Pins with one button down from the start; gpiozero's mock pins always start released."""

    def open(self, buttons: Sequence[ButtonOptions], leds: Iterable[int], on_edge: OnEdge) -> dict[int, bool]:
        return {button.pin: button.pin == CAT for button in buttons}

    def pressed(self, pin: int) -> bool:
        return pin == CAT

    def light(self, pin: int, on: bool) -> None:
        pass

    def health_check(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_button_that_is_down_at_the_start_is_logged_and_teaches_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    harness = PanelHarness(pins=StuckPins())
    harness.panel.open()
    harness.wait(2.0)

    assert harness.commands == []
    assert "button 'cat' (BCM 17) is down at the start" in caplog.text

    caplog.clear()
    harness.clock.advance(STUCK_S)
    harness.wait(0.01)
    [message] = caplog.messages
    assert message.startswith("button 'cat' (BCM 17) is down since the start")


def test_a_button_that_never_moves_is_named(harness: PanelHarness, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(OTHERS_PRESSED - 1):
        harness.click(CAT)
    assert caplog.messages == []  # the contacts bounce, but that is one press

    harness.click(CAT)
    assert [message.split(",")[0] for message in caplog.messages] == [
        "button 'undo' (BCM 22) has never moved",
        "button 'dog' (BCM 27) has never moved",
    ]


def test_stopping_switches_the_leds_off_and_frees_the_pins(harness: PanelHarness) -> None:
    show_label(harness, "cat")
    harness.panel.stop()
    assert not harness.buttons.is_lit(CAT_LED)

    harness.panel.open()  # would raise if a pin were still claimed
    harness.click(CAT)
    assert harness.taught_labels() == ["cat"]
    assert harness.buttons.is_lit(CAT_LED)


def test_the_thread_reads_presses_and_ends_when_stopped() -> None:
    harness = PanelHarness(clock=SystemClock())
    harness.panel.start()
    harness.buttons.press(CAT)
    pressed = harness.submitted.wait(5)
    harness.panel.stop()

    assert pressed
    assert harness.taught_labels() == ["cat"]
    assert harness.crashes == []
    assert "panel" not in [thread.name for thread in threading.enumerate()]


class LatePins(GpioPins):
    """Pins of a library that is slow at a health check, until it `may_go_on`."""

    def __init__(self, factory: object) -> None:
        super().__init__(factory)
        self.is_late, self.may_go_on = threading.Event(), threading.Event()

    def health_check(self) -> None:
        self.is_late.set()
        self.may_go_on.wait(10)


def test_a_thread_that_ends_after_the_stop_releases_the_pins() -> None:
    buttons = SimulatedButtons()
    late = LatePins(buttons.factory)
    harness = PanelHarness(pins=late, clock=SystemClock())
    harness.panel.start()
    assert late.is_late.wait(5)
    harness.panel.stop()
    late.may_go_on.set()
    for thread in threading.enumerate():
        if thread.name == "panel":
            thread.join(5)

    after = PanelHarness(pins=GpioPins(buttons.factory))
    after.panel.open()  # would raise if a pin were still claimed
    after.panel.stop()


@pytest.mark.parametrize(
    ("event", "pin"),
    [(AnotherSessionAdvised("cat", "once more"), CAT_LED), (SceneLearned("frame", 3, False), CAPTURED)],
    ids=["once more in other light", "scene learned"],
)
def test_a_double_flash_reaches_the_pin(harness: PanelHarness, event: Event, pin: int) -> None:
    harness.panel.handle(event)
    shown = ""
    for _ in range(24):
        harness.wait(0.125)
        shown += "1" if harness.buttons.is_lit(pin) else "0"
    assert "101000000000101" in shown
