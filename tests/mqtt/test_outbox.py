from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.outbox import Outbox, QueuedMessage
from edge_daemon.mqtt.persistent_queue import PersistentQueue

WINDOW = 20


def retained(topic: str, text: str) -> Message:
    return Message(topic, text.encode(), 1, retain=True)


def event(number: int) -> Message:
    return Message("event", str(number).encode(), 1, retain=False)


def telemetry(number: int) -> Message:
    return Message("result", str(number).encode(), 0, retain=False, telemetry=True)


def make_outbox(max_queued: int, path: Path | None = None) -> Outbox:
    return Outbox(max_queued, PersistentQueue(path, max_queued))


def send_all(outbox: Outbox) -> list[str]:
    """Send and acknowledge all messages; return their payloads."""
    texts: list[str] = []
    while queued := outbox.next(WINDOW, 0.0):
        outbox.sent(queued, len(texts))
        outbox.acknowledged(len(texts))
        texts.append(queued.message.payload.decode())
    return texts


def test_after_a_connect_the_last_retained_value_of_each_topic_is_sent_before_events() -> None:
    outbox = make_outbox(10)
    for message in (retained("a", "old"), event(1), retained("b", "b"), retained("a", "new")):
        outbox.put(message)
    outbox.connected()
    assert send_all(outbox) == ["new", "b", "1"]


def test_while_connected_every_retained_change_is_sent_in_order() -> None:
    outbox = make_outbox(10)
    outbox.connected()
    for message in (retained("a", "x"), event(1), retained("a", "y")):
        outbox.put(message)
    assert send_all(outbox) == ["x", "1", "y"]


def test_retained_messages_are_resent_after_each_connect() -> None:
    outbox = make_outbox(10)
    outbox.put(retained("a", "x"))
    for _ in range(2):
        outbox.connected()
        assert send_all(outbox) == ["x"]
        outbox.disconnected()


def test_the_retained_messages_are_sent_again_on_demand_each_once() -> None:
    outbox = make_outbox(10)
    outbox.put(retained("a", "x"))
    outbox.resend_retained()  # no connection: they are sent with the next one
    outbox.connected()
    assert send_all(outbox) == ["x"]
    outbox.put(event(1))
    for _ in range(1000):  # while the broker takes nothing, they do not pile up
        outbox.resend_retained()
    outbox.put(retained("b", "y"))
    outbox.resend_retained()
    assert send_all(outbox) == ["1", "x", "y"]


def test_unacknowledged_events_are_resent_in_order_but_no_older_retained_value() -> None:
    outbox = make_outbox(10)
    outbox.connected()
    for message in (event(1), retained("a", "old"), event(2)):
        outbox.put(message)
    for mid in range(3):
        queued = outbox.next(WINDOW, 0.0)
        assert queued is not None
        outbox.sent(queued, mid)
    outbox.acknowledged(0)
    outbox.put(event(3))
    outbox.disconnected()
    outbox.put(retained("a", "new"))
    outbox.connected()
    assert send_all(outbox) == ["new", "2", "3"]


def test_above_the_limit_the_oldest_event_is_dropped_and_counted() -> None:
    outbox = make_outbox(3)
    for number in range(5):
        outbox.put(event(number))
    outbox.connected()
    assert send_all(outbox) == ["2", "3", "4"]
    assert outbox.pop_dropped_count() == 2
    assert outbox.pop_dropped_count() == 0


def test_the_current_retained_value_is_never_dropped() -> None:
    outbox = make_outbox(2)
    outbox.connected()
    outbox.put(retained("a", "holds"))
    for number in range(6):
        outbox.put(event(number))
    assert "holds" in send_all(outbox)


def test_telemetry_is_dropped_while_there_is_no_connection() -> None:
    outbox = make_outbox(10)
    outbox.put(telemetry(1))
    outbox.connected()
    outbox.put(telemetry(2))
    assert send_all(outbox) == ["2"]


def test_blocked_telemetry_keeps_the_newest() -> None:
    outbox = make_outbox(10)
    outbox.connected()
    for number in range(1000):
        outbox.put(telemetry(number))
    assert send_all(outbox) == [str(number) for number in range(900, 1000)]


