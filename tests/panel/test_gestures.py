"""Gestures and their commands. Times are in seconds."""

from __future__ import annotations

import itertools

from edge_daemon.config.panel import ButtonOptions, PanelOptions
from edge_daemon.domain.commands import AddExample, Clear, LearnScene, Origin, Trigger, Undo
from edge_daemon.domain.events import Button, ConfirmPending
from edge_daemon.panel.gestures import GestureResult, Gestures

CAT, DOG, UNDO, CLEAR, BARRIER, SCENE = 17, 27, 22, 23, 4, 5
BUTTONS = (
    ButtonOptions(pin=CAT, label="cat"),
    ButtonOptions(pin=DOG, label="dog", hold="none", region="left"),
    ButtonOptions(pin=UNDO, action="undo"),
    ButtonOptions(pin=CLEAR, action="clear"),
    ButtonOptions(pin=BARRIER, action="trigger", region="left"),
    ButtonOptions(pin=SCENE, action="scene", region="left"),
)
OPTIONS = PanelOptions(hold_s=0.5, burst_per_s=4, burst_limit=3, long_press_s=1.5, confirm_s=5)


def make() -> Gestures:
    numbers = itertools.count(1)
    return Gestures(BUTTONS, OPTIONS, lambda: f"group {next(numbers)}")


def commands(results: list[GestureResult]) -> list[GestureResult]:
    return [each for each in results if isinstance(each, AddExample | Undo | Clear)]


def test_a_press_is_one_example_of_the_time_of_the_press() -> None:
    gestures = make()

    results = gestures.press(CAT, 10.0)

    assert results == [
        Button("cat", "press"),
        AddExample("cat", 10.0, Origin("gpio", "cat"), group="group 1"),
    ]
    assert gestures.release(CAT) == [Button("cat", "release")]
    assert gestures.advance(60.0) == []
    assert gestures.next_deadline is None


def test_only_the_press_of_a_button_with_uncertain_s_labels_uncertain_samples() -> None:
    button = ButtonOptions(pin=CAT, label="cat", uncertain_s=3)
    gestures = Gestures([button], OPTIONS, lambda: "group")

    pressed = commands(gestures.press(CAT, 10.0))
    held = commands(gestures.advance(10.6))

    assert [each.uncertain_s for each in [*pressed, *held] if isinstance(each, AddExample)] == [3.0, 0.0]


def test_a_button_with_a_region_teaches_that_region() -> None:
    [example] = commands(make().press(DOG, 10.0))

    assert isinstance(example, AddExample)
    assert example.region == "left"


def test_a_hold_is_a_burst_in_the_group_of_its_press() -> None:
    gestures = make()
    [first] = commands(gestures.press(CAT, 10.0))
    assert gestures.next_deadline == 10.5

    assert gestures.advance(10.49) == []
    start = gestures.advance(10.5)
    assert start[0] == Button("cat", "hold")
    assert gestures.next_deadline == 10.75
    more = gestures.advance(10.75)

    burst = [first, *commands(start), *commands(more)]
    assert [each.pressed_s for each in burst if isinstance(each, AddExample)] == [10.0, 10.5, 10.75]
    assert {each.group for each in burst if isinstance(each, AddExample)} == {"group 1"}
    gestures.release(CAT)
    assert gestures.advance(11.0) == []


def test_the_next_hold_has_another_group() -> None:
    gestures = make()
    gestures.press(CAT, 10.0)
    gestures.release(CAT)

    [example] = commands(gestures.press(CAT, 11.0))

    assert isinstance(example, AddExample)
    assert example.group == "group 2"


def test_a_stuck_button_stops_at_the_limit() -> None:
    gestures = make()
    gestures.press(CAT, 10.0)

    taught = [len(commands(gestures.advance(10.5 + 0.25 * step))) for step in range(20)]

    assert sum(taught) == OPTIONS.burst_limit
    assert gestures.next_deadline is None


def test_missed_burst_examples_are_not_caught_up() -> None:
    gestures = make()
    gestures.press(CAT, 10.0)

    assert len(commands(gestures.advance(30.0))) == 1
    assert gestures.next_deadline == 30.25


def test_a_button_without_burst_teaches_once_for_a_hold_of_any_length() -> None:
    gestures = make()
    gestures.press(DOG, 10.0)

    assert gestures.next_deadline is None
    assert gestures.advance(20.0) == []


def test_two_buttons_held_at_once_burst_separately() -> None:
    gestures = Gestures(
        (ButtonOptions(pin=1, label="a"), ButtonOptions(pin=2, label="b")), OPTIONS, lambda: "g"
    )
    gestures.press(1, 10.0)
    gestures.press(2, 10.1)

    assert [each.label for each in commands(gestures.advance(10.7)) if isinstance(each, AddExample)] == [
        "a",
        "b",
    ]


