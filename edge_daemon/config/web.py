"""The `web:` section."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from typing import Annotated

from msgspec import Meta, Struct

from edge_daemon.config.base import ConfigSection, FilePath
from edge_daemon.domain.errors import WebError


class WebOptions(ConfigSection, frozen=True):
    """The page. `listen` null turns it off.

    The token is read from `token_file`, else `credential`, else $EDGE_DAEMON_WEB_TOKEN.
    """

    listen: Annotated[int, Meta(ge=1, le=65535)] | str | None = None
    """A port on 127.0.0.1, or `address:port`. An address other than the loopback needs a token."""
    token_file: FilePath | None = None
    credential: str | None = None
    """Name of a file in $CREDENTIALS_DIRECTORY that holds the token."""
    hosts: tuple[str, ...] = ()
    """Further host names of the page, for a reverse proxy; with them the page always needs a token."""
    settings_file: FilePath | None = None
    """File for what is set on the page; default `settings.yaml` in the state directory; in a
    program that is no service, `<store>.settings.yaml` beside the store that `store.path` names."""


_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_MAX_HOST = 253

_EXAMPLE = "write a port such as 8080, or address:port such as 0.0.0.0:8080 or '[::]:8080'"


class Address(Struct, frozen=True):
    """An IP address and a port."""

    ip: str
    port: int

    @property
    def loopback(self) -> bool:
        """True for an address that only this machine can reach."""
        return ipaddress.ip_address(self.ip).is_loopback


def host_fault(host: str) -> str | None:
    """Return why a text can't be a host's name in a request, and the remedy; None for a usable one."""
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return None
    if len(host) <= _MAX_HOST and _HOST.fullmatch(host):
        return None
    return (
        f"{host[:40]!r} is no host name; write only a name such as camera.example.org, without port or path"
    )


def parse_listen(listen: int | str) -> Address:
    """Read `web.listen`. A port alone means 127.0.0.1. Raises WebError."""
    host, colon, port = str(listen).rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else "127.0.0.1"
    host = "127.0.0.1" if host == "localhost" else host
    try:
        number = int(port)
        ip = str(ipaddress.ip_address(host))
    except ValueError as exc:
        raise WebError(f"web.listen: '{listen}' is not an address; {_EXAMPLE}") from exc
    if not 1 <= number <= 65535:
        raise WebError(f"web.listen: {number} is not a port; {_EXAMPLE}")
    return Address(ip, number)