def test_the_window_limits_unacknowledged_messages_but_not_telemetry() -> None:
    outbox = make_outbox(1000)
    outbox.connected()
    for number in range(WINDOW + 5):
        outbox.put(event(number))
    for mid in range(WINDOW):
        queued = outbox.next(WINDOW, 0.0)
        assert queued is not None
        outbox.sent(queued, mid)
    assert outbox.next(WINDOW, 0.0) is None
    outbox.put(telemetry(1))
    assert outbox.next(WINDOW, 0.0) == QueuedMessage(telemetry(1))
    outbox.acknowledged(0)
    assert outbox.next(WINDOW, 0.0) == QueuedMessage(event(WINDOW))


def test_it_is_idle_once_all_messages_are_acknowledged() -> None:
    outbox = make_outbox(10)
    outbox.connected()
    outbox.put(event(1))
    assert not outbox.idle
    message = outbox.next(WINDOW, 0.0)
    assert message is not None
    outbox.sent(message, 9)
    assert not outbox.idle
    outbox.acknowledged(9)
    assert outbox.idle


def test_events_of_an_outage_survive_a_restart_in_order(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    first = make_outbox(10, path)
    for number in range(3):
        first.put(event(number))
        first.persist()
    second = make_outbox(10, path)
    second.put(event(3))
    second.put(retained("a", "x"))
    second.connected()
    assert send_all(second) == ["x", "0", "1", "2", "3"]
    assert second.idle
    third = make_outbox(10, path)
    third.connected()
    assert send_all(third) == []


def test_stored_events_that_were_not_acknowledged_are_sent_again(tmp_path: Path) -> None:
    outbox = make_outbox(10, tmp_path / "events.sqlite")
    for number in range(3):
        outbox.put(event(number))
    outbox.persist()
    outbox.connected()
    for mid in range(2):
        queued = outbox.next(WINDOW, 0.0)
        assert queued is not None
        outbox.sent(queued, mid)
    outbox.acknowledged(0)
    outbox.put(event(3))
    outbox.disconnected()
    outbox.connected()
    assert send_all(outbox) == ["1", "2", "3"]


def test_unacknowledged_events_are_persisted_when_the_connection_ends(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    outbox = make_outbox(10, path)
    outbox.connected()
    outbox.put(event(1))
    outbox.put(retained("a", "x"))
    queued = outbox.next(WINDOW, 0.0)
    assert queued is not None
    outbox.sent(queued, 1)
    outbox.disconnected()
    assert len(PersistentQueue(path, 10)) == 1


def test_stored_events_are_deleted_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deletions: list[int] = []
    delete = PersistentQueue.delete_finished

    def counted(self: PersistentQueue) -> None:
        deletions.append(self.finished)
        delete(self)

    monkeypatch.setattr(PersistentQueue, "delete_finished", counted)
    outbox = make_outbox(1000, tmp_path / "events.sqlite")
    for number in range(250):
        outbox.put(event(number))
    outbox.persist()
    outbox.connected()
    assert len(send_all(outbox)) == 250
    assert [number for number in deletions if number] == [100, 100, 50]
    assert outbox.idle


def test_a_failed_attempt_to_connect_persists_nothing(tmp_path: Path) -> None:
    outbox = make_outbox(10, tmp_path / "events.sqlite")
    outbox.put(event(1))
    outbox.disconnected()
    assert len(PersistentQueue(tmp_path / "events.sqlite", 10)) == 0
    outbox.connected()
    assert send_all(outbox) == ["1"]


def test_a_response_is_not_persisted(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    outbox = make_outbox(10, path)
    outbox.put(Message("response", b"{}", 1, retain=False, expiry_s=60))
    outbox.persist()
    assert len(PersistentQueue(path, 10)) == 0
    outbox.connected()
    assert send_all(outbox) == ["{}"]


def test_on_disk_the_oldest_is_dropped_and_counted_too(tmp_path: Path) -> None:
    outbox = make_outbox(3, tmp_path / "events.sqlite")
    for number in range(5):
        outbox.put(event(number))
        outbox.persist()
    outbox.connected()
    assert send_all(outbox) == ["2", "3", "4"]
    assert outbox.pop_dropped_count() == 2


def test_a_full_disk_is_logged_once_and_loses_no_event(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: PersistentQueue, messages: list[Message], held: list[Message], *, may_move: bool) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    outbox = make_outbox(10)
    outbox.put(event(1))
    with monkeypatch.context() as patch:
        patch.setattr(PersistentQueue, "store", full)
        outbox.persist()
        outbox.put(event(2))
        outbox.persist()
    outbox.connected()
    assert send_all(outbox) == ["1", "2"]
    assert caplog.text.count("disk is full") == 1
