"""Debouncing and gestures together, in the order of time."""

from __future__ import annotations

from edge_daemon.config.panel import ButtonOptions, PanelOptions
from edge_daemon.domain.commands import AddExample, Undo
from edge_daemon.domain.events import Button, ConfirmPending
from edge_daemon.panel.gestures import ButtonDecoder, Meaning

CAT, UNDO = 17, 22
BUTTONS = (ButtonOptions(pin=CAT, label="cat"), ButtonOptions(pin=UNDO, action="undo"))
OPTIONS = PanelOptions(debounce_ms=20, hold_s=0.5, burst_per_s=4, long_press_s=1.5)


def make(*, cat_down: bool = False) -> ButtonDecoder:
    return ButtonDecoder(BUTTONS, OPTIONS, {CAT: cat_down, UNDO: False}, lambda: "group")


def kinds(meanings: list[Meaning]) -> list[type]:
    return [type(each) for each in meanings if isinstance(each, AddExample | Undo)]


def test_an_example_carries_the_time_of_the_first_contact() -> None:
    reader = make()
    reader.update(CAT, True, 10.0)
    reader.update(CAT, False, 10.002)
    reader.update(CAT, True, 10.003)

    examples = [each for each in reader.advance(10.1) if isinstance(each, AddExample)]

    assert [example.pressed_s for example in examples] == [10.0]


def test_a_short_press_read_seconds_late_is_still_a_short_press() -> None:
    reader = make()
    meanings = reader.update(CAT, True, 10.0) + reader.update(CAT, False, 10.1) + reader.advance(15.0)

    assert kinds(meanings) == [AddExample]


def test_a_press_held_up_beyond_the_last_look_is_still_a_press() -> None:
    reader = make()
    reader.advance(11.0)
    meanings = reader.update(CAT, True, 10.0) + reader.update(CAT, False, 10.1) + reader.advance(11.1)

    assert kinds(meanings) == [AddExample]
    assert [each.gesture for each in meanings if isinstance(each, Button)] == ["press", "release"]


def test_a_long_press_read_late_still_undoes_once() -> None:
    reader = make()
    meanings = reader.update(UNDO, True, 10.0) + reader.update(UNDO, False, 12.0) + reader.advance(15.0)

    assert kinds(meanings) == [Undo]


def test_presses_of_two_buttons_come_in_the_order_they_settled() -> None:
    reader = ButtonDecoder(
        (ButtonOptions(pin=1, label="a"), ButtonOptions(pin=2, label="b")),
        OPTIONS,
        {1: False, 2: False},
        lambda: "",
    )
    reader.update(2, True, 10.0)
    reader.update(1, True, 10.001)

    labels = [each.label for each in reader.advance(10.1) if isinstance(each, AddExample)]

    assert labels == ["b", "a"]


def test_presses_read_late_come_in_the_order_they_were_made() -> None:
    reader = ButtonDecoder(
        (ButtonOptions(pin=1, label="a"), ButtonOptions(pin=2, label="b")),
        OPTIONS,
        {1: False, 2: False},
        lambda: "",
    )
    trace = [(1, True, 10.0), (2, True, 10.2), (2, False, 10.3)]
    meanings = [each for pin, level, at_s in trace for each in reader.update(pin, level, at_s)]

    assert [each.label for each in meanings if isinstance(each, AddExample)] == ["a", "b"]


def test_what_fell_due_before_another_button_settled_comes_first() -> None:
    reader = make()
    reader.update(UNDO, True, 10.0)
    reader.update(CAT, True, 11.49)

    meanings = reader.advance(11.6)

    assert [type(each) for each in meanings[-3:]] == [Undo, Button, ConfirmPending]


def test_a_button_that_is_down_at_the_start_counts_after_it_was_released() -> None:
    reader = make(cat_down=True)
    assert reader.advance(20.0) == []

    meanings = reader.update(CAT, False, 21.0) + reader.update(CAT, True, 22.0) + reader.advance(22.1)

    assert kinds(meanings) == [AddExample]


def test_the_deadline_is_the_nearest_of_settling_and_holding() -> None:
    reader = make()
    assert reader.next_deadline is None
    reader.update(CAT, True, 10.0)
    assert reader.next_deadline == 10.0 + 0.02
    reader.advance(10.02)
    assert reader.next_deadline == 10.5
    reader.update(UNDO, True, 10.1)
    assert reader.next_deadline == 10.1 + 0.02


def test_without_debouncing_a_press_counts_with_its_edge() -> None:
    reader = ButtonDecoder(BUTTONS, PanelOptions(debounce_ms=0), {CAT: False, UNDO: False}, lambda: "")

    assert kinds(reader.update(CAT, True, 10.0)) == [AddExample]
