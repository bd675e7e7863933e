"""The keyboard of a terminal as a panel. One thread, `keyboard`, owns it."""

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
from edge_daemon.domain.commands import AddExample, Clear, Command, Origin, Undo
from edge_daemon.domain.events import (
    Cleared,
    CommandReply,
    ConfirmPending,
    Event,
    ExampleAdded,
    ExampleUndone,
)
from edge_daemon.domain.interfaces import Clock
from edge_daemon.system.worker import Worker


@dataclass(frozen=True, slots=True)
class NoMeaning:
    """A key that does nothing, and why."""

    reason: str


KeyMeaning: TypeAlias = AddExample | Undo | Clear | ConfirmPending | NoMeaning

MAX_LABELS = 9


class Keys:
    """1 to 9 teach the n-th label, u takes back one example, c then y clears everything.

    A terminal reports no release: a key that is held repeats, after a pause. Repeats teach at
    `burst_per_s` at most; a held u takes back one example, one more after that pause, and then
    rests. Another key than c confirms, since c repeated by itself would confirm too.
    """

    def __init__(self, labels: Sequence[str], options: PanelOptions) -> None:
        self._labels = labels[:MAX_LABELS]
        self._options = options
        self._rest_s = 1 / options.burst_per_s
        self._key = ""
        self._taken_s = self._seen_s = self._confirm_until_s = -math.inf

    @property
    def help(self) -> str:
        """The keys in one line."""
        teach = [f"{number} {label}" for number, label in enumerate(self._labels, 1)]
        return ", ".join([*teach, "u undo", "c clear", "q quit"])

    def press(self, key: str, now: float) -> KeyMeaning | None:
        """Take one character, pressed or repeated at `now` (monotonic seconds); None for a repeat to skip."""
        confirmed = key == "y" and now <= self._confirm_until_s
        self._confirm_until_s = -math.inf
        if self._is_repeat(key, now):
            return None
        self._taken_s = now
        origin = Origin("keyboard", key)
        if key == "u":
            return Undo(origin)
        if key == "c":
            self._confirm_until_s = now + self._options.confirm_s
            return ConfirmPending(self._options.confirm_s)
        if key == "y":
            return Clear(origin) if confirmed else NoMeaning("nothing waits to be confirmed; press c first")
        return self._teach(key, now, origin)

    def _teach(self, key: str, now: float, origin: Origin) -> AddExample | NoMeaning:
        index = "123456789".find(key)
        if 0 <= index < len(self._labels):
            return AddExample(self._labels[index], now, origin)
        return NoMeaning(f"key {key!r} does nothing; keys: {self.help}")

    def _is_repeat(self, key: str, now: float) -> bool:
        """Whether the key is held: it came again too soon after it was taken, or, for u and c, seen."""
        since_s = self._taken_s if key.isdigit() else self._seen_s
        held = key == self._key and now - since_s < self._rest_s
        self._key, self._seen_s = key, now
        return held


log = logging.getLogger(__name__)

WAKE_S = 0.25
"""The longest the loop sleeps; a stop is noticed within it."""

_ESCAPE = b"\x1b"
_VIA = "keyboard"


class Keyboard:
    """An outlet that reads single keys from `fd` (default: standard input) and logs an answer to each.

    A terminal is put back as it was when the thread ends, also by a crash. Ctrl-C stays a signal. A pipe or a
    file is read as if its characters were typed; the daemon goes on without a keyboard at its end, and where
    standard input is closed. `quit` is called for q, `submit` for every command, both from the keyboard
    thread; `handle` may be called from any.
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
        """Start the thread; without an input there is none."""
        if self._fd is None:
            log.warning("standard input is closed: there is no keyboard to read")
            return
        log.info("keys: %s", self._keys.help)
        self._worker.start()

    def handle(self, event: Event) -> None:
        """Log what became of the keys."""
        match event:
            case ExampleAdded() if event.command.origin.via == _VIA:
                log.info("taught %s (%d)", event.label, event.count)
            case ExampleUndone() if event.command.origin.via == _VIA:
                log.info("took back the last example: %s (%d)", event.label, event.count)
            case Cleared() if event.command.origin.via == _VIA:
                log.info("cleared %d examples", event.removed)
            case CommandReply(error=str() as error) if event.command.origin.via == _VIA:
                log.warning("not done: %s", error)

    def stop(self) -> None:
        """End the thread and put the terminal back as it was."""
        self._worker.stop()

    def run(self, stop: threading.Event) -> None:
        """Read keys until `stop` is set; when the terminal hangs up, wait for that."""
        assert self._fd is not None
        with _single_keys(self._fd) if self._is_terminal else nullcontext():
            while not stop.is_set() and self.run_once(WAKE_S):
                pass
        if not stop.is_set():
            log.info("standard input ended: no more keys are read")
        stop.wait()

    def run_once(self, timeout_s: float) -> bool:
        """Wait for keys, at most `timeout_s`, and act on them; False when the terminal has hung up."""
        assert self._fd is not None
        readable, _, _ = select.select([self._fd], [], [], timeout_s)
        if not readable:
            return True
        typed = os.read(self._fd, 64)
        # Arrows and function keys arrive as an escape sequence, whose digits were not typed.
        for key in typed.partition(_ESCAPE)[0].decode(errors="replace"):
            self._press(key)
        return bool(typed)

    def _press(self, key: str) -> None:
        if key == "q":
            self._quit()
            return
        if key == "\n" and not self._is_terminal:
            return  # ends a line of a pipe or file
        meaning = self._keys.press(key, self._clock.monotonic())
        if isinstance(meaning, ConfirmPending):
            log.info("clear every example? press y within %g s", meaning.within_s)
        elif isinstance(meaning, NoMeaning):
            log.info("%s", meaning.reason)
        elif meaning is not None and not self._submit(meaning):
            log.warning("key %s refused: more commands wait than can be carried out", key)


def _standard_input() -> int | None:
    """Return the descriptor of standard input; None where it is closed."""
    try:
        return None if sys.stdin is None else sys.stdin.fileno()
    except (ValueError, OSError):
        return None


@contextmanager
def _single_keys(fd: int) -> Iterator[None]:
    """Deliver keys one by one and unechoed, and give the terminal back as it was."""
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield
    finally:
        with suppress(termios.error):  # a terminal that hung up has nothing to be given back
            termios.tcsetattr(fd, termios.TCSANOW, before)
