"""The serial link: labels and objects go out as lines, and requests come in. The thread `serial` owns it."""

from __future__ import annotations

import logging
import select
import threading
from collections.abc import Callable, Sequence

from edge_daemon.config.serial import SerialOptions
from edge_daemon.domain.commands import Command
from edge_daemon.domain.errors import LabelError, RequestError, SerialError
from edge_daemon.domain.events import CameraLost, Classified, Event, LabelChanged
from edge_daemon.domain.interfaces import Clock
from edge_daemon.serial.lines import LineReader, error_line, event_line, is_text, read_request
from edge_daemon.serial.port import SerialPort
from edge_daemon.serial.send_queue import SendQueue
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.rate_limit import RateLimit
from edge_daemon.system.wakeup import Wakeup
from edge_daemon.system.worker import Worker

log = logging.getLogger(__name__)

WAKE_S = 0.25
"""Longest sleep of the loop while the port is open: a stop is noticed within it."""

FIRST_PAUSE_S, MAX_PAUSE_S = 0.25, 5.0
"""Pauses between two attempts to open the port."""

READ_PAUSE_S = 0.01
"""Pause after a read: at most 100 kB/s are read of a port that floods, which delays no frame."""

REQUESTS_PER_S, BURST = 10.0, 20.0


class SerialLink:
    """A service with its own thread, and a sink of events.

    `handle` may be called from any thread and never blocks. The labels of all `regions` are sent when the
    port opens, and empty ones at the end. `submit` accepts a command and returns False when the queue is
    full; the thread calls it.
    """

    def __init__(
        self,
        options: SerialOptions,
        regions: Sequence[str],
        *,
        submit: Callable[[Command], bool],
        on_crash: Callable[[BaseException], None],
        clock: Clock,
    ) -> None:
        assert options.port is not None
        self._path = options.port
        self._baud = options.baud
        self._regions = regions
        self._submit = submit
        self._clock = clock
        self._queue = SendQueue(regions)
        self._wakeup = Wakeup()
        self._worker = Worker("serial", self.run, on_crash)
        self._limit = RateLimit(REQUESTS_PER_S, BURST)
        self._over_limit = False
        self._reason = ""

    def start(self) -> None:
        """Start to open the port, in the background."""
        self._worker.start()

    def stop(self) -> None:
        """Send empty labels, close the port and end the thread."""
        self._worker.stop()

    def handle(self, event: Event) -> None:
        """Queue the line of an event."""
        match event:
            case Classified():
                return
            case LabelChanged():
                self._queue.set_label(event.region, event.label)
            case CameraLost():
                self._queue.clear_labels()
            case _:
                if (line := event_line(event)) is None:
                    return
                self._queue.put(line, self._clock.monotonic())
        self._wakeup.set()

    def run(self, stop: threading.Event) -> None:
        """Open the port, serve it, and open it again when it is lost, until `stop` is set."""
        backoff = Backoff(FIRST_PAUSE_S, MAX_PAUSE_S)
        while not stop.is_set():
            since_s = self._clock.monotonic()
            try:
                self._serve(stop)
            except SerialError as exc:
                if str(exc) != self._reason:
                    log.warning("serial: %s", exc)
                self._reason = str(exc)
                stop.wait(backoff.next_s(self._clock.monotonic() - since_s))
        self._wakeup.close()

    def _serve(self, stop: threading.Event) -> None:
        """Open the port, send and receive until `stop` is set. Raises SerialError."""
        connection = _Connection(SerialPort(self._path, self._baud), self._queue, self._clock)
        try:
            log.info("serial: %s is open, at %d baud", self._path, self._baud)
            self._reason = ""
            self._queue.repeat_labels()
            while not stop.is_set():
                received = connection.exchange(self._wakeup, WAKE_S)
                for line in received:
                    self._handle_line(line, connection)
                if connection.has_read:
                    stop.wait(READ_PAUSE_S)
            self._queue.clear_labels()
            connection.send()
        finally:
            connection.port.close()

    def _handle_line(self, line: bytes, connection: _Connection) -> None:
        """Execute the request of a line; an error becomes a line, and other lines are ignored."""
        try:
            request = read_request(line, self._regions, self._clock.monotonic())
        except (LabelError, RequestError) as exc:
            self._queue.put(error_line(exc), self._clock.monotonic())
            return
        if request == "?":
            self._queue.repeat_labels()
        elif request is not None:
            self._execute(request)
        elif not connection.reported and not is_text(line):
            connection.reported = True
            log.warning(
                "serial: %s sends %r, which is no text; is the board's baud rate %d?",
                self._path, line[:20], self._baud,
            )  # fmt: skip

    def _execute(self, command: Command) -> None:
        now_s = self._clock.monotonic()
        over_limit, self._over_limit = self._over_limit, not self._limit.allows(now_s)
        if not self._over_limit:
            if not self._submit(command):
                self._queue.put(error_line("the device is busy; send the request again"), now_s)
        elif not over_limit:
            self._queue.put(error_line(f"too many requests; at most {REQUESTS_PER_S:g} a second"), now_s)


class _Connection:
    """An open port with the received half line and the bytes of a line that it did not take yet."""

    def __init__(self, port: SerialPort, queue: SendQueue, clock: Clock) -> None:
        self.port = port
        self.has_read = False
        """True if bytes came with the latest `exchange`, whole lines or not."""
        self.reported = False
        """True after a warning about received bytes."""
        self._queue = queue
        self._clock = clock
        self._reader = LineReader()
        self._unsent = b"\n"  # ends the half line of an earlier connection

    def exchange(self, wakeup: Wakeup, timeout_s: float) -> list[bytes]:
        """Wait for something to do, send waiting lines, and return received ones. Raises SerialError."""
        has_output = self._unsent or self._queue
        poller = select.poll()
        poller.register(self.port, select.POLLIN | (select.POLLOUT if has_output else 0))
        poller.register(wakeup, select.POLLIN)
        ready = dict(poller.poll(timeout_s * 1000))
        wakeup.clear()
        self.send()
        self.has_read = bool(ready.get(self.port.fileno(), 0) & ~select.POLLOUT)
        if self.has_read:
            return self._reader.feed(self.port.read())
        return []

    def send(self) -> None:
        """Send as many of the waiting lines as the port takes. Raises SerialError."""
        while self._unsent or (line := self._queue.pop(self._clock.monotonic())) is not None:
            self._unsent = self._unsent or f"{line}\n".encode()
            sent = self.port.write(self._unsent)
            self._unsent = self._unsent[sent:]
            if self._unsent:
                return
