"""sd_notify against a real datagram socket."""

from __future__ import annotations

import socket
from pathlib import Path

from edge_daemon.runtime.systemd import Notifier


def test_states_reach_the_managers_socket(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        notifier = Notifier({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000"})
        assert notifier.watchdog_s == 3.0
        notifier.ready("seeing")
        notifier.pet()
        notifier.stopping()
        received = [manager.recv(1024).decode() for _ in range(3)]
    assert received == ["READY=1\nSTATUS=seeing", "WATCHDOG=1", "STOPPING=1"]
    notifier.pet()  # the manager is gone: nothing happens


def test_without_a_manager_nothing_is_sent() -> None:
    notifier = Notifier({})
    assert notifier.watchdog_s is None
    notifier.ready("seeing")
