"""The keyboard on a real pseudo-terminal."""

from __future__ import annotations

import logging
import os
import pty
import termios
import threading
import time
from collections.abc import Iterator

import pytest

from edge_daemon.config.panel import PanelOptions
from edge_daemon.domain.commands import AddExample, Clear, Command, Origin, Undo
from edge_daemon.domain.events import (
    AnotherSessionAdvised,
    Cleared,
    CommandReply,
    ExampleAdded,
)
from edge_daemon.panel.keyboard import Keyboard
from edge_daemon.system.testing import ManualClock
from tests.harness.mqtt_harness import wait_until

LOCAL_FLAGS = 3


class TerminalHarness:
    """A keyboard on a pseudo-terminal; `type` sends keys."""

    def __init__(self) -> None:
        self.outer, self.inner = pty.openpty()
        self.before = termios.tcgetattr(self.inner)
        self.clock = ManualClock()
        self.commands: list[Command] = []
        self.crashes: list[BaseException] = []
        self.quit = threading.Event()
        self.submitted = threading.Event()
        self.full = False
        self.keyboard = Keyboard(
            ["cat", "dog"],
            PanelOptions(),
            submit=self.submit,
            quit=self.quit.set,
            on_crash=self.crashes.append,
            clock=self.clock,
            fd=self.inner,
        )

    def submit(self, command: Command) -> bool:
        if not self.full:
            self.commands.append(command)
            self.submitted.set()
        return not self.full

    def start(self) -> None:
        """Start and wait until keys are read one by one."""
        self.keyboard.start()
        until_s = time.monotonic() + 5
        while self.is_line_buffered() and time.monotonic() < until_s:
            time.sleep(0.005)

    def is_line_buffered(self) -> bool:
        return bool(termios.tcgetattr(self.inner)[LOCAL_FLAGS] & termios.ICANON)

    def type(self, keys: bytes) -> None:
        os.write(self.outer, keys)

    def close(self) -> None:
        for fd in (self.outer, self.inner):
            try:
                os.close(fd)
            except OSError:
                assert fd == self.outer  # closed by the test


@pytest.fixture
def terminal() -> Iterator[TerminalHarness]:
    harness = TerminalHarness()
    yield harness
    harness.keyboard.stop()
    harness.close()


def test_keys_become_commands_without_a_line_end(terminal: TerminalHarness) -> None:
    terminal.start()
    terminal.type(b"12ucyq")
    assert terminal.quit.wait(5)

    assert [type(command) for command in terminal.commands] == [AddExample, AddExample, Undo, Clear]
    assert [command.label for command in terminal.commands if isinstance(command, AddExample)] == [
        "cat",
        "dog",
    ]


def test_the_terminals_settings_are_restored(terminal: TerminalHarness) -> None:
    terminal.start()
    assert not terminal.is_line_buffered()
    terminal.keyboard.stop()

    assert termios.tcgetattr(terminal.inner) == terminal.before


def test_the_terminals_settings_are_restored_after_a_crash(terminal: TerminalHarness) -> None:
    crashed = threading.Event()

    def crash(command: Command) -> bool:
        raise ZeroDivisionError

    terminal.keyboard = Keyboard(
        ["cat"],
        PanelOptions(),
        submit=crash,
        quit=terminal.quit.set,
        on_crash=lambda exc: crashed.set(),
        clock=terminal.clock,
        fd=terminal.inner,
    )
    terminal.start()
    terminal.type(b"1")
    assert crashed.wait(5)

    assert termios.tcgetattr(terminal.inner) == terminal.before


def test_function_keys_are_not_taken_for_digits(terminal: TerminalHarness) -> None:
    terminal.start()
    terminal.type(b"2\x1b[15~")  # F5; a terminal sends it in one piece
    assert terminal.submitted.wait(5)
    terminal.type(b"q")
    assert terminal.quit.wait(5)

    assert [command.label for command in terminal.commands if isinstance(command, AddExample)] == ["dog"]


def test_a_terminal_that_hangs_up_is_no_crash(terminal: TerminalHarness) -> None:
    terminal.start()
    os.close(terminal.outer)
    assert not terminal.keyboard.run_once(5)
    terminal.keyboard.stop()

    assert terminal.crashes == []


def test_a_refused_key_is_logged(terminal: TerminalHarness, caplog: pytest.LogCaptureFixture) -> None:
    terminal.full = True
    terminal.start()
    terminal.type(b"1q")
    assert terminal.quit.wait(5)

    assert "key 1 refused" in caplog.text


def read_from_pipe(terminal: TerminalHarness, keys: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, keys)
    os.close(writer)
    terminal.keyboard = Keyboard(
        ["cat", "dog"],
        PanelOptions(),
        submit=terminal.submit,
        quit=terminal.quit.set,
        on_crash=terminal.crashes.append,
        clock=terminal.clock,
        fd=reader,
    )
    terminal.keyboard.start()


def test_a_pipe_is_read_like_typed_keys_and_its_end_is_no_crash(
    terminal: TerminalHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    read_from_pipe(terminal, b"1\n2\nu\n")
    wait_until(lambda: "standard input ended" in caplog.text)
    assert [type(command) for command in terminal.commands] == [AddExample, AddExample, Undo]
    assert "does nothing" not in caplog.text, "a line end in a pipe is no key"
    assert terminal.crashes == []


def test_a_closed_standard_input_is_logged_and_harmless(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    keyboard = Keyboard(
        ["cat"],
        PanelOptions(),
        submit=lambda command: True,
        quit=lambda: None,
        on_crash=lambda exc: None,
        clock=ManualClock(),
    )
    keyboard.start()
    keyboard.stop()
    assert "standard input is closed" in caplog.text


def test_the_outcome_of_each_key_is_logged(
    terminal: TerminalHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    terminal.start()
    terminal.type(b"xyq")
    assert terminal.quit.wait(5)
    press, undo, clear = (
        AddExample("cat", 1.0, Origin("keyboard", "1")),
        Undo(Origin("keyboard", "u")),
        Clear(Origin("keyboard", "y")),
    )
    for event in (
        ExampleAdded(1, "cat", "frame", 7, 3, press),
        CommandReply(undo, data={"text": "1 example of 'cat' removed"}),
        Cleared(None, 6, clear),
        Cleared("cat", 1, clear),
        CommandReply(press, error="the disk is full"),
        ExampleAdded(2, "dog", "frame", 1, 4, AddExample("dog", 1.0, Origin("gpio", "17"))),
        AnotherSessionAdvised("cat", "show it once more"),
    ):
        terminal.keyboard.handle(event)
    messages = [record.getMessage() for record in caplog.records]
    assert "key 'x' does nothing; keys: 1 cat, 2 dog, u undo, c clear, s scene, q quit" in messages
    assert "nothing waits to be confirmed; press c first" in messages
    assert messages[-6:] == [
        "taught cat (7)",
        "undone: 1 example of 'cat' removed",
        "cleared 6 examples",
        "cleared 1 example",
        "not done: the disk is full",
        "cat: show it once more",
    ]


def test_an_input_that_cannot_be_read_ends_the_keys_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = os.open("/", os.O_RDONLY)
    crashes: list[BaseException] = []
    keyboard = Keyboard(
        ["cat"],
        PanelOptions(),
        submit=lambda command: True,
        quit=lambda: None,
        on_crash=crashes.append,
        clock=ManualClock(),
        fd=folder,
    )
    keyboard.start()
    wait_until(lambda: "standard input can't be read: Is a directory" in caplog.messages)
    keyboard.stop()
    os.close(folder)
    assert crashes == []
