"""Where the page listens, and under which names it answers."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass

from edge_daemon.errors import WebError

_EXAMPLE = "write a port such as 8080, or address:port such as 0.0.0.0:8080 or '[::]:8080'"


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address and a port."""

    ip: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        return ipaddress.ip_address(self.ip).is_loopback


def parse_listen(listen: int | str) -> Address:
    """Read `web.listen`. A port alone means 127.0.0.1. Raises WebError."""
    host, colon, port = str(listen).rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else "127.0.0.1"
    host = "127.0.0.1" if host == "localhost" else host
    try:
        number = int(port)
        ip = str(ipaddress.ip_address(host))
    except ValueError as exc:
        raise WebError(f"web.listen: '{listen}' is no address; {_EXAMPLE}") from exc
    if not 1 <= number <= 65535:
        raise WebError(f"web.listen: {number} is no port; {_EXAMPLE}")
    return Address(ip, number)


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
