"""Where requests come in: each is checked, limited, recognised when it comes twice, and passed on."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from msgspec.structs import replace

from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.requests import Refusal, Request, ReturnAddress, read_request
from edge_daemon.mqtt.topics import Topics
from edge_daemon.system.rate_limit import RateLimit

logger = logging.getLogger(__name__)

_BURST = 20.0
_REMEMBERED = 256
_REMEMBERED_S = 60.0


class RequestHandler:
    """Turns incoming messages into commands for `submit`, which returns False when it has no room.

    At most `per_s` requests a second in the long run (0: no limit) and 20 at once are taken. A
    request that can be recognised, by its transaction or correlation data, is executed once even if
    its sender delivers it twice within a minute, as QoS 1 allows. Belongs to one thread.
    """

    def __init__(self, topics: Topics, submit: Callable[[Request], bool], per_s: float) -> None:
        self._topics = topics
        self._submit = submit
        self._per_s = per_s
        self._limit = RateLimit(per_s, _BURST)
        self._limit_told = False
        self._taken_s: OrderedDict[tuple[str, bytes, bytes | None], float] = OrderedDict()

    def take(self, incoming: Incoming, now_s: float) -> Refusal | None:
        """Pass a request on at `now_s` (monotonic); return what its sender must be told at once, if anything.

        A stored request is ignored: it would be executed again at every start.
        """
        verb = self._topics.verb(incoming.topic)
        if verb is None or incoming.retained:
            logger.debug("ignored a message at %s", incoming.topic)
            return None
        if not self._limit.allows(now_s):
            return self._over_limit(verb)
        self._limit_told = False
        asked = read_request(verb, incoming.payload, self._topics.regions, now_s)
        if incoming.response_topic is not None or incoming.correlation is not None:
            asked = self._addressed(asked, incoming)
        if isinstance(asked, Refusal):
            return asked
        return self._pass_on(verb, asked, incoming, now_s)

    def _pass_on(self, verb: str, asked: Request, incoming: Incoming, now_s: float) -> Refusal | None:
        known_by = (verb, incoming.payload, incoming.correlation)
        if now_s - self._taken_s.get(known_by, -_REMEMBERED_S) < _REMEMBERED_S:
            error = "this request was taken already; give each one a transaction of its own"
            return Refusal(verb, error, asked.origin.transaction)
        if not self._submit(asked):
            return Refusal(verb, "the device is busy; ask again", asked.origin.transaction)
        if _can_be_recognised(asked.origin.transaction):
            self._taken_s[known_by] = now_s
            self._taken_s.move_to_end(known_by)
            while len(self._taken_s) > _REMEMBERED:
                self._taken_s.popitem(last=False)
        return None

    def _over_limit(self, verb: str) -> Refusal | None:
        """Tell it once: answering a flood would make a second one."""
        told, self._limit_told = self._limit_told, True
        return None if told else Refusal(verb, f"too many requests; at most {self._per_s:g} a second")

    def _addressed(self, asked: Request | Refusal, incoming: Incoming) -> Request | Refusal:
        """Note the MQTT 5 return address, so that it comes back with the reply."""
        transaction = asked.transaction if isinstance(asked, Refusal) else asked.origin.transaction
        verb = asked.verb if isinstance(asked, Refusal) else asked.origin.name
        topic = incoming.response_topic or self._topics.response(verb)
        if not self._topics.may_answer_at(topic):
            return Refusal(verb, f"no answer can be sent to {topic[:80]!r}", transaction)
        address = ReturnAddress(topic, incoming.correlation, transaction)
        if isinstance(asked, Refusal):
            return replace(asked, transaction=address)
        return replace(asked, origin=replace(asked.origin, transaction=address))


def _can_be_recognised(transaction: object) -> bool:
    """Return whether a sender has marked its request; a return address alone marks nothing."""
    if isinstance(transaction, ReturnAddress):
        return transaction.transaction is not None or transaction.correlation is not None
    return transaction is not None
