from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.outbox import Outbox, Sendable
from edge_daemon.mqtt.persistent_queue import PersistentQueue

WINDOW = 20


def state(topic: str, text: str) -> Message:
    return Message(topic, text.encode(), 1, retain=True)


def event(number: int) -> Message:
    return Message("event", str(number).encode(), 1, retain=False)


def stream(number: int) -> Message:
    return Message("result", str(number).encode(), 0, retain=False)


def make_outbox(max_queued: int, path: Path | None = None) -> Outbox:
    return Outbox(max_queued, PersistentQueue(path, max_queued))


def take_all(outbox: Outbox) -> list[str]:
    """Take and acknowledge everything."""
    texts: list[str] = []
    while sendable := outbox.take(WINDOW):
        outbox.sent(sendable, len(texts))
        outbox.acknowledged(len(texts))
        texts.append(sendable.message.payload.decode())
    return texts


def test_after_a_connect_only_the_last_state_of_a_topic_is_sent_and_before_events() -> None:
    outbox = make_outbox(10)
    for message in (state("a", "old"), event(1), state("b", "b"), state("a", "new")):
        outbox.put(message)
    outbox.connected()
    assert take_all(outbox) == ["new", "b", "1"]


def test_while_connected_every_change_of_a_state_is_sent_in_order() -> None:
    outbox = make_outbox(10)
    outbox.connected()
    for message in (state("a", "x"), event(1), state("a", "y")):
        outbox.put(message)
    assert take_all(outbox) == ["x", "1", "y"]


def test_states_are_sent_again_after_each_connect() -> None:
    outbox = make_outbox(10)
    outbox.put(state("a", "x"))
    for _ in range(2):
        outbox.connected()
        assert take_all(outbox) == ["x"]
        outbox.disconnected()


def test_an_unacknowledged_event_is_sent_again_in_order_but_never_an_older_state() -> None:
    outbox = make_outbox(10)
    outbox.connected()
    for message in (event(1), state("a", "old"), event(2)):
        outbox.put(message)
    for mid in range(3):
        taken = outbox.take(WINDOW)
        assert taken is not None
        outbox.sent(taken, mid)
    outbox.acknowledged(0)
    outbox.put(event(3))
    outbox.disconnected()
    outbox.put(state("a", "new"))
    outbox.connected()
    assert take_all(outbox) == ["new", "2", "3"]


def test_beyond_the_bound_the_oldest_event_is_dropped_and_counted() -> None:
    outbox = make_outbox(3)
    for number in range(5):
        outbox.put(event(number))
    outbox.connected()
    assert take_all(outbox) == ["2", "3", "4"]
    assert outbox.take_dropped() == 2
    assert outbox.take_dropped() == 0


def test_a_state_that_still_holds_is_never_dropped() -> None:
    outbox = make_outbox(2)
    outbox.connected()
    outbox.put(state("a", "holds"))
    for number in range(6):
        outbox.put(event(number))
    assert "holds" in take_all(outbox)


def test_a_stream_is_dropped_while_there_is_no_connection() -> None:
    outbox = make_outbox(10)
    outbox.put(stream(1))
    outbox.connected()
    outbox.put(stream(2))
    assert take_all(outbox) == ["2"]


def test_a_stalled_stream_keeps_the_newest() -> None:
    outbox = make_outbox(10)
    outbox.connected()
    for number in range(1000):
        outbox.put(stream(number))
    assert take_all(outbox) == [str(number) for number in range(900, 1000)]


def test_no_more_than_the_window_goes_unacknowledged_but_the_stream_flows() -> None:
    outbox = make_outbox(1000)
    outbox.connected()
    for number in range(WINDOW + 5):
        outbox.put(event(number))
    for mid in range(WINDOW):
        taken = outbox.take(WINDOW)
        assert taken is not None
        outbox.sent(taken, mid)
    assert outbox.take(WINDOW) is None
    outbox.put(stream(1))
    assert outbox.take(WINDOW) == Sendable(stream(1))
    outbox.acknowledged(0)
    assert outbox.take(WINDOW) == Sendable(event(WINDOW))


def test_it_is_idle_once_all_is_acknowledged() -> None:
    outbox = make_outbox(10)
    outbox.connected()
    outbox.put(event(1))
    assert not outbox.idle
    message = outbox.take(WINDOW)
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
        first.spill()
    second = make_outbox(10, path)
    second.put(event(3))
    second.put(state("a", "x"))
    second.connected()
    assert take_all(second) == ["x", "0", "1", "2", "3"]
    assert second.idle
    third = make_outbox(10, path)
    third.connected()
    assert take_all(third) == []


def test_stored_events_that_were_not_acknowledged_are_sent_again(tmp_path: Path) -> None:
    outbox = make_outbox(10, tmp_path / "events.sqlite")
    for number in range(3):
        outbox.put(event(number))
    outbox.spill()
    outbox.connected()
    for mid in range(2):
        taken = outbox.take(WINDOW)
        assert taken is not None
        outbox.sent(taken, mid)
    outbox.acknowledged(0)
    outbox.put(event(3))
    outbox.disconnected()
    outbox.connected()
    assert take_all(outbox) == ["1", "2", "3"]


def test_what_is_sent_but_not_acknowledged_goes_to_disk_with_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    outbox = make_outbox(10, path)
    outbox.connected()
    outbox.put(event(1))
    outbox.put(state("a", "x"))
    taken = outbox.take(WINDOW)
    assert taken is not None
    outbox.sent(taken, 1)
    outbox.disconnected()
    assert len(PersistentQueue(path, 10)) == 1


def test_stored_events_are_deleted_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deletions: list[int] = []
    remove = PersistentQueue.remove

    def counted(self: PersistentQueue, rows: list[int]) -> None:
        deletions.append(len(rows))
        remove(self, rows)

    monkeypatch.setattr(PersistentQueue, "remove", counted)
    outbox = make_outbox(1000, tmp_path / "events.sqlite")
    for number in range(250):
        outbox.put(event(number))
    outbox.spill()
    outbox.connected()
    assert len(take_all(outbox)) == 250
    assert deletions == [100, 100, 50]
    assert outbox.idle


def test_a_failed_try_to_connect_writes_nothing(tmp_path: Path) -> None:
    outbox = make_outbox(10, tmp_path / "events.sqlite")
    outbox.put(event(1))
    outbox.disconnected()
    assert len(PersistentQueue(tmp_path / "events.sqlite", 10)) == 0
    outbox.connected()
    assert take_all(outbox) == ["1"]


def test_an_answer_is_not_kept_for_a_next_life(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    outbox = make_outbox(10, path)
    outbox.put(Message("response", b"{}", 1, retain=False, expiry_s=60))
    outbox.spill()
    assert len(PersistentQueue(path, 10)) == 0
    outbox.connected()
    assert take_all(outbox) == ["{}"]


def test_on_disk_too_the_oldest_is_dropped_and_counted(tmp_path: Path) -> None:
    outbox = make_outbox(3, tmp_path / "events.sqlite")
    for number in range(5):
        outbox.put(event(number))
        outbox.spill()
    outbox.connected()
    assert take_all(outbox) == ["2", "3", "4"]
    assert outbox.take_dropped() == 2


def test_a_full_disk_is_told_once_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: PersistentQueue, messages: list[Message]) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    outbox = make_outbox(10)
    outbox.put(event(1))
    with monkeypatch.context() as patch:
        patch.setattr(PersistentQueue, "store", full)
        outbox.spill()
        outbox.put(event(2))
        outbox.spill()
    outbox.connected()
    assert take_all(outbox) == ["1", "2"]
    assert caplog.text.count("disk is full") == 1
