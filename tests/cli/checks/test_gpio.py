"""The doctor's check of buttons: the chip's label, holders of lines, wiring."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from gpiozero import Device

from edge_daemon.board.gpio import Chip
from edge_daemon.cli.checks import gpio as checks_gpio
from edge_daemon.cli.checks.check import Check
from edge_daemon.cli.checks.gpio import check_gpio
from edge_daemon.config.panel import ButtonOptions, LedOptions, PanelOptions
from edge_daemon.config.schema import Config
from edge_daemon.panel.simulated_buttons import SimulatedButtons
from tests.board.roots import BOARDS, SOC_OF_PI_5, lay_out_chips

CONFIG = Config(
    buttons=(ButtonOptions(pin=17, label="cat", led=5), ButtonOptions(pin=22, action="undo")),
    panel=PanelOptions(leds=LedOptions(ready=26)),
)


@pytest.fixture
def presser(monkeypatch: pytest.MonkeyPatch) -> SimulatedButtons:
    """Presses buttons on gpiozero's mock pins."""
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # with or without lgpio
    made = SimulatedButtons()
    monkeypatch.setattr(Device, "pin_factory", made.factory)
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return lay_out_chips(tmp_path, BOARDS["Pi 5, Linux 6.6.20"])


def hold(monkeypatch: pytest.MonkeyPatch, holders: dict[int, str], processes: list[tuple[int, str]]) -> None:
    """Fake the kernel's answer about the holders of lines."""

    def holder_of(_chip: Chip, line: int, _root: Path) -> str | None:
        return holders.get(line)

    monkeypatch.setattr(checks_gpio, "holder_of", holder_of)
    monkeypatch.setattr(checks_gpio, "processes_with_lines", lambda _chip, _root: processes)


def test_label_node_and_lines_are_shown(presser: SimulatedButtons, root: Path) -> None:
    check = check_gpio(CONFIG, root=root)
    assert check.state == "ok"
    assert check.detail.startswith("pinctrl-rp1 (/dev/gpiochip4, 54 lines); ")
    for line in ("BCM 5 LED of 'cat'", "BCM 17 button 'cat'", "BCM 22 button 'undo'", "BCM 26 LED ready"):
        assert line in check.detail


def test_without_a_known_label_gpiozero_picks_the_chip(presser: SimulatedButtons, tmp_path: Path) -> None:
    check = check_gpio(CONFIG, root=lay_out_chips(tmp_path, dict(enumerate(SOC_OF_PI_5))))
    assert check.detail.startswith("no chip has the label of a Raspberry Pi's header; gpiozero picks one")


def test_pins_of_another_library_need_no_chip(
    presser: SimulatedButtons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    check = check_gpio(CONFIG, root=tmp_path)
    assert (check.state, check.detail) == ("ok", "pins of gpiozero's 'mock'")


def test_a_line_that_another_holds_is_a_failure(
    presser: SimulatedButtons, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(monkeypatch, {22: "spi0 CS0"}, [(123, "gpiomon")])
    check = check_gpio(CONFIG, root=root)
    assert check.state == "failed"
    assert "BCM 22 button 'undo' held by 'spi0 CS0'" in check.detail
    assert check.detail.endswith("open in gpiomon (process 123)")
    assert "config.txt" in check.hint


def test_lines_of_the_running_service_are_no_fault(
    presser: SimulatedButtons, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(monkeypatch, {17: "lg", 22: "lg", 5: "lg"}, [(40, "edge-daemon")])
    check = check_gpio(CONFIG, root=root)
    assert check.state == "ok"
    assert check.detail.endswith("the running service has them")


def test_a_button_that_is_down_is_a_warning(presser: SimulatedButtons, root: Path) -> None:
    line = presser.factory.pin(17)
    line._set_pull("up")
    line.drive_low()
    line._set_pull = lambda value: None  # the wire to ground is stronger than the pull
    check = check_gpio(CONFIG, root=root)
    assert check.state == "warning"
    assert check.detail.endswith("down without a press: 'cat' (BCM 17)")
    assert "BCM number" in check.hint


def test_a_button_that_does_not_move_is_named(presser: SimulatedButtons, root: Path) -> None:
    check = press_while_watched(presser, root, [17], watch_s=1.0)
    assert check.state == "warning"
    assert check.detail.endswith("never moved: 'undo' (BCM 22)")


def test_watching_ends_once_all_have_moved(presser: SimulatedButtons, root: Path) -> None:
    started = time.monotonic()
    assert press_while_watched(presser, root, [17, 22], watch_s=60.0).state == "ok"
    assert time.monotonic() - started < 30


def press_while_watched(presser: SimulatedButtons, root: Path, pins: list[int], watch_s: float) -> Check:
    """Press buttons once the doctor has claimed them."""
    over = threading.Event()

    def press() -> None:
        for pin in pins:
            line = presser.factory.pin(pin)
            while line.when_changed is None and not over.is_set():
                time.sleep(0.01)
            presser.press(pin)
            presser.release(pin)

    finger = threading.Thread(target=press)
    finger.start()
    try:
        return check_gpio(CONFIG, watch_s, root)
    finally:
        over.set()
        finger.join()
