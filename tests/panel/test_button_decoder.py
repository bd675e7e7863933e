"""ButtonDecoder: debouncing and gestures together, in the order of time."""

from __future__ import annotations

from edge_daemon.config.panel import ButtonOptions, PanelOptions
from edge_daemon.domain.commands import AddExample, Undo
from edge_daemon.domain.events import Button, ConfirmPending
from edge_daemon.panel.gestures import ButtonDecoder, GestureResult

CAT, UNDO = 17, 22
BUTTONS = (ButtonOptions(pin=CAT, label="cat"), ButtonOptions(pin=UNDO, action="undo"))
OPTIONS = PanelOptions(debounce_ms=20, hold_s=0.5, burst_per_s=4, long_press_s=1.5)


def make(*, cat_down: bool = False) -> ButtonDecoder:
    return ButtonDecoder(BUTTONS, OPTIONS, {CAT: cat_down, UNDO: False}, lambda: "group")


def kinds(results: list[GestureResult]) -> list[type]:
    return [type(each) for each in results if isinstance(each, AddExample | Undo)]


def test_an_example_carries_the_time_of_the_first_contact() -> None:
    decoder = make()
    decoder.update(CAT, True, 10.0)
    decoder.update(CAT, False, 10.002)
    decoder.update(CAT, True, 10.003)

    examples = [each for each in decoder.advance(10.1) if isinstance(each, AddExample)]

    assert [example.pressed_s for example in examples] == [10.0]


def test_a_short_press_read_seconds_late_is_still_a_short_press() -> None:
    decoder = make()
    results = decoder.update(CAT, True, 10.0) + decoder.update(CAT, False, 10.1) + decoder.advance(15.0)

    assert kinds(results) == [AddExample]


def test_a_press_delivered_after_a_later_advance_is_still_a_press() -> None:
    decoder = make()
    decoder.advance(11.0)
    results = decoder.update(CAT, True, 10.0) + decoder.update(CAT, False, 10.1) + decoder.advance(11.1)

    assert kinds(results) == [AddExample]
    assert [each.gesture for each in results if isinstance(each, Button)] == ["press", "release"]


def test_a_long_press_read_late_still_undoes_once() -> None:
    decoder = make()
    results = decoder.update(UNDO, True, 10.0) + decoder.update(UNDO, False, 12.0) + decoder.advance(15.0)

    assert kinds(results) == [Undo]


def test_presses_of_two_buttons_are_in_the_order_of_settling() -> None:
    decoder = ButtonDecoder(
        (ButtonOptions(pin=1, label="a"), ButtonOptions(pin=2, label="b")),
        OPTIONS,
        {1: False, 2: False},
        lambda: "",
    )
    decoder.update(2, True, 10.0)
    decoder.update(1, True, 10.001)

    labels = [each.label for each in decoder.advance(10.1) if isinstance(each, AddExample)]

    assert labels == ["b", "a"]


def test_presses_read_late_are_in_the_order_of_their_times() -> None:
    decoder = ButtonDecoder(
        (ButtonOptions(pin=1, label="a"), ButtonOptions(pin=2, label="b")),
        OPTIONS,
        {1: False, 2: False},
        lambda: "",
    )
    trace = [(1, True, 10.0), (2, True, 10.2), (2, False, 10.3)]
    results = [each for pin, level, at_s in trace for each in decoder.update(pin, level, at_s)]

    assert [each.label for each in results if isinstance(each, AddExample)] == ["a", "b"]


def test_a_long_press_due_before_another_button_settles_comes_first() -> None:
    decoder = make()
    decoder.update(UNDO, True, 10.0)
    decoder.update(CAT, True, 11.49)

    results = decoder.advance(11.6)

    assert [type(each) for each in results[-3:]] == [Undo, Button, ConfirmPending]


def test_a_button_that_is_down_at_the_start_counts_after_its_release() -> None:
    decoder = make(cat_down=True)
    assert decoder.advance(20.0) == []

    results = decoder.update(CAT, False, 21.0) + decoder.update(CAT, True, 22.0) + decoder.advance(22.1)

    assert kinds(results) == [AddExample]


def test_the_deadline_is_the_nearest_of_settling_and_holding() -> None:
    decoder = make()
    assert decoder.next_deadline is None
    decoder.update(CAT, True, 10.0)
    assert decoder.next_deadline == 10.0 + 0.02
    decoder.advance(10.02)
    assert decoder.next_deadline == 10.5
    decoder.update(UNDO, True, 10.1)
    assert decoder.next_deadline == 10.1 + 0.02


def test_without_debouncing_a_press_counts_with_its_edge() -> None:
    decoder = ButtonDecoder(BUTTONS, PanelOptions(debounce_ms=0), {CAT: False, UNDO: False}, lambda: "")

    assert kinds(decoder.update(CAT, True, 10.0)) == [AddExample]
