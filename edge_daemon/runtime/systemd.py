"""Talk to the service manager: readiness, status and the watchdog (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends state to `$NOTIFY_SOCKET`; does nothing when there is none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        usec = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if usec.isdigit() and int(usec) > 0 else None
        """How often the manager wants to hear of progress, in seconds; None without a watchdog."""

    def ready(self, status: str) -> None:
        """Say that the service does its work."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Say in one line what the service is doing."""
        self._send(f"STATUS={status}")

    def pet(self) -> None:
        """Say that progress was made."""
        self._send("WATCHDOG=1")

    def reloading(self, now_s: float) -> None:
        """Say that the configuration is being read again; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(now_s * 1e6)}")

    def reload_ended(self) -> None:
        """Say that the service goes on as it was."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Say that the service is about to end."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            try:
                channel.sendto(text.encode(), self._address)
            except OSError:
                # The manager is gone or restarting; it will ask systemctl, not us.
                return
