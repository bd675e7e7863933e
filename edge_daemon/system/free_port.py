"""A free TCP port of this machine."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port of the loopback interface that no program uses now; another one may take it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
