"""Who may look: whoever entered the token once. Without a token, everyone who can reach the page."""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from collections.abc import Callable

LASTS_S = 30 * 86400
COOKIE = "edge_daemon_session"

_MOST_WRONG = 10
_WINDOW_S = 60.0


class Sessions:
    """Makes and checks cookies of the form `<end>.<HMAC of end under the token>`.

    Nothing is stored: a cookie outlives a restart, and a new token ends all sessions. `now` is the
    wall clock in seconds since 1970. Used from the page's thread alone.
    """

    def __init__(self, token: str | None, now: Callable[[], float]) -> None:
        self._token = token
        self._now = now
        self._wrong: deque[float] = deque(maxlen=_MOST_WRONG)

    @property
    def needed(self) -> bool:
        """Whether there is a token to enter."""
        return self._token is not None

    @property
    def locked(self) -> bool:
        """Whether too many wrong tokens came in the last minute."""
        full = len(self._wrong) == _MOST_WRONG
        return full and self._now() - self._wrong[0] < _WINDOW_S

    def enter(self, token: str) -> str | None:
        """Return a new cookie for the right token, None for a wrong one or while locked."""
        if self.locked:
            return None
        if not self._is_token(token):
            self._wrong.append(self._now())
            return None
        end = str(int(self._now()) + LASTS_S)
        return f"{end}.{self._sign(end)}"

    def knows(self, cookie: str | None, authorization: str | None = None) -> bool:
        """Say whether a request with this cookie or `Authorization: Bearer <token>` may pass."""
        if self._token is None:
            return True
        kind, _, given = (authorization or "").partition(" ")
        if kind.lower() == "bearer" and not self.locked:
            if self._is_token(given.strip()):
                return True
            self._wrong.append(self._now())
        end, _, signature = (cookie or "").partition(".")
        known = hmac.compare_digest(signature.encode(), self._sign(end).encode())
        return known and end.isdigit() and int(end) > self._now()

    def _is_token(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())

    def _sign(self, end: str) -> str:
        key = (self._token or "").encode()
        return hmac.new(key, f"edge_daemon session until {end}".encode(), hashlib.sha256).hexdigest()
