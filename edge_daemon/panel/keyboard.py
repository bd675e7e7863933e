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
from contextlib import contextmanager, suppress

from edge_daemon.commands import Command
from edge_daemon.errors import PanelError
from edge_daemon.events import ConfirmPending
from edge_daemon.panel.keys import Keys
from edge_daemon.panel.options import PanelOptions
from edge_daemon.ports import Clock
from edge_daemon.runtime.worker import Worker

log = logging.getLogger(__name__)

WAKE_S = 0.25
"""The longest the loop sleeps; a stop is noticed within it."""

_ESCAPE = b"\x1b"


class Keyboard:
    """A service that reads single keys from the terminal `fd` (default: standard input).

    The terminal is put back as it was when the thread ends, also by a crash. Ctrl-C stays a signal.
    `quit` is called for q, `submit` for every command, both from the keyboard thread.
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
        self._fd = sys.stdin.fileno() if fd is None else fd
        self._worker = Worker("keyboard", self.run, on_crash)

    def start(self) -> None:
        """Start the thread. Raises PanelError when there is no terminal to read."""
        if not os.isatty(self._fd):
            raise PanelError(
                "the keyboard needs a terminal, and standard input is none; leave out --keyboard"
            )
        log.info("keys: %s", self._keys.help)
        self._worker.start()

    def stop(self) -> None:
        """End the thread and put the terminal back as it was."""
        self._worker.stop()

    def run(self, stop: threading.Event) -> None:
        """Read keys until `stop` is set; when the terminal hangs up, wait for that."""
        with _single_keys(self._fd):
            while not stop.is_set() and self.run_once(WAKE_S):
                pass
        stop.wait()

    def run_once(self, timeout_s: float) -> bool:
        """Wait for keys, at most `timeout_s`, and act on them; False when the terminal has hung up."""
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
        meaning = self._keys.press(key, self._clock.monotonic())
        if isinstance(meaning, ConfirmPending):
            log.info("clear every example? press y within %g s", meaning.within_s)
        elif meaning is not None and not self._submit(meaning):
            log.warning("key %s refused: more commands wait than can be carried out", key)


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
