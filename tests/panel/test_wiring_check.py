"""Buttons that are down from the start or never move are reported once."""

from __future__ import annotations

from edge_daemon.config.panel import ButtonOptions
from edge_daemon.panel.wiring_check import OTHERS_PRESSED, STUCK_S, WiringCheck

CAT, UNDO, BARRIER = 17, 22, 4
BUTTONS = (
    ButtonOptions(pin=CAT, label="cat"),
    ButtonOptions(pin=UNDO, action="undo"),
    ButtonOptions(pin=BARRIER, action="trigger"),
)


def press(wiring: WiringCheck, pin: int, times: int = 1) -> None:
    for _ in range(times):
        wiring.record_movement(pin)
        wiring.count_press()


def test_a_button_that_stays_down_is_reported_once() -> None:
    wiring = WiringCheck(BUTTONS, {CAT: True, UNDO: False, BARRIER: False}, now=100.0)
    assert list(wiring.faults(100 + STUCK_S - 1)) == []
    [text] = wiring.faults(100 + STUCK_S)
    assert text.startswith("button 'cat' (BCM 17) is down since the start")
    assert "pull: up" in text
    assert list(wiring.faults(1000)) == []


def test_a_press_at_the_start_is_no_fault() -> None:
    wiring = WiringCheck(BUTTONS, {CAT: True, UNDO: False, BARRIER: False}, now=0.0)
    wiring.record_movement(CAT)
    assert list(wiring.faults(STUCK_S)) == []


def test_a_button_that_never_moves_while_others_do_is_reported_once() -> None:
    wiring = WiringCheck(BUTTONS, dict.fromkeys((CAT, UNDO, BARRIER), False), now=0.0)
    press(wiring, CAT, OTHERS_PRESSED - 1)
    assert list(wiring.faults(1.0)) == []
    press(wiring, CAT)
    [text] = wiring.faults(2.0)
    assert text.startswith("button 'undo' (BCM 22) has never moved")
    press(wiring, CAT, OTHERS_PRESSED)
    assert list(wiring.faults(3.0)) == []


def test_a_pin_that_hums_is_no_press() -> None:
    wiring = WiringCheck(BUTTONS, dict.fromkeys((CAT, UNDO, BARRIER), False), now=0.0)
    for _ in range(10 * OTHERS_PRESSED):
        wiring.record_movement(CAT)
    assert list(wiring.faults(1.0)) == []


def test_a_light_barrier_is_no_unmoved_button() -> None:
    wiring = WiringCheck(BUTTONS, dict.fromkeys((CAT, UNDO, BARRIER), False), now=0.0)
    press(wiring, UNDO)
    press(wiring, CAT, OTHERS_PRESSED)
    assert list(wiring.faults(2.0)) == []
