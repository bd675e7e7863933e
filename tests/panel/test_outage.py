"""A GPIO chip that is lost while the panel runs, and returns; mock pins, and a file as device node."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from gpiozero import Device

from edge_daemon.domain.errors import PanelError
from edge_daemon.domain.events import LabelChanged, PanelLost, PanelRestored
from edge_daemon.panel.gpio import GpioPins
from edge_daemon.panel.panel import RETRY_S, WAKE_S
from edge_daemon.panel.pin_factory import gpio_fault
from edge_daemon.panel.simulated_buttons import SimulatedButtons
from tests.harness.flaky_gpio_chip import FlakyChip, flaky_chip
from tests.harness.panel_harness import CAT, CAT_LED, DOG_LED, START, PanelHarness


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[FlakyChip]:
    """A chip that is gpiozero's default."""
    kind = flaky_chip(tmp_path)
    monkeypatch.setattr("edge_daemon.panel.pin_factory.gpio_fault", partial(gpio_fault, tmp_path))
    monkeypatch.setattr(Device, "pin_factory", kind())
    return kind


@pytest.fixture
def harness(chip: type[FlakyChip]) -> Iterator[PanelHarness]:
    running = PanelHarness(pins=GpioPins())
    running.panel.open()
    running.buttons = SimulatedButtons(chip.opened[-1])
    yield running
    running.panel.stop()


def outages(harness: PanelHarness) -> list[PanelLost | PanelRestored]:
    return [event for event in harness.events if isinstance(event, PanelLost | PanelRestored)]


def show_label(harness: PanelHarness, label: str) -> None:
    harness.panel.handle(LabelChanged("frame", label, None, 1.0, 1, START, 1.0))
    harness.wait(0.001)


def test_a_lost_chip_is_reported_once_and_closed_at_once(
    harness: PanelHarness, chip: type[FlakyChip]
) -> None:
    harness.wait(5)
    assert outages(harness) == []

    chip.unplug()
    harness.wait(WAKE_S)
    [lost] = outages(harness)
    assert isinstance(lost, PanelLost)
    assert lost.reason.startswith("buttons and LEDs can't be used: there is no GPIO chip (/")
    assert "\n" not in lost.reason
    assert chip.opened[0].closed

    harness.wait(10)
    assert outages(harness) == [lost]


def test_a_failing_led_begins_an_outage_and_is_no_crash(harness: PanelHarness, chip: type[FlakyChip]) -> None:
    chip.unplug()
    show_label(harness, "cat")
    assert len(outages(harness)) == 1


def test_a_chip_that_returns_is_used_again(harness: PanelHarness, chip: type[FlakyChip]) -> None:
    show_label(harness, "cat")
    chip.unplug()
    harness.wait(4)
    show_label(harness, "dog")
    chip.plug()
    harness.wait(2)

    [_, restored] = outages(harness)
    assert isinstance(restored, PanelRestored)
    assert 4 <= restored.outage_s <= 4 + RETRY_S + WAKE_S
    harness.buttons = SimulatedButtons(chip.opened[-1])
    assert (harness.buttons.is_lit(CAT_LED), harness.buttons.is_lit(DOG_LED)) == (False, True)
    harness.click(CAT)
    assert harness.taught_labels() == ["cat"]


def test_a_chip_that_was_exchanged_between_two_checks_is_used_again(
    harness: PanelHarness, chip: type[FlakyChip]
) -> None:
    chip.unplug()
    chip.plug()
    harness.wait(3)

    harness.buttons = SimulatedButtons(chip.opened[-1])
    harness.click(CAT)
    assert harness.taught_labels() == ["cat"]
    assert len(outages(harness)) == 2


def test_a_button_held_at_the_loss_of_the_chip_teaches_no_more(
    harness: PanelHarness, chip: type[FlakyChip]
) -> None:
    harness.buttons.press(CAT)
    harness.wait(0.1)
    harness.reply_to_all()
    chip.unplug()
    harness.wait(2)

    started_s = time.monotonic()
    harness.panel.run_once(0.05)
    assert time.monotonic() - started_s >= 0.05  # a burst that is due causes no busy loop
    chip.plug()
    harness.wait(2)
    assert harness.taught_labels() == ["cat"]


def test_another_reason_is_reported_too(
    harness: PanelHarness, chip: type[FlakyChip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # with or without lgpio
    chip.unplug()
    harness.wait(3)
    chip.node.mkdir()  # a node that exists and can't be read
    harness.wait(3)
    chip.node.rmdir()

    [missing, unreadable] = [event.reason for event in outages(harness) if isinstance(event, PanelLost)]
    assert "no GPIO chip" in missing
    assert "Is a directory" in unreadable


def test_stopping_during_an_outage_is_harmless(
    harness: PanelHarness, chip: type[FlakyChip], caplog: pytest.LogCaptureFixture
) -> None:
    chip.unplug()
    harness.panel.stop()
    with caplog.at_level(logging.WARNING):
        harness.panel.stop()
    assert caplog.records == []
    assert harness.crashes == []


def test_pins_can_be_opened_again_after_an_outage(chip: type[FlakyChip]) -> None:
    pins = GpioPins()
    pins.open([], [5], lambda *_: None)
    chip.unplug()
    with pytest.raises(PanelError):
        pins.health_check()
    pins.close()
    chip.plug()
    pins.open([], [5], lambda *_: None)
    pins.health_check()
    pins.light(5, True)
    assert SimulatedButtons(chip.opened[-1]).is_lit(5)
    pins.close()

    assert all(factory.closed for factory in chip.opened)
    assert Device.pin_factory is None
