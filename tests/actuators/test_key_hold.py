"""The key that is down."""

from __future__ import annotations

import pytest

from edge_daemon.actuators.key_hold import KeyHold, LabelReader
from edge_daemon.mqtt.topics import Topics


@pytest.fixture
def key_hold() -> KeyHold:
    return KeyHold({"left": "KEY_LEFT", "jump": "KEY_SPACE"}, dead_man_s=1.0)


def test_a_retained_label_alone_presses_nothing(key_hold: KeyHold) -> None:
    key_hold.set_label("left")
    assert key_hold.active(10.0) == frozenset()


def test_the_key_is_down_while_its_label_is_current_and_results_come(key_hold: KeyHold) -> None:
    key_hold.set_label("left")
    key_hold.record_result(10.0)
    assert key_hold.active(10.5) == {"KEY_LEFT"}
    key_hold.set_label("jump")
    assert key_hold.active(10.6) == {"KEY_SPACE"}
    for label in ("unknown", ""):
        key_hold.set_label(label)
        assert key_hold.active(10.7) == frozenset()


def test_the_key_is_released_when_results_stop(key_hold: KeyHold) -> None:
    key_hold.set_label("left")
    key_hold.record_result(10.0)
    assert key_hold.next_change(10.2) == pytest.approx(11.0)
    assert key_hold.active(11.01) == frozenset()
    assert key_hold.next_change(11.01) is None


def test_after_a_loss_the_key_is_down_from_the_next_result(key_hold: KeyHold) -> None:
    key_hold.set_label("left")
    key_hold.record_result(10.0)
    key_hold.all_off()
    assert key_hold.active(10.1) == frozenset()
    key_hold.record_result(10.2)
    assert key_hold.active(10.3) == {"KEY_LEFT"}


def test_after_a_lost_connection_the_label_is_another_one(key_hold: KeyHold) -> None:
    reader = LabelReader(Topics("b", ("frame",)), key_hold, "frame")
    key_hold.set_label("left")
    key_hold.record_result(10.0)
    key_hold.all_off()
    reader.forget()
    key_hold.record_result(10.2)
    assert key_hold.active(10.3) == frozenset(), "the label may have been cleared meanwhile"
    key_hold.set_label("left")
    assert key_hold.active(10.3) == {"KEY_LEFT"}
