"""The keyboard of a terminal as a panel. One thread, `keyboard`, owns it."""

from __future__ import annotations

import logging
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress

from edge_daemon.commands import Command
from edge_daemon.events import Cleared, ConfirmPending, Event, ExampleAdded, ExampleUndone, Replied
from edge_daemon.panel.keys import Keys, NoMeaning
from edge_daemon.panel.options import PanelOptions
from edge_daemon.ports import Clock
from edge_daemon.runtime.worker import Worker

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
            case Replied(error=str() as error) if event.command.origin.via == _VIA:
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
