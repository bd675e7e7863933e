"""A terminal's keyboard in place of buttons. One thread, `keyboard`, owns it."""

from __future__ import annotations

import logging
import math
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TypeAlias

from edge_daemon.config.panel import PanelOptions
from edge_daemon.domain.commands import AddExample, Clear, Command, LearnScene, Origin, Undo
from edge_daemon.domain.counted import counted
from edge_daemon.domain.events import (
    AnotherSessionAdvised,
    Cleared,
    CommandReply,
    ConfirmPending,
    Event,
    ExampleAdded,
)
from edge_daemon.domain.interfaces import Clock
from edge_daemon.system.worker import Worker

log = logging.getLogger(__name__)

WAKE_S = 0.25
"""Longest sleep of the loop: a stop is noticed within it."""

MAX_LABELS = 9

_ESCAPE = b"\x1b"
_VIA = "keyboard"


@dataclass(frozen=True, slots=True)
class UnusedKey:
    """A key without a function, and the reason."""

    reason: str


KeyResult: TypeAlias = AddExample | Undo | Clear | LearnScene | ConfirmPending | UnusedKey


class Keys:
    """Keys 1 to 9 teach the n-th label, u undoes one example, c and then y clears everything.

    Key s learns the scene without an object. A terminal reports no release; a held key repeats after a
    pause. Repeats of a digit teach at most `burst_per_s` examples a second. A held u undoes one example, one
    more after the pause, and then no more. The confirmation is another key than c, since a held c would
    confirm itself.
    """

    def __init__(self, labels: Sequence[str], options: PanelOptions) -> None:
        self._labels = labels[:MAX_LABELS]
        self._options = options
        self._repeat_s = 1 / options.burst_per_s
        self._key = ""
        self._accepted_s = self._seen_s = self._confirm_until_s = -math.inf

    @property
    def help(self) -> str:
        """The keys in one line."""
        teach = [f"{number} {label}" for number, label in enumerate(self._labels, 1)]
        return ", ".join([*teach, "u undo", "c clear", "s scene", "q quit"])

    def press(self, key: str, now: float) -> KeyResult | None:
        """Process a character, pressed or repeated at `now` (monotonic); None for a repeat to skip."""
        if self._is_repeat(key, now):
            return None
        confirmed = key == "y" and now <= self._confirm_until_s
        self._confirm_until_s = -math.inf
        self._accepted_s = now
        origin = Origin(_VIA, key)
        if key == "u":
            return Undo(origin)
        if key == "s":
            return LearnScene(now, origin)
        if key == "c":
            self._confirm_until_s = now + self._options.confirm_s
            return ConfirmPending(self._options.confirm_s)
        if key == "y":
            return Clear(origin) if confirmed else UnusedKey("nothing waits to be confirmed; press c first")
        return self._teach(key, now, origin)

    def _teach(self, key: str, now: float, origin: Origin) -> AddExample | UnusedKey:
        index = "123456789".find(key)
        if 0 <= index < len(self._labels):
            return AddExample(self._labels[index], now, origin)
        return UnusedKey(f"key {key!r} does nothing; keys: {self.help}")

    def _is_repeat(self, key: str, now: float) -> bool:
        """Return whether the key is held: it repeats too soon after it was accepted or, for u and c, seen."""
        since_s = self._accepted_s if key.isdigit() else self._seen_s
        held = key == self._key and now - since_s < self._repeat_s
        self._key, self._seen_s = key, now
        return held


class Keyboard:
    """A service that reads single keys from `fd` (default: standard input) and logs the result of each.

    The terminal's settings are restored when the thread ends, also after a crash. Ctrl-C stays a signal. The
    characters of a pipe or file are read like typed ones; at its end, or if standard input is closed, the
    daemon goes on without a keyboard. `quit` is called for q, `submit` for every command, both from the
    keyboard thread; `handle` may be called from any thread.
    """

    def __init__(
        self,
        labels: Sequence[str],
        options: PanelOptions,
        *,
        submit: Callable[[Command], bool],
        quit: Callable[[], None],
        on_crash: Callable[[BaseException], None],
        clock: Clock,
        fd: int | None = None,
    ) -> None:
        self._keys = Keys(labels, options)
        self._submit = submit
        self._quit = quit
        self._clock = clock
        self._fd = _standard_input() if fd is None else fd
        self._is_terminal = self._fd is not None and os.isatty(self._fd)
        self._worker = Worker("keyboard", self.run, on_crash)

    def start(self) -> None:
        """Start the thread; without an input there is no thread."""
        if self._fd is None:
            log.warning("standard input is closed: there is no keyboard to read")
            return
        log.info("keys: %s", self._keys.help)
        self._worker.start()

    def handle(self, event: Event) -> None:
        """Log the outcome of a key's command, and the advice after it."""
        match event:
            case AnotherSessionAdvised():
                log.info("%s: %s", event.label, event.note)
            case ExampleAdded() if event.command.origin.via == _VIA:
                log.info("taught %s (%d)", event.label, event.count)
            case Cleared() if event.command.origin.via == _VIA:
                log.info("cleared %s", counted(event.removed, "example"))
            case CommandReply(command=Undo(), error=None, data=data) if event.command.origin.via == _VIA:
                log.info("undone: %s", data["text"])
            case CommandReply(command=LearnScene(), error=None) if event.command.origin.via == _VIA:
                log.info("the scene is learned")
            case CommandReply(error=str() as error) if event.command.origin.via == _VIA:
                log.warning("not done: %s", error)

    def stop(self) -> None:
        """End the thread and restore the terminal's settings."""
        self._worker.stop()

    def run(self, stop: threading.Event) -> None:
        """Read keys until `stop` is set; after a hang-up of the terminal, wait for it."""
        assert self._fd is not None
        with _single_keys(self._fd) if self._is_terminal else nullcontext():
            while not stop.is_set() and self.run_once(WAKE_S):
                pass
        if not stop.is_set():
            log.info("standard input ended: no more keys are read")
        stop.wait()

    def run_once(self, timeout_s: float) -> bool:
        """Wait for keys, at most `timeout_s`, and process them; False once no more can be read."""
        assert self._fd is not None
        readable, _, _ = select.select([self._fd], [], [], timeout_s)
        if not readable:
            return True
        try:
            typed = os.read(self._fd, 64)
        except OSError as exc:
            log.warning("standard input can't be read: %s", exc.strerror)
            typed = b""
        # Arrows and function keys arrive as escape sequences, whose digits must not count as keys.
        for key in typed.partition(_ESCAPE)[0].decode(errors="replace"):
            self._press(key)
        return bool(typed)

    def _press(self, key: str) -> None:
        if key == "q":
            self._quit()
            return
        if key == "\n" and not self._is_terminal:
            return  # ends a line of a pipe or file
        result = self._keys.press(key, self._clock.monotonic())
        if isinstance(result, ConfirmPending):
            log.info("clear every example? press y within %g s", result.within_s)
        elif isinstance(result, UnusedKey):
            log.info("%s", result.reason)
        elif result is not None and not self._submit(result):
            log.warning("key %s refused: more commands wait than can be carried out", key)


def _standard_input() -> int | None:
    """Return the descriptor of standard input; None where it is closed."""
    try:
        return None if sys.stdin is None else sys.stdin.fileno()
    except (ValueError, OSError):
        return None


@contextmanager
def _single_keys(fd: int) -> Iterator[None]:
    """Read keys one by one and without echo; restore the terminal's settings at the end."""
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield
    finally:
        with suppress(termios.error):  # after a hang-up there is nothing to restore
            termios.tcsetattr(fd, termios.TCSANOW, before)
