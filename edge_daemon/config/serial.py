"""The `serial:` section."""

from __future__ import annotations

from typing import Literal

from edge_daemon.config.base import ConfigSection, FilePath

BaudRate = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600, 1000000]


class SerialOptions(ConfigSection, frozen=True):
    """Labels and objects as lines on a serial port. `port` null turns it off.

    A path in /dev/serial/by-id stays the same when the board is plugged in again.
    """

    port: FilePath | None = None
    baud: BaudRate = 115200
