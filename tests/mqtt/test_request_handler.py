from __future__ import annotations

from edge_daemon.domain.commands import Clear, Origin, Undo
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.request_handler import RequestHandler
from edge_daemon.mqtt.requests import Refusal, Request, ReturnAddress
from edge_daemon.mqtt.topics import device_topics


class Desk:
    """A reception and the commands it passed on."""

    def __init__(self, per_s: float = 0.0) -> None:
        self.commands: list[Request] = []
        self.busy = False
        self._reception = RequestHandler(device_topics("b", "x", ["frame"]), self._submit, per_s)

    def take(
        self,
        payload: bytes = b"{}",
        verb: str = "undo",
        now_s: float = 0.0,
        retained: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> Refusal | None:
        topic = f"b/request/{verb}"
        return self._reception.take(Incoming(topic, payload, retained, response_topic, correlation), now_s)

    def _submit(self, command: Request) -> bool:
        if not self.busy:
            self.commands.append(command)
        return not self.busy


def test_a_request_is_passed_on() -> None:
    desk = Desk()
    assert desk.take(b'{"transaction": 1}') is None
    assert desk.commands == [Undo(Origin("mqtt", "undo", 1))]


def test_a_stored_request_is_ignored() -> None:
    desk = Desk()
    assert desk.take(retained=True) is None
    assert desk.commands == []


def test_a_request_delivered_twice_is_executed_once() -> None:
    desk = Desk()
    desk.take(b'{"transaction": 1}')
    again = desk.take(b'{"transaction": 1}', now_s=59.0)
    assert again is not None
    assert "taken already" in again.error
    assert again.transaction == 1
    assert len(desk.commands) == 1


def test_after_a_minute_a_transaction_may_be_used_again() -> None:
    desk = Desk()
    desk.take(b'{"transaction": 1}')
    assert desk.take(b'{"transaction": 1}', now_s=60.0) is None
    assert len(desk.commands) == 2


def test_requests_that_differ_or_can_t_be_recognised_are_all_executed() -> None:
    desk = Desk()
    desk.take()
    desk.take()
    desk.take(b'{"transaction": 1}')
    desk.take(b'{"transaction": 2}')
    desk.take(b'{"transaction": 1}', verb="clear")
    assert len(desk.commands) == 5
    assert isinstance(desk.commands[-1], Clear)


def test_correlation_data_recognises_a_request_too() -> None:
    desk = Desk()
    for correlation in (b"1", b"1", b"2"):
        desk.take(response_topic="reply/me", correlation=correlation)
    assert len(desk.commands) == 2


def test_a_request_that_found_no_room_may_be_repeated() -> None:
    desk = Desk()
    desk.busy = True
    refusal = desk.take(b'{"transaction": 1}')
    assert refusal == Refusal("undo", "the device is busy; ask again", 1)
    desk.busy = False
    assert desk.take(b'{"transaction": 1}') is None
    assert len(desk.commands) == 1


def test_a_flood_is_cut_and_told_once() -> None:
    desk = Desk(per_s=10.0)
    answers = [desk.take(now_s=0.0) for _ in range(1000)]
    assert len(desk.commands) == 20
    assert [answer for answer in answers if answer] == [
        Refusal("undo", "too many requests; at most 10 a second")
    ]
    assert desk.take(now_s=1.0) is None
    assert len(desk.commands) == 21


def test_the_return_address_goes_with_the_command() -> None:
    desk = Desk()
    desk.take(b'{"transaction": 5}', response_topic="reply/me", correlation=b"\0")
    assert desk.commands[0].origin.transaction == ReturnAddress("reply/me", b"\0", 5)


def test_correlation_without_an_address_comes_back_at_the_usual_topic() -> None:
    desk = Desk()
    refusal = desk.take(b"no json", correlation=b"c")
    assert refusal is not None
    assert refusal.transaction == ReturnAddress("b/response/undo", b"c", None)


def test_an_answer_never_goes_where_the_device_tells_its_state() -> None:
    desk = Desk()
    for topic in ("b/label", "b/request/clear", "a/#", "$SYS/x", "x" * 600):
        refusal = desk.take(response_topic=topic)
        assert refusal is not None
        assert "no answer can be sent" in refusal.error
    assert desk.commands == []


def test_a_return_address_alone_marks_no_request() -> None:
    desk = Desk()
    for _ in range(3):
        assert desk.take(response_topic="reply/me") is None
    assert len(desk.commands) == 3


def test_an_empty_payload_asks_for_what_needs_nothing() -> None:
    desk = Desk()
    assert desk.take(b"") is None
    assert desk.commands == [Undo(Origin("mqtt", "undo"))]
    refusal = desk.take(b"", verb="add")
    assert refusal is not None
    assert "`label`" in refusal.error
