"""Who may look: whoever entered the token once. Without a token, everyone who can reach the page."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable

from edge_daemon.board.clock import BootTime

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


LASTS_S = 30 * 86400
COOKIE = "edge_daemon_session"


class Sessions:
    """Makes and checks cookies of the form `<end>.<HMAC of end under the token>`.

    Nothing is stored: a cookie outlives a restart, and a new token ends all sessions. `now` is the
    wall clock in seconds since 1970. While that is not synchronised, `boot` returns the id of this boot and
    the seconds since: a cookie made then, `<boot id>/<end>.<HMAC>`, ends with the boot at the latest, and
    setting the clock neither ends nor prolongs it. `address` is the client's. Used from the page's thread
    alone.
    """

    def __init__(
        self,
        token: str | None,
        now: Callable[[], float],
        lockout: Lockout,
        boot: Callable[[], BootTime] = BootTime,
    ) -> None:
        self._token = token
        self._now = now
        self._boot = boot
        self._lockout = lockout

    @property
    def needed(self) -> bool:
        """Whether there is a token to enter."""
        return self._token is not None

    def locked(self, address: str) -> bool:
        """Say whether no token is taken from this address for now."""
        return self._lockout.is_locked(address)

    def enter(self, token: str, address: str) -> str | None:
        """Return a new cookie for the right token, None for a wrong one or while locked."""
        if self.locked(address):
            return None
        if not self._is_token(token):
            self._lockout.count_wrong(address)
            return None
        boot = self._boot()
        end = f"{int(self._now()) + LASTS_S}"
        if boot.synced is False and boot.id:
            end = f"{boot.id}/{int(boot.seconds) + LASTS_S}"
        return f"{end}.{self._sign(end)}"

    def knows(self, cookie: str | None, authorization: str | None, address: str) -> bool:
        """Say whether a request with this cookie or `Authorization: Bearer <token>` may pass.

        The right token always passes: a program that has it can't be locked out by one that hasn't.
        """
        if self._token is None:
            return True
        kind, _, given = (authorization or "").partition(" ")
        if kind.lower() == "bearer":
            if self._is_token(given.strip()):
                return True
            if not self.locked(address):
                self._lockout.count_wrong(address)
        end, _, signature = (cookie or "").partition(".")
        known = hmac.compare_digest(signature.encode(), self._sign(end).encode())
        return known and self._lasts(end)

    def _lasts(self, end: str) -> bool:
        boot_id, slash, end_s = end.rpartition("/")
        boot = self._boot()
        now_s = boot.seconds if slash else self._now()
        return boot_id in ("", boot.id) and end_s.isdigit() and int(end_s) > now_s

    def _is_token(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())

    def _sign(self, end: str) -> str:
        key = (self._token or "").encode()
        return hmac.new(key, f"edge_daemon session until {end}".encode(), hashlib.sha256).hexdigest()
