"""Board monitor: power supply, temperature limit, clock, Wi-Fi and the store's mount."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from edge_daemon.board.clock import clock_synced
from edge_daemon.board.memory import is_service, limits_remedy, memory_limits_apply
from edge_daemon.board.mounts import mount_fault
from edge_daemon.board.network import interfaces, power_saving
from edge_daemon.board.power import alarm_path, read_power
from edge_daemon.domain.commands import ClockSet, Instruction
from edge_daemon.domain.events import ClockChanged, Event, ExamplesKept, ExamplesNotKept, PowerLow, PowerOk
from edge_daemon.domain.interfaces import Clock
from edge_daemon.system.worker import Worker

log = logging.getLogger(__name__)

POLL_S = 10.0
"""Time between two polls, unless the kernel signals an alarm."""

OK_AFTER_S = 60.0
"""Time without a flag after which the supply counts as good: it dips with the load of each frame."""

NO_LIMIT = "MemoryMax= of the service has no effect, as the memory cgroup is off; %s"

POWER_SAVING = (
    "Wi-Fi power saving is on at %s: messages to this device arrive late or get lost; see docs/board.md"
)


class PowerMonitor:
    """Turns the flags of successive polls into the events PowerLow and PowerOk. Does no I/O."""

    def __init__(self) -> None:
        self._flags: tuple[str, ...] = ()
        self._since_s = 0.0
        self._seen_s = 0.0

    def update(self, flags: tuple[str, ...], now_s: float) -> Event | None:
        """Return the event for these flags, if any; `now_s` is monotonic."""
        if not flags:
            return self._clear(now_s) if self._flags and now_s - self._seen_s >= OK_AFTER_S else None
        if not self._flags:
            self._since_s = now_s
        self._seen_s = now_s
        if set(flags) <= set(self._flags):
            return None
        self._flags = tuple(dict.fromkeys((*self._flags, *flags)))
        return PowerLow(self._flags)

    def _clear(self, now_s: float) -> PowerOk:
        self._flags = ()
        return PowerOk(now_s - self._since_s)


class ClockMonitor:
    """Detects when the clock becomes synchronised, and by how much that changed it."""

    def __init__(self, clock: Clock, synced: bool | None) -> None:
        self._clock = clock
        self._synced = synced
        self._zero = self._zero_now()

    def update(self, synced: bool | None) -> Iterator[Event | ClockSet]:
        """Yield the changes since the last call."""
        if synced == self._synced:
            return
        zero, now_s = self._zero_now(), self._clock.monotonic()
        if synced and self._synced is False:
            step_s = (zero - self._zero).total_seconds()
            yield ClockSet(self._zero, self._zero + timedelta(seconds=now_s), step_s)
        self._synced, self._zero = synced, zero
        yield ClockChanged(synced)

    def _zero_now(self) -> datetime:
        """Return the wall-clock time at zero of the monotonic clock: about the time of boot."""
        return self._clock.utc() - timedelta(seconds=self._clock.monotonic())


class MountMonitor:
    """Detects when new examples are no longer kept, as on a card that is read-only after faults."""

    def __init__(self) -> None:
        self._reason = ""

    def update(self, reason: str) -> Event | None:
        """Return the event for a changed reason, which is empty for a sound mount; None if unchanged."""
        if reason == self._reason:
            return None
        self._reason = reason
        return ExamplesNotKept(reason) if reason else ExamplesKept()


class BoardMonitor:
    """A service that polls the board every `poll_s` seconds, and at once when the kernel reports a dip.

    Its thread is `board`, which calls `emit` with events and `submit` with instructions. `store` is the path
    whose mount is checked; None disables the check.
    """

    def __init__(
        self,
        *,
        emit: Callable[[Event], None],
        submit: Callable[[Instruction], bool],
        on_crash: Callable[[BaseException], None],
        clock: Clock,
        root: Path = Path("/"),
        poll_s: float = POLL_S,
        store: Path | None = None,
    ) -> None:
        self._emit = emit
        self._submit = submit
        self._clock = clock
        self._root = root
        self._poll_s = poll_s
        self._store = store
        self._mount = MountMonitor()
        self._power = PowerMonitor()
        self._clock_monitor = ClockMonitor(clock, clock_synced(root))
        self._corrections: deque[ClockSet] = deque()
        self._warned_interfaces: set[str] = set()
        self._stop_fd = -1
        self._worker = Worker("board", self._run, on_crash)

    def start(self) -> None:
        """Start the thread, and report the current state."""
        self._stop_fd = os.eventfd(0)
        if clock_synced(self._root) is False:
            self._emit(ClockChanged(False))
        if is_service(self._root) and memory_limits_apply(self._root) is False:
            log.warning(NO_LIMIT, limits_remedy(self._root))
        self._check_mount()
        self._worker.start()

    def stop(self) -> None:
        """Stop within two seconds."""
        os.eventfd_write(self._stop_fd, 1)
        self._worker.stop()
        os.close(self._stop_fd)

    def _run(self, stop: threading.Event) -> None:
        with contextlib.ExitStack() as stack:
            alarm = _open_alarm(self._root)
            if alarm is not None:
                stack.callback(os.close, alarm)
            while not stop.is_set():
                signalled = _wait(self._stop_fd, alarm if self._poll() else None, self._poll_s)
                stop.wait(1.0 if signalled else 0.0)  # the kernel reports every dip, some twice in 4 s

    def _poll(self) -> bool:
        """Poll once; return whether this machine reports its supply."""
        power = read_power(self._root)
        if power is not None and (event := self._power.update(power.now, self._clock.monotonic())):
            self._emit(event)
        self._check_clock()
        self._check_wifi()
        self._check_mount()
        return power is not None

    def _check_clock(self) -> None:
        """Report a change of the clock. A correction of times is submitted again while the queue is full."""
        changes = list(self._clock_monitor.update(clock_synced(self._root)))
        self._corrections.extend(each for each in changes if isinstance(each, ClockSet))
        while self._corrections and self._submit(self._corrections[0]):
            self._corrections.popleft()
        for change in changes:
            if not isinstance(change, ClockSet):
                self._emit(change)

    def _check_mount(self) -> None:
        fault = None if self._store is None else mount_fault(self._store, self._root)
        event = self._mount.update(f"{fault.reason}; {fault.remedy}" if fault else "")
        if event is not None:
            self._emit(event)

    def _check_wifi(self) -> None:
        for link in interfaces(self._root):
            if link.wireless and link.name not in self._warned_interfaces and power_saving(link.name):
                self._warned_interfaces.add(link.name)
                log.warning(POWER_SAVING, link.name)


def _open_alarm(root: Path) -> int | None:
    path = alarm_path(root)
    if path is None:
        return None
    with contextlib.suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None


def _wait(stop_fd: int, alarm: int | None, seconds: float) -> bool:
    """Wait for the stop or the alarm, at most `seconds`; return whether it was the alarm."""
    poller = select.poll()
    poller.register(stop_fd, select.POLLIN)
    if alarm is not None:
        with contextlib.suppress(OSError):
            os.pread(alarm, 8, 0)  # the kernel signals changes after the last read
            poller.register(alarm, select.POLLPRI)
    return any(number == alarm for number, _ in poller.poll(seconds * 1000))
