"""The reply to an undo of a scene press, as keyboard and serial port show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.config.panel import PanelOptions
from edge_daemon.domain import commands
from edge_daemon.domain.commands import Origin
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.panel.keyboard import Keyboard
from edge_daemon.serial.lines import event_line
from edge_daemon.system.testing import ManualClock
from tests.harness.scene_harness import Table


@pytest.fixture
def table(tmp_path: Path) -> Table:
    table = Table(ExampleStore(tmp_path / "examples.sqlite"))
    table.learn_scene()
    return table


def test_the_serial_port_reports_the_undo_of_a_press(table: Table) -> None:
    table.show(None, commands.Undo(Origin("serial", "undo")))
    assert event_line(table.reply) == "undone the former scene restored"


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
    assert "undone: the former scene restored" in caplog.messages
