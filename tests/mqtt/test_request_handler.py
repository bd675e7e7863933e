from __future__ import annotations

from edge_daemon.domain.commands import Clear, Origin, Undo
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.request_handler import RequestHandler
from edge_daemon.mqtt.requests import RejectedRequest, Request, ReturnAddress
from edge_daemon.mqtt.topics import device_topics


class RequestHarness:
    """A request handler and the commands that it submitted."""

    def __init__(self, per_s: float = 0.0) -> None:
        self.commands: list[Request] = []
        self.busy = False
        self._handler = RequestHandler(device_topics("b", "x", ["frame"]), self._submit, per_s)

    def send(
        self,
        payload: bytes = b"{}",
        verb: str = "undo",
        now_s: float = 0.0,
        retained: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> RejectedRequest | None:
        topic = f"b/request/{verb}"
        return self._handler.handle(Incoming(topic, payload, retained, response_topic, correlation), now_s)

    def _submit(self, command: Request) -> bool:
        if not self.busy:
            self.commands.append(command)
        return not self.busy


def test_a_request_is_submitted() -> None:
    harness = RequestHarness()
    assert harness.send(b'{"transaction": 1}') is None
    assert harness.commands == [Undo(Origin("mqtt", "undo", 1))]


def test_a_retained_request_is_ignored() -> None:
    harness = RequestHarness()
    assert harness.send(retained=True) is None
    assert harness.commands == []


def test_a_request_delivered_twice_is_executed_once() -> None:
    harness = RequestHarness()
    harness.send(b'{"transaction": 1}')
    again = harness.send(b'{"transaction": 1}', now_s=59.0)
    assert again is not None
    assert "executed already" in again.error
    assert again.transaction == 1
    assert len(harness.commands) == 1


def test_after_a_minute_a_transaction_may_be_used_again() -> None:
    harness = RequestHarness()
    harness.send(b'{"transaction": 1}')
    assert harness.send(b'{"transaction": 1}', now_s=60.0) is None
    assert len(harness.commands) == 2


def test_requests_that_differ_or_have_no_transaction_are_all_executed() -> None:
    harness = RequestHarness()
    harness.send()
    harness.send()
    harness.send(b'{"transaction": 1}')
    harness.send(b'{"transaction": 2}')
    harness.send(b'{"transaction": 1}', verb="clear")
    assert len(harness.commands) == 5
    assert isinstance(harness.commands[-1], Clear)


def test_correlation_data_identifies_a_request_too() -> None:
    harness = RequestHarness()
    for correlation in (b"1", b"1", b"2"):
        harness.send(response_topic="reply/me", correlation=correlation)
    assert len(harness.commands) == 2


def test_two_clients_may_use_the_same_correlation_data() -> None:
    harness = RequestHarness()
    for client in ("a", "b"):
        assert harness.send(response_topic=f"reply/{client}", correlation=b"1") is None
    assert len(harness.commands) == 2


def test_a_request_to_a_busy_device_may_be_repeated() -> None:
    harness = RequestHarness()
    harness.busy = True
    rejected = harness.send(b'{"transaction": 1}')
    assert rejected == RejectedRequest("undo", "the device is busy; send the request again", 1)
    harness.busy = False
    assert harness.send(b'{"transaction": 1}') is None
    assert len(harness.commands) == 1


def test_a_flood_is_limited_and_reported_once() -> None:
    harness = RequestHarness(per_s=10.0)
    answers = [harness.send(now_s=0.0) for _ in range(1000)]
    assert len(harness.commands) == 20
    assert [answer for answer in answers if answer] == [
        RejectedRequest("undo", "too many requests; at most 10 a second")
    ]
    assert harness.send(now_s=1.0) is None
    assert len(harness.commands) == 21


def test_the_refusal_above_the_limit_goes_to_its_request() -> None:
    harness = RequestHarness(per_s=10.0)
    for _ in range(20):
        harness.send()
    refused = harness.send(b'{"transaction": 5}', response_topic="reply/me", correlation=b"c")
    assert refused is not None
    assert "too many requests" in refused.error
    assert refused.transaction == ReturnAddress("reply/me", b"c", 5)


def test_the_return_address_is_passed_with_the_command() -> None:
    harness = RequestHarness()
    harness.send(b'{"transaction": 5}', response_topic="reply/me", correlation=b"\0")
    assert harness.commands[0].origin.transaction == ReturnAddress("reply/me", b"\0", 5)


def test_correlation_without_a_response_topic_is_returned_at_the_default_topic() -> None:
    harness = RequestHarness()
    rejected = harness.send(b"no json", correlation=b"c")
    assert rejected is not None
    assert rejected.transaction == ReturnAddress("b/response/undo", b"c", None)


def test_a_response_at_a_state_topic_of_the_device_is_rejected() -> None:
    harness = RequestHarness()
    for topic in ("b/label", "b/request/clear", "a/#", "$SYS/x", "x" * 600):
        rejected = harness.send(response_topic=topic)
        assert rejected is not None
        assert "no answer can be sent" in rejected.error
    assert harness.commands == []


def test_a_return_address_alone_identifies_no_request() -> None:
    harness = RequestHarness()
    for _ in range(3):
        assert harness.send(response_topic="reply/me") is None
    assert len(harness.commands) == 3


def test_an_empty_payload_is_an_empty_object() -> None:
    harness = RequestHarness()
    assert harness.send(b"") is None
    assert harness.commands == [Undo(Origin("mqtt", "undo"))]
    rejected = harness.send(b"", verb="add")
    assert rejected is not None
    assert "'label'" in rejected.error
