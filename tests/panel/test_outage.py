"""A GPIO chip that goes while the panel runs, and comes back; mock pins, a file for the chip's node."""

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
from edge_daemon.panel.gpio import GpioPins, gpio_trouble
from edge_daemon.panel.panel import RETRY_S, WAKE_S
from edge_daemon.panel.simulated_buttons import SimulatedButtons
from tests.harness.flaky_gpio_chip import LooseChip, loose_chip
from tests.harness.manual_clock import START
from tests.harness.panel_harness import CAT, CAT_LED, DOG_LED, Desk


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[LooseChip]:
    """A chip that gpiozero takes by its own choice."""
    kind = loose_chip(tmp_path)
    monkeypatch.setattr("edge_daemon.panel.gpio.gpio_trouble", partial(gpio_trouble, tmp_path))
    monkeypatch.setattr(Device, "pin_factory", kind())
    return kind


@pytest.fixture
def desk(chip: type[LooseChip]) -> Iterator[Desk]:
    made = Desk(pins=GpioPins())
    made.panel.open()
    made.presser = SimulatedButtons(chip.opened[-1])
    yield made
    made.panel.stop()


def outages(desk: Desk) -> list[PanelLost | PanelRestored]:
    return [event for event in desk.events if isinstance(event, PanelLost | PanelRestored)]


def shows(desk: Desk, label: str) -> None:
    desk.panel.handle(LabelChanged("frame", label, None, 1.0, 1, START, 1.0))
    desk.wait(0.001)


def test_a_chip_that_goes_is_told_once_and_closed_at_once(desk: Desk, chip: type[LooseChip]) -> None:
    desk.wait(5)
    assert outages(desk) == []

    chip.unplug()
    desk.wait(WAKE_S)
    [lost] = outages(desk)
    assert isinstance(lost, PanelLost)
    assert lost.reason.startswith("buttons and LEDs can't be used: there is no GPIO chip (/")
    assert "\n" not in lost.reason
    assert chip.opened[0].closed

    desk.wait(10)
    assert outages(desk) == [lost]


def test_an_led_that_can_not_be_switched_loses_the_chip_and_ends_nothing(
    desk: Desk, chip: type[LooseChip]
) -> None:
    chip.unplug()
    shows(desk, "cat")
    assert len(outages(desk)) == 1


def test_a_chip_that_is_back_is_used_again(desk: Desk, chip: type[LooseChip]) -> None:
    shows(desk, "cat")
    chip.unplug()
    desk.wait(4)
    shows(desk, "dog")
    chip.plug()
    desk.wait(2)

    [_, restored] = outages(desk)
    assert isinstance(restored, PanelRestored)
    assert 4 <= restored.outage_s <= 4 + RETRY_S + WAKE_S
    desk.presser = SimulatedButtons(chip.opened[-1])
    assert (desk.presser.lit(CAT_LED), desk.presser.lit(DOG_LED)) == (False, True)
    desk.tap(CAT)
    assert desk.taught() == ["cat"]


def test_a_chip_that_was_exchanged_between_two_looks_is_used_again(desk: Desk, chip: type[LooseChip]) -> None:
    chip.unplug()
    chip.plug()
    desk.wait(3)

    desk.presser = SimulatedButtons(chip.opened[-1])
    desk.tap(CAT)
    assert desk.taught() == ["cat"]
    assert len(outages(desk)) == 2


def test_a_button_that_was_held_as_the_chip_went_teaches_no_more(desk: Desk, chip: type[LooseChip]) -> None:
    desk.presser.press(CAT)
    desk.wait(0.1)
    desk.answer()
    chip.unplug()
    desk.wait(2)

    started_s = time.monotonic()
    desk.panel.run_once(0.05)
    assert time.monotonic() - started_s >= 0.05  # the burst that was due keeps the thread from no rest
    chip.plug()
    desk.wait(2)
    assert desk.taught() == ["cat"]


def test_another_reason_is_told_too(
    desk: Desk, chip: type[LooseChip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # with or without lgpio
    chip.unplug()
    desk.wait(3)
    chip.node.mkdir()  # a node that is there and can't be read
    desk.wait(3)
    chip.node.rmdir()

    [missing, unreadable] = [event.reason for event in outages(desk) if isinstance(event, PanelLost)]
    assert "no GPIO chip" in missing
    assert "Is a directory" in unreadable


def test_ending_during_an_outage_is_harmless(
    desk: Desk, chip: type[LooseChip], caplog: pytest.LogCaptureFixture
) -> None:
    chip.unplug()
    desk.panel.stop()
    with caplog.at_level(logging.WARNING):
        desk.panel.stop()
    assert caplog.records == []
    assert desk.crashes == []


def test_after_an_outage_the_daemon_can_be_built_anew(chip: type[LooseChip]) -> None:
    pins = GpioPins()
    pins.open([], [5], lambda *_: None)
    chip.unplug()
    with pytest.raises(PanelError):
        pins.check()
    pins.close()
    chip.plug()
    pins.open([], [5], lambda *_: None)
    pins.check()
    pins.light(5, True)
    assert SimulatedButtons(chip.opened[-1]).lit(5)
    pins.close()

    assert all(factory.closed for factory in chip.opened)
    assert Device.pin_factory is None
