"""Which key is held."""

from __future__ import annotations

import pytest

from edge_daemon.actuators.keys import HeldKeys


@pytest.fixture
def keys() -> HeldKeys:
    return HeldKeys({"left": "KEY_LEFT", "jump": "KEY_SPACE"}, dead_man_s=1.0)


def test_a_retained_label_alone_presses_nothing(keys: HeldKeys) -> None:
    keys.show("left")
    assert keys.active(10.0) == frozenset()


def test_the_key_is_down_while_the_label_stands_and_the_device_lives(keys: HeldKeys) -> None:
    keys.show("left")
    keys.hear(10.0)
    assert keys.active(10.5) == {"KEY_LEFT"}
    keys.show("jump")
    assert keys.active(10.6) == {"KEY_SPACE"}
    for label in ("unknown", ""):
        keys.show(label)
        assert keys.active(10.7) == frozenset()


def test_the_key_is_released_when_results_stop(keys: HeldKeys) -> None:
    keys.show("left")
    keys.hear(10.0)
    assert keys.next_change(10.2) == pytest.approx(11.0)
    assert keys.active(11.01) == frozenset()
    assert keys.next_change(11.01) is None


def test_after_a_loss_the_next_result_is_needed(keys: HeldKeys) -> None:
    keys.show("left")
    keys.hear(10.0)
    keys.abandon()
    assert keys.active(10.1) == frozenset()
    keys.hear(10.2)
    assert keys.active(10.3) == {"KEY_LEFT"}