def test_a_long_press_on_undo_takes_one_example_back() -> None:
    gestures = make()
    assert gestures.press(UNDO, 10.0) == [Button("undo", "press")]
    assert gestures.next_deadline == 11.5

    assert gestures.advance(11.5) == [Button("undo", "long_press"), Undo(Origin("gpio", "undo"))]
    assert gestures.advance(60.0) == []


def test_a_short_press_on_undo_takes_nothing_back() -> None:
    gestures = make()
    gestures.press(UNDO, 10.0)
    gestures.release(UNDO)

    assert gestures.advance(60.0) == []


def test_a_chord_asks_and_a_press_of_undo_clears_that_label() -> None:
    gestures = make()
    gestures.press(UNDO, 10.0)

    assert gestures.press(CAT, 10.3) == [Button("cat", "chord"), ConfirmPending(5, "cat")]
    gestures.release(CAT)
    gestures.release(UNDO)
    assert gestures.press(UNDO, 12.0) == [Button("undo", "press"), Clear(Origin("gpio", "undo"), "cat")]


def test_a_chord_held_for_any_time_neither_teaches_nor_undoes() -> None:
    gestures = make()
    gestures.press(UNDO, 10.0)
    gestures.press(CAT, 10.3)

    assert gestures.next_deadline is None
    assert gestures.advance(30.0) == []


def test_a_chord_with_a_second_label_asks_to_clear_everything() -> None:
    gestures = make()
    gestures.press(UNDO, 10.0)
    gestures.press(CAT, 10.3)
    gestures.release(CAT)

    assert gestures.press(DOG, 10.6)[1:] == [ConfirmPending(5, None)]
    gestures.release(DOG)
    gestures.release(UNDO)
    assert commands(gestures.press(UNDO, 12.0)) == [Clear(Origin("gpio", "undo"), None)]


def test_the_same_label_twice_in_a_chord_still_asks_for_that_label() -> None:
    gestures = make()
    gestures.press(UNDO, 10.0)
    gestures.press(CAT, 10.3)
    gestures.release(CAT)

    assert gestures.press(CAT, 10.6)[1:] == [ConfirmPending(5, "cat")]


def test_a_confirming_press_held_long_does_not_undo_as_well() -> None:
    gestures = make()
    gestures.press(UNDO, 10.0)
    gestures.press(CAT, 10.3)
    gestures.release(UNDO)
    gestures.press(UNDO, 12.0)

    assert gestures.advance(30.0) == []


def test_clear_asks_and_a_second_press_clears_everything() -> None:
    gestures = make()

    assert gestures.press(CLEAR, 10.0) == [Button("clear", "press"), ConfirmPending(5, None)]
    gestures.release(CLEAR)
    assert commands(gestures.press(CLEAR, 15.0)) == [Clear(Origin("gpio", "clear"), None)]
    gestures.release(CLEAR)
    assert commands(gestures.press(CLEAR, 16.0)) == []  # the next press asks again


def test_a_second_press_that_comes_late_asks_again() -> None:
    gestures = make()
    gestures.press(CLEAR, 10.0)
    gestures.release(CLEAR)

    assert gestures.press(CLEAR, 15.01) == [Button("clear", "press"), ConfirmPending(5, None)]


def test_another_press_between_the_two_cancels() -> None:
    gestures = make()
    gestures.press(CLEAR, 10.0)
    gestures.release(CLEAR)
    [example] = commands(gestures.press(CAT, 11.0))
    gestures.release(CAT)

    assert isinstance(example, AddExample)
    assert commands(gestures.press(CLEAR, 12.0)) == []


def test_a_broken_light_barrier_triggers_and_cancels_nothing() -> None:
    gestures = make()
    gestures.press(CLEAR, 10.0)
    gestures.release(CLEAR)

    broken = gestures.press(BARRIER, 10.5)

    assert broken == [Trigger(10.5, Origin("gpio", "trigger"), "left")]
    assert gestures.release(BARRIER) == []
    assert commands(gestures.press(CLEAR, 11.0)) == [Clear(Origin("gpio", "clear"))]


def test_a_press_of_the_scene_button_learns_the_scene_of_its_region_once() -> None:
    gestures = make()

    results = gestures.press(SCENE, 10.0)

    assert results == [Button("scene", "press"), LearnScene(10.0, Origin("gpio", "scene"), "left")]
    assert gestures.advance(20.0) == []
    assert gestures.release(SCENE) == [Button("scene", "release")]
