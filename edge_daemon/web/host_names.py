"""Where the page listens, and under which names it answers."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection


class HostNames:
    """The names that a request's Host header may hold.

    Any IP address will do: another site can point a name of its own at this device (DNS rebinding),
    but not an address.
    """

    def __init__(self, further: Collection[str] = (), own: str | None = None) -> None:
        name = (own or socket.gethostname()).lower()
        short = name.split(".")[0]
        self._names = {"localhost", name, f"{short}.local", *(each.lower() for each in further)}

    def knows(self, header: str) -> bool:
        """Say whether a Host header such as `edge.local:8080` or `[::1]` names this device."""
        host = _without_port(header.lower())
        if host is None:
            return False
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host in self._names
        return True


def _without_port(header: str) -> str | None:
    if header.startswith("["):
        host, bracket, port = header[1:].partition("]")
        plain = bracket and (not port or (port[0] == ":" and port[1:].isdigit()))
    else:
        host, colon, port = header.partition(":")
        plain = not colon or port.isdigit()
    return host if plain else None
