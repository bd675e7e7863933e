"""Who may look: whoever entered the token once. Without a token, everyone who can reach the page."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from edge_daemon.board.clock import BootTime
from edge_daemon.web.lockout import Lockout

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
