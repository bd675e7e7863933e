"""sd_notify to a real datagram socket."""

from __future__ import annotations

import gc
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_daemon.daemon.systemd import WATCHDOG_PERIOD_S, Notifier
from edge_daemon.system.testing import ManualClock


class Manager:
    """The service manager's socket, read on demand."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(path))
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000"}

    def read(self) -> list[str]:
        """Return every message that has arrived."""
        received = []
        while True:
            try:
                received.append(self.socket.recv(65536).decode())
            except BlockingIOError:
                return received


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    running = Manager(tmp_path / "notify")
    yield running
    running.socket.close()


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Lower the limit of open files to what is open now.

    What other tests left to the garbage collector may be closed meanwhile: such gaps are filled.
    """
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open("/", os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 1, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            _open_until_refused(taken)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for each in taken:
            os.close(each)


def _open_until_refused(taken: list[int]) -> None:
    while True:
        taken.append(os.open("/", os.O_RDONLY))


def fill(notifier: Notifier, clock: ManualClock) -> None:
    """Send watchdog messages until the unread ones fill the manager's socket."""
    for _ in range(10_000):
        clock.advance(WATCHDOG_PERIOD_S)
        notifier.watchdog()


def test_states_reach_the_managers_socket(manager: Manager) -> None:
    notifier = Notifier(manager.environment)
    assert notifier.watchdog_s == 3.0
    notifier.ready("seeing")
    notifier.watchdog()
    notifier.stopping()
    assert manager.read() == ["READY=1\nSTATUS=seeing", "WATCHDOG=1", "STOPPING=1"]


def test_without_a_manager_nothing_is_sent() -> None:
    notifier = Notifier({})
    assert notifier.watchdog_s is None
    notifier.ready("seeing")
    notifier.watchdog()


def test_a_missing_manager_is_no_error(tmp_path: Path) -> None:
    for address in (str(tmp_path / "nothing"), "@edge-daemon-nobody", "/" + "x" * 200):
        notifier = Notifier({"NOTIFY_SOCKET": address})
        notifier.ready("seeing")
        notifier.watchdog()


def test_the_watchdog_message_is_sent_at_most_twice_a_second(manager: Manager) -> None:
    clock = ManualClock()
    notifier = Notifier(manager.environment, clock.monotonic)
    for _ in range(129):
        notifier.watchdog()
        clock.advance(1 / 64)
    assert manager.read() == ["WATCHDOG=1"] * 5  # at 0, 0.5, 1, 1.5 and 2 s


def test_a_manager_that_does_not_read_blocks_nothing(manager: Manager) -> None:
    clock = ManualClock()
    notifier = Notifier(manager.environment, clock.monotonic)
    fill(notifier, clock)  # a blocking socket would wait here for good
    assert 0 < len(manager.read()) < 10_000
    notifier.watchdog()
    assert manager.read() == ["WATCHDOG=1"]


def test_unsent_states_follow_in_order_once_the_manager_reads(manager: Manager) -> None:
    clock = ManualClock()
    notifier = Notifier(manager.environment, clock.monotonic)
    fill(notifier, clock)
    notifier.ready("seeing")
    for number in range(20):
        notifier.status(f"panel lost {number}")
    notifier.reloading(1.5)
    manager.read()
    notifier.watchdog()
    assert manager.read() == [
        "READY=1\nSTATUS=seeing",
        "STATUS=panel lost 19",
        "RELOADING=1\nMONOTONIC_USEC=1500000",
        "WATCHDOG=1",
    ]


def test_no_descriptor_is_needed_to_send(manager: Manager) -> None:
    clock = ManualClock()
    notifier = Notifier(manager.environment, clock.monotonic)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    with no_descriptor_left():
        for _ in range(3):
            notifier.status("seeing")
            clock.advance(WATCHDOG_PERIOD_S)
            notifier.watchdog()
    assert manager.read() == ["STATUS=seeing", "WATCHDOG=1"] * 3
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_notifier_made_without_a_free_descriptor_sends_later(manager: Manager) -> None:
    with no_descriptor_left():
        notifier = Notifier(manager.environment)
        notifier.ready("seeing")
        notifier.watchdog()
    assert manager.read() == []
    notifier.watchdog()
    assert manager.read() == ["READY=1\nSTATUS=seeing", "WATCHDOG=1"]


def test_a_status_is_one_line_of_any_text(manager: Manager) -> None:
    notifier = Notifier(manager.environment)
    notifier.status("camera lost: no\nREADY=1\ufffd \udcff" + "x" * 1_000_000)
    (received,) = manager.read()
    assert received.startswith("STATUS=camera lost: no READY=1")
    assert "\n" not in received
