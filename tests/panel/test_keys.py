"""Keys of a terminal and their commands."""

from __future__ import annotations

from edge_daemon.config.panel import PanelOptions
from edge_daemon.domain.commands import AddExample, Clear, LearnScene, Origin, Undo
from edge_daemon.domain.events import ConfirmPending
from edge_daemon.panel.keyboard import KeyResult, Keys, UnusedKey

OPTIONS = PanelOptions(burst_per_s=4, confirm_s=5)


def make() -> Keys:
    return Keys(["cat", "dog"], OPTIONS)


def repeat(keys: Keys, key: str, start_s: float, seconds: float) -> list[KeyResult]:
    """Send a key as a terminal does while it is held: once, and after 0.5 s 30 times a second."""
    times = [start_s, *(start_s + 0.5 + step / 30 for step in range(round((seconds - 0.5) * 30)))]
    results = [keys.press(key, now) for now in times]
    return [each for each in results if each is not None]


def test_a_digit_teaches_the_nth_label() -> None:
    assert make().press("2", 10.0) == AddExample("dog", 10.0, Origin("keyboard", "2"))


def test_other_keys_and_digits_without_a_label_do_nothing() -> None:
    keys = make()
    results = [keys.press(key, 10.0 + index) for index, key in enumerate("3 0x²y\n")]
    assert all(isinstance(result, UnusedKey) for result in results)


def test_quick_presses_of_different_digits_all_count() -> None:
    keys = make()
    taught = [keys.press(key, 10.0 + index / 100) for index, key in enumerate("1212")]

    assert all(isinstance(each, AddExample) for each in taught)


def test_a_held_digit_teaches_no_faster_than_a_burst() -> None:
    taught = repeat(make(), "1", 10.0, 3.0)

    assert 8 <= len(taught) <= 3.0 * OPTIONS.burst_per_s


def test_u_undoes_one_example_and_at_most_two_while_held() -> None:
    assert make().press("u", 10.0) == Undo(Origin("keyboard", "u"))
    assert len(repeat(make(), "u", 10.0, 5.0)) == 2


def test_c_and_y_clear_everything() -> None:
    keys = make()
    assert keys.press("c", 10.0) == ConfirmPending(5)
    assert keys.press("y", 15.0) == Clear(Origin("keyboard", "y"))
    assert isinstance(keys.press("y", 15.5), UnusedKey)


def test_y_alone_or_late_or_after_another_key_clears_nothing() -> None:
    keys = make()
    assert isinstance(keys.press("y", 10.0), UnusedKey)
    keys.press("c", 20.0)
    assert isinstance(keys.press("y", 25.1), UnusedKey)
    keys.press("c", 30.0)
    keys.press("1", 31.0)
    assert isinstance(keys.press("y", 32.0), UnusedKey)


def test_a_held_c_clears_nothing() -> None:
    assert {type(each) for each in repeat(make(), "c", 10.0, 5.0)} == {ConfirmPending}


def test_a_c_that_was_held_or_tapped_twice_can_be_confirmed() -> None:
    for times in ((10.0, 10.5, 10.53), (10.0, 10.12)):
        keys = make()
        for now in times:
            keys.press("c", now)
        assert keys.press("y", 12.0) == Clear(Origin("keyboard", "y"))


def test_the_help_names_nine_labels_at_most() -> None:
    assert make().help == "1 cat, 2 dog, u undo, c clear, s scene, q quit"
    assert "9 i, u undo" in Keys(list("abcdefghijk"), OPTIONS).help


def test_s_learns_the_scene_once_while_held() -> None:
    keys = make()
    assert keys.press("s", 10.0) == LearnScene(10.0, Origin("keyboard", "s"))
    assert keys.press("s", 10.03) is None
