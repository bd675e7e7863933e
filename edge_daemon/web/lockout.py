"""The lock-out after wrong tokens, for each client address."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable

MAX_WRONG = 10
WINDOW_S = 60.0
MAX_ADDRESSES = 1024
_MAX_CHARACTERS = 64
_IPV6_PREFIX = 64
"""One host has all addresses of such a network to choose from."""


class Lockout:
    """Counts the wrong tokens of each address in the last minute.

    Holds the MAX_ADDRESSES addresses with the latest wrong token. `now` is the monotonic clock. Used from the
    page's thread alone.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def is_locked(self, address: str) -> bool:
        """Say whether too many wrong tokens came from this address in the last minute."""
        times = self._wrong.get(_network(address))
        return times is not None and len(times) == MAX_WRONG and self._now() - times[0] < WINDOW_S

    def count_wrong(self, address: str) -> None:
        """Count a wrong token."""
        network = _network(address)
        times = self._wrong.setdefault(network, deque(maxlen=MAX_WRONG))
        times.append(self._now())
        self._wrong.move_to_end(network)
        if len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)


def _network(address: str) -> str:
    """Return what counts as one client: an IPv4 address or an IPv6 network."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:_MAX_CHARACTERS]  # whatever a proxy passed on
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(ip), _IPV6_PREFIX), strict=False))
