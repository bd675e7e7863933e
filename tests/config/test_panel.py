"""Checks across keys: pins used twice, and buttons without or with two functions."""

from __future__ import annotations

import unicodedata

import pytest

from edge_daemon.config.panel import ButtonOptions, LedOptions, PanelOptions, panel_faults

CAT = ButtonOptions(pin=17, label="cat", led=5)


@pytest.mark.parametrize(
    ("button", "leds", "path", "words"),
    [
        (ButtonOptions(pin=17, label="dog"), LedOptions(), ("buttons", 1, "pin"), "button 1 and by button 2"),
        (ButtonOptions(pin=5, label="dog"), LedOptions(), ("buttons", 1, "pin"), "the led of button 1"),
        (ButtonOptions(pin=27, label="dog", led=17), LedOptions(), ("buttons", 1, "led"), "led of button 2"),
        (ButtonOptions(pin=27, label="dog", led=27), LedOptions(), ("buttons", 1, "led"), "by button 2"),
        (ButtonOptions(pin=27, label="dog"), LedOptions(busy=27), ("panel", "leds", "busy"), "leds.busy"),
        (
            ButtonOptions(pin=27, label="dog"),
            LedOptions(ready=9, error=9),
            ("panel", "leds", "error"),
            "BCM 9",
        ),
        (ButtonOptions(pin=27), LedOptions(), ("buttons", 1, "label"), "undo, clear or scene"),
        (
            ButtonOptions(pin=27, label="a", action="undo"),
            LedOptions(),
            ("buttons", 1, "action"),
            "one of",
        ),
        (ButtonOptions(pin=27, action="undo", led=6), LedOptions(), ("buttons", 1, "led"), "panel.leds"),
        (ButtonOptions(pin=27, action="undo", region="x"), LedOptions(), ("buttons", 1, "region"), "leave"),
    ],
)
def test_each_fault_names_its_key_and_a_remedy_in_one_line(
    button: ButtonOptions, leds: LedOptions, path: tuple[str | int, ...], words: str
) -> None:
    [(where, text)] = panel_faults((CAT, button), PanelOptions(leds=leds))

    assert where == path
    assert words in text
    assert "\n" not in text


def test_a_panel_with_pins_of_its_own_has_no_fault() -> None:
    buttons = (CAT, ButtonOptions(pin=27, label="dog", led=6), ButtonOptions(pin=22, action="undo"))

    assert list(panel_faults(buttons, PanelOptions(leds=LedOptions(ready=13, captured=19, error=26)))) == []


def test_a_button_is_named_by_its_label_as_it_is_stored_or_by_its_action() -> None:
    assert ButtonOptions(pin=1, label=unicodedata.normalize("NFD", " Käse ")).name == "Käse"
    assert ButtonOptions(pin=1, action="clear").name == "clear"
