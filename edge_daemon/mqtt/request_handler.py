"""Request handling: rate limit, deduplication, and submission as commands."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from msgspec.structs import replace

from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.requests import RejectedRequest, Request, ReturnAddress, read_request
from edge_daemon.mqtt.topics import Topics
from edge_daemon.system.rate_limit import RateLimit

logger = logging.getLogger(__name__)

_Identity = tuple[str, bytes, str | None, bytes | None]
"""Verb, payload, response topic and correlation data: two clients may count their requests alike."""

_BURST = 20.0
_MAX_REMEMBERED = 256
_REMEMBERED_S = 60.0


class RequestHandler:
    """Turns incoming messages into commands for `submit`, which returns False when it has no room.

    At most `per_s` requests a second on average (0: no limit) and 20 at once are accepted. A request with a
    transaction or correlation data is executed once even if it is delivered twice within a minute, as QoS 1
    allows. Belongs to one thread.
    """

    def __init__(self, topics: Topics, submit: Callable[[Request], bool], per_s: float) -> None:
        self._topics = topics
        self._submit = submit
        self._per_s = per_s
        self._limit = RateLimit(per_s, _BURST)
        self._limit_reported = False
        self._retained: set[str] = set()
        self._accepted_s: OrderedDict[_Identity, float] = OrderedDict()

    @property
    def topic_filter(self) -> str:
        """Topic filter of all requests."""
        return self._topics.requests

    def handle(self, incoming: Incoming, now_s: float) -> RejectedRequest | None:
        """Submit a request received at `now_s` (monotonic); return a rejection to send, if any.

        A retained request is ignored: it would be executed again at every start. So is the empty message that
        deletes one; with MQTT 3.1.1 it looks like a request with an empty payload.
        """
        verb = self._topics.verb(incoming.topic)
        if verb is None:
            logger.debug("ignored a message at %s", incoming.topic)
            return None
        if incoming.retained:
            self._log_retained(incoming)
            return None
        if not self._limit.allows(now_s):
            return self._over_limit(verb, incoming, now_s)
        self._limit_reported = False
        request = self._read(verb, incoming, now_s)
        if isinstance(request, RejectedRequest):
            return request
        return self._submit_once(verb, request, incoming, now_s)

    def _read(self, verb: str, incoming: Incoming, now_s: float) -> Request | RejectedRequest:
        request = read_request(verb, incoming.payload, self._topics.regions, now_s)
        if incoming.response_topic is None and incoming.correlation is None:
            return request
        return self._with_return_address(request, incoming)

    def _log_retained(self, incoming: Incoming) -> None:
        """Log once that a topic holds a request."""
        if (
            incoming.payload
            and incoming.topic not in self._retained
            and len(self._retained) < _MAX_REMEMBERED
        ):
            self._retained.add(incoming.topic)
            logger.warning(
                "a retained request at %s is ignored; publish requests without the retain flag, and delete "
                "this one: `mosquitto_pub -r -n -t %s`",
                *(incoming.topic, incoming.topic),
            )

    def _submit_once(
        self, verb: str, request: Request, incoming: Incoming, now_s: float
    ) -> RejectedRequest | None:
        identity = (verb, incoming.payload, incoming.response_topic, incoming.correlation)
        if now_s - self._accepted_s.get(identity, -_REMEMBERED_S) < _REMEMBERED_S:
            error = "a request with this transaction was executed already; give each request a different one"
            return RejectedRequest(verb, error, request.origin.transaction)
        if not self._submit(request):
            return RejectedRequest(
                verb, "the device is busy; send the request again", request.origin.transaction
            )
        if _is_identifiable(request.origin.transaction):
            self._accepted_s[identity] = now_s
            self._accepted_s.move_to_end(identity)
            while len(self._accepted_s) > _MAX_REMEMBERED:
                self._accepted_s.popitem(last=False)
        return None

    def _over_limit(self, verb: str, incoming: Incoming, now_s: float) -> RejectedRequest | None:
        """Reject only the first request above the limit: answers to a flood would be a second flood."""
        if self._limit_reported:
            return None
        self._limit_reported = True
        transaction = _transaction(self._read(verb, incoming, now_s))
        return RejectedRequest(verb, f"too many requests; at most {self._per_s:g} a second", transaction)

    def _with_return_address(
        self, request: Request | RejectedRequest, incoming: Incoming
    ) -> Request | RejectedRequest:
        """Add the MQTT 5 return address, which the reply returns."""
        transaction = _transaction(request)
        verb = request.verb if isinstance(request, RejectedRequest) else request.origin.name
        topic = incoming.response_topic or self._topics.response(verb)
        if not self._topics.may_answer_at(topic):
            return RejectedRequest(verb, f"no answer can be sent to {topic[:80]!r}", transaction)
        address = ReturnAddress(topic, incoming.correlation, transaction)
        if isinstance(request, RejectedRequest):
            return replace(request, transaction=address)
        return replace(request, origin=replace(request.origin, transaction=address))


def _transaction(request: Request | RejectedRequest) -> object:
    return request.transaction if isinstance(request, RejectedRequest) else request.origin.transaction


def _is_identifiable(transaction: object) -> bool:
    """Return whether the request has a transaction or correlation data; a return address is not enough."""
    if isinstance(transaction, ReturnAddress):
        return transaction.transaction is not None or transaction.correlation is not None
    return transaction is not None
