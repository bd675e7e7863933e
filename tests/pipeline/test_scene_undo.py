"""Undo of scene presses: what it takes back, and its reply as keyboard and serial port show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.config.panel import PanelOptions
from edge_daemon.domain import commands, events
from edge_daemon.domain.commands import Origin
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.panel.keyboard import Keyboard
from edge_daemon.serial.lines import event_line
from edge_daemon.system.testing import ManualClock
from tests.harness.scene_harness import GPIO, Table


@pytest.fixture
def table(tmp_path: Path) -> Table:
    table = Table(ExampleStore(tmp_path / "examples.sqlite"))
    table.learn_scene()
    return table


def test_the_serial_port_reports_the_undo_of_a_press(table: Table) -> None:
    table.show(None, commands.Undo(Origin("serial", "undo")))
    assert event_line(table.reply) == "undone scene learned; the former one is restored"


def test_the_keyboard_reports_the_undo_of_a_press(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    keyboard = Keyboard(
        ["nut"],
        PanelOptions(),
        submit=lambda command: True,
        quit=lambda: None,
        on_crash=lambda exc: None,
        clock=ManualClock(),
        fd=0,
    )
    table.show(None, commands.Undo(Origin("keyboard", "u")))
    with caplog.at_level("INFO"):
        keyboard.handle(table.reply)
    assert "undone: scene learned; the former one is restored" in caplog.messages


def test_an_undo_withdraws_a_press_in_progress_and_removes_no_example(table: Table) -> None:
    table.teach("nut", "nut")
    stored = table.store.scenes.newest("frame")
    table.show(None, table.press_scene(), frames=2)
    table.show(None, commands.Undo(GPIO), frames=12)
    refused, undone = table.found(events.CommandReply)
    assert refused.error == "undone before the scene was learned"
    assert refused.withdrawn
    assert set(undone.data) == {"scenes", "text"}
    assert table.store.counts == {"nut": 1}
    assert table.store.scenes.newest("frame") == stored


def test_an_undo_after_a_spoiled_press_restores_the_scene_before_the_last_good_one(table: Table) -> None:
    table.teach("nut", "nut")
    former = table.store.scenes.newest("frame")
    table.learn_scene()
    for number in range(25):
        image = table.table.picture("nut", (0.2 + 0.03 * (number % 20), 0.5))
        table.feed(image, *([table.press_scene()] if number == 0 else []))
    assert "something moved" in str(table.reply.error)
    table.show(None, commands.Undo(GPIO))
    assert "scenes" in table.reply.data
    assert table.store.scenes.newest("frame") == former
    assert table.store.counts == {"nut": 1}


def test_an_undo_takes_back_the_example_that_was_taught_during_a_press(table: Table) -> None:
    table.show(None, table.press_scene(), frames=2)
    table.teach("nut", "nut")
    table.show("nut", commands.Undo(GPIO))
    assert table.found(events.ExampleUndone)
    assert table.store.counts == {}
