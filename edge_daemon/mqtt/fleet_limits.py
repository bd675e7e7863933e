"""Limits of the work that a sender of fleet messages can cause."""

from __future__ import annotations

from collections import OrderedDict

from edge_daemon.system.rate_limit import RateLimit

CALM_S = 30.0
"""Time without a dropped message after which the retained messages are requested again."""

_LOG_PER_S = 1 / 60
_KNOWN_PER_S, _KNOWN_BURST = 20.0, 1000.0  # twice all chunks of a peer at once
_UNKNOWN_PER_S, _UNKNOWN_BURST_PER_PEER = 2.0, 4.0
_MAX_LOGGED = 64


class FleetLimits:
    """Limits the work that a sender can cause. Belongs to the thread that owns the connection.

    A device gets a separate rate limit once one of its records was signed with the group's key; all other
    devices share one. A sender without the key causes at most a few signature checks a second, whichever
    device names it makes up.
    """

    def __init__(self, max_peers: int) -> None:
        self._max_known = 4 * max_peers
        self._known: OrderedDict[str, RateLimit] = OrderedDict()
        self._unknown = RateLimit(_UNKNOWN_PER_S, _UNKNOWN_BURST_PER_PEER * max_peers)
        self._logged: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._log: dict[str, RateLimit] = {}
        self._dropped_s: float | None = None

    def allows(self, device: str, now_s: float) -> bool:
        """Return whether a message of `device` may be checked at `now_s` (monotonic), and count it."""
        allowed = self._known.get(device, self._unknown).allows(now_s)
        if not allowed:
            self._dropped_s = now_s
        return allowed

    def trust(self, device: str) -> None:
        """Give a device with the key a separate rate limit; its next rejections may be logged again."""
        self._logged = OrderedDict.fromkeys(entry for entry in self._logged if entry[0] != device)
        if device not in self._known:
            self._known[device] = RateLimit(_KNOWN_PER_S, _KNOWN_BURST)
            if len(self._known) > self._max_known:
                self._known.popitem(last=False)

    def pop_calm(self, now_s: float) -> bool:
        """Return once whether messages were dropped, after 30 s without another."""
        calm = self._dropped_s is not None and now_s - self._dropped_s >= CALM_S
        if calm:
            self._dropped_s = None
        return calm

    def may_log(self, device: str, reason: str, now_s: float) -> bool:
        """Return whether to log a rejection: once per device and reason, once a minute per reason."""
        if (device, reason) in self._logged:
            return False
        if not self._log.setdefault(reason, RateLimit(_LOG_PER_S)).allows(now_s):
            return False
        self._logged[device, reason] = None
        if len(self._logged) > _MAX_LOGGED:
            self._logged.popitem(last=False)
        return True
