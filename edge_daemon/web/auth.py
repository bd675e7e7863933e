"""Authentication: the token, session cookies, and a lockout for wrong tokens."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping

from edge_daemon.board.clock import BootTime
from edge_daemon.board.digits import read_digits
from edge_daemon.config.web import Address, WebOptions
from edge_daemon.domain.errors import WebError
from edge_daemon.system.secrets import SecretKind, read_secret

log = logging.getLogger(__name__)

COOKIE = "edge_daemon_session"
MAX_AGE_S = 30 * 86400
MIN_CHARACTERS = 12
MAX_WRONG = 10
WINDOW_S = 60.0
MAX_ADDRESSES = 1024
_MAX_CHARACTERS = 64
_IPV6_PREFIX = 64
"""One host can choose any address of an IPv6 network of this size."""

WEB_TOKEN = SecretKind("web", "token", "EDGE_DAEMON_WEB_TOKEN", WebError)
TOKEN_SOURCES = f"set web.token_file, web.credential or ${WEB_TOKEN.variable}"


def read_token(options: WebOptions, environ: Mapping[str, str]) -> str | None:
    """Return the token from `token_file`, else the systemd credential, else the environment.

    Raises WebError for a file that can't be read and for a token that is too short.
    """
    secret = read_secret(WEB_TOKEN, options.token_file, options.credential, environ)
    if secret is None:
        return None
    token = secret.text.strip()
    if len(token) < MIN_CHARACTERS:
        raise WebError(
            f"{secret.where}: the token has {len(token)} characters; at least {MIN_CHARACTERS} are needed, "
            "for example from `openssl rand -hex 16`"
        )
    return token


def check_reach(address: Address, token: str | None, hosts: Collection[str] = ()) -> None:
    """Raise WebError for a page that other machines can reach without a token.

    `hosts` on the loopback means a reverse proxy. Without a token that is a warning: the page then
    refuses every request, and the rest of the daemon works.
    """
    if token is not None:
        return
    if not address.loopback:
        raise WebError(
            f"web.listen {address.ip} can be reached from other machines; give the page a token: "
            f"{TOKEN_SOURCES}, or listen on 127.0.0.1"
        )
    if hosts:
        log.warning(
            "web.hosts '%s' means that a proxy serves the page to other machines; every request is refused "
            "until a token is set: %s",
            next(iter(hosts)),
            TOKEN_SOURCES,
        )


class Lockout:
    """Counts the wrong tokens of each client in the last minute.

    Keeps the MAX_ADDRESSES clients with the latest wrong token. `now` is the monotonic clock. Used from the
    page's thread alone.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def is_locked(self, address: str) -> bool:
        """Return whether MAX_WRONG wrong tokens came from this address within WINDOW_S."""
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
    """Return the key of one client: its IPv4 address or its IPv6 network."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:_MAX_CHARACTERS]  # a proxy may pass on any text
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(ip), _IPV6_PREFIX), strict=False))


class Sessions:
    """Issues and checks cookies of the form `<end>.<HMAC of end under the token>`.

    Nothing is stored: a cookie stays valid after a restart, and a new token ends all sessions. `now` is the
    wall clock in seconds since 1970. While the wall clock is not synchronised, `boot` returns the id of this
    boot and the seconds since it. A cookie issued then, `<boot id>/<end>.<HMAC>`, ends with the boot at the
    latest, and setting the clock neither ends nor prolongs it; itsdangerous has wall-clock times only.
    `address` is the client's. Used from the page's thread alone.
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
    def is_required(self) -> bool:
        """True if a token is configured."""
        return self._token is not None

    def is_locked(self, address: str) -> bool:
        """Return whether the login refuses every token from this address for now."""
        return self._lockout.is_locked(address)

    def login(self, token: str, address: str) -> str | None:
        """Return a new cookie for the right token, None for a wrong one or during a lockout."""
        if self.is_locked(address):
            return None
        if not self._is_token(token):
            self._lockout.count_wrong(address)
            return None
        boot = self._boot()
        end = f"{int(self._now()) + MAX_AGE_S}"
        if boot.synced is False and boot.id:
            end = f"{boot.id}/{int(boot.seconds) + MAX_AGE_S}"
        return f"{end}.{self._sign(end)}"

    def is_authorized(self, cookie: str | None, authorization: str | None, address: str) -> bool:
        """Return whether this cookie or this `Authorization: Bearer <token>` permits a request.

        The right token always does: another client's wrong tokens can't lock out a program that has it.
        """
        if self._token is None:
            return True
        kind, _, given = (authorization or "").partition(" ")
        if kind.lower() == "bearer":
            if self._is_token(given.strip()):
                return True
            if not self.is_locked(address):
                self._lockout.count_wrong(address)
        end, _, signature = (cookie or "").partition(".")
        is_ours = hmac.compare_digest(signature.encode(), self._sign(end).encode())
        return is_ours and self._is_valid(end)

    def _is_valid(self, end: str) -> bool:
        boot_id, slash, digits = end.rpartition("/")
        boot = self._boot()
        now_s = boot.seconds if slash else self._now()
        end_s = read_digits(digits)
        return boot_id in ("", boot.id) and end_s is not None and end_s > now_s

    def _is_token(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())

    def _sign(self, end: str) -> str:
        key = (self._token or "").encode()
        return hmac.new(key, f"edge_daemon session until {end}".encode(), hashlib.sha256).hexdigest()
