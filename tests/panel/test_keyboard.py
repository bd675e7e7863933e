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
from edge_daemon.domain.events import Cleared, CommandReply, ExampleAdded, ExampleUndone
from edge_daemon.panel.keyboard import Keyboard
from tests.harness.manual_clock import ManualClock
from tests.harness.mqtt_harness import wait_until

LOCAL_FLAGS = 3


class Desk:
    """A person at a terminal. `type` stands for the fingers."""

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
        """Start and wait until keys are taken one by one."""
        self.keyboard.start()
        until_s = time.monotonic() + 5
        while self.waits_for_lines() and time.monotonic() < until_s:
            time.sleep(0.005)

    def waits_for_lines(self) -> bool:
        return bool(termios.tcgetattr(self.inner)[LOCAL_FLAGS] & termios.ICANON)

    def type(self, keys: bytes) -> None:
        os.write(self.outer, keys)

    def close(self) -> None:
        for fd in (self.outer, self.inner):
            try:
                os.close(fd)
            except OSError:
                assert fd == self.outer  # a test has hung up


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.keyboard.stop()
    made.close()


def test_keys_become_commands_without_a_line_end(desk: Desk) -> None:
    desk.start()
    desk.type(b"12ucyq")
    assert desk.quit.wait(5)

    assert [type(command) for command in desk.commands] == [AddExample, AddExample, Undo, Clear]
    assert [command.label for command in desk.commands if isinstance(command, AddExample)] == ["cat", "dog"]


def test_the_terminal_is_given_back_as_it_was(desk: Desk) -> None:
    desk.start()
    assert not desk.waits_for_lines()
    desk.keyboard.stop()

    assert termios.tcgetattr(desk.inner) == desk.before


def test_the_terminal_is_given_back_after_a_crash(desk: Desk) -> None:
    crashed = threading.Event()

    def crash(command: Command) -> bool:
        raise ZeroDivisionError

    desk.keyboard = Keyboard(
        ["cat"],
        PanelOptions(),
        submit=crash,
        quit=desk.quit.set,
        on_crash=lambda exc: crashed.set(),
        clock=desk.clock,
        fd=desk.inner,
    )
    desk.start()
    desk.type(b"1")
    assert crashed.wait(5)

    assert termios.tcgetattr(desk.inner) == desk.before


def test_function_keys_are_not_taken_for_digits(desk: Desk) -> None:
    desk.start()
    desk.type(b"2\x1b[15~")  # F5; a terminal sends it in one piece
    assert desk.submitted.wait(5)
    desk.type(b"q")
    assert desk.quit.wait(5)

    assert [command.label for command in desk.commands if isinstance(command, AddExample)] == ["dog"]


def test_a_terminal_that_hangs_up_is_no_crash(desk: Desk) -> None:
    desk.start()
    os.close(desk.outer)
    assert not desk.keyboard.run_once(5)
    desk.keyboard.stop()

    assert desk.crashes == []


def test_a_refused_key_is_told(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.full = True
    desk.start()
    desk.type(b"1q")
    assert desk.quit.wait(5)

    assert "key 1 refused" in caplog.text


def at_a_pipe(desk: Desk, keys: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, keys)
    os.close(writer)
    desk.keyboard = Keyboard(
        ["cat", "dog"],
        PanelOptions(),
        submit=desk.submit,
        quit=desk.quit.set,
        on_crash=desk.crashes.append,
        clock=desk.clock,
        fd=reader,
    )
    desk.keyboard.start()


def test_a_pipe_is_read_as_if_it_were_typed_and_its_end_is_no_crash(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    at_a_pipe(desk, b"1\n2\nu\n")
    wait_until(lambda: "standard input ended" in caplog.text)
    assert [type(command) for command in desk.commands] == [AddExample, AddExample, Undo]
    assert "does nothing" not in caplog.text, "a line end in a pipe is no key"
    assert desk.crashes == []


def test_a_closed_standard_input_is_said_and_harmless(
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


def test_each_key_is_answered(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk.start()
    desk.type(b"xyq")
    assert desk.quit.wait(5)
    press, undo, clear = (
        AddExample("cat", 1.0, Origin("keyboard", "1")),
        Undo(Origin("keyboard", "u")),
        Clear(Origin("keyboard", "y")),
    )
    for event in (
        ExampleAdded(1, "cat", "frame", 7, 3, press),
        ExampleUndone(1, "cat", 6, undo),
        Cleared(None, 6, clear),
        CommandReply(press, error="the disk is full"),
        ExampleAdded(2, "dog", "frame", 1, 4, AddExample("dog", 1.0, Origin("gpio", "17"))),
    ):
        desk.keyboard.handle(event)
    said = [record.getMessage() for record in caplog.records]
    assert "key 'x' does nothing; keys: 1 cat, 2 dog, u undo, c clear, q quit" in said
    assert "nothing waits to be confirmed; press c first" in said
    assert said[-4:] == [
        "taught cat (7)",
        "took back the last example: cat (6)",
        "cleared 6 examples",
        "not done: the disk is full",
    ]
