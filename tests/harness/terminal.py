"""Runs a command on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
from contextlib import suppress


def shown_on_a_terminal(*arguments: str) -> list[str]:
    """Run the command on a terminal; return the lines that stay there, and every state of a bar."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 300, 0, 0))
    command = [sys.executable, "-m", "edge_daemon", *arguments]
    process = subprocess.Popen(command, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"})
    os.close(slave)
    shown = bytearray()
    with suppress(OSError):  # the other end is closed
        while piece := os.read(master, 4096):
            shown += piece
    os.close(master)
    assert process.wait() == 0, shown
    return shown.decode().split("\r\n")
