"""Rates of the fleet's incoming messages, checked before any signature."""

from __future__ import annotations

from collections import OrderedDict

from edge_daemon.mqtt.rate import RateLimit

CALM_S = 30.0
"""How long no message has been dropped before the retained ones are asked for again."""

_LOG_PER_S = 1 / 60
_KNOWN_PER_S, _KNOWN_BURST = 20.0, 1000.0  # all chunks of a peer, twice over, at once
_UNKNOWN_PER_S, _UNKNOWN_BURST_PER_PEER = 2.0, 4.0
_MAX_LOGGED = 64


class FleetLimits:
    """Bounds the work that a sender can cause. Belongs to the thread that owns the connection.

    A device has a rate of its own once a record of it was signed with the group's key; all others share one.
    So somebody without the key costs at most a few checks a second, whatever device names he invents.
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
        """Give a device that has the key a rate of its own; its next refusals may be logged again."""
        self._logged = OrderedDict.fromkeys(entry for entry in self._logged if entry[0] != device)
        if device not in self._known:
            self._known[device] = RateLimit(_KNOWN_PER_S, _KNOWN_BURST)
            if len(self._known) > self._max_known:
                self._known.popitem(last=False)

    def has_calmed(self, now_s: float) -> bool:
        """Return whether messages were dropped and none has been for 30 s; true once."""
        calmed = self._dropped_s is not None and now_s - self._dropped_s >= CALM_S
        if calmed:
            self._dropped_s = None
        return calmed

    def may_log(self, device: str, reason: str, now_s: float) -> bool:
        """Return whether to log a refusal: each device's reason once, each reason at most once a minute."""
        if (device, reason) in self._logged:
            return False
        if not self._log.setdefault(reason, RateLimit(_LOG_PER_S)).allows(now_s):
            return False
        self._logged[device, reason] = None
        if len(self._logged) > _MAX_LOGGED:
            self._logged.popitem(last=False)
        return True
