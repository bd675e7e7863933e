"""Events that the broker can't take now: they wait, are tried again, and keep their order."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.outbox import Outbox, QueuedMessage
from edge_daemon.mqtt.persistent_queue import PersistentQueue
from tests.harness.outbox_sender import WINDOW, OutboxSender, event, put


def retained(topic: str, text: str) -> Message:
    return Message(topic, text.encode(), 1, retain=True)


def make_outbox(path: Path | None = None) -> Outbox:
    return Outbox(100, PersistentQueue(path, 100))


def send_all(outbox: Outbox) -> list[str]:
    return OutboxSender(outbox).send_all()


def deferred_outbox() -> tuple[Outbox, QueuedMessage]:
    """Return an outbox whose first of two events was deferred at 0 s, and the event that is tried again."""
    outbox = make_outbox()
    outbox.connected()
    outbox.put(event(1))
    outbox.put(event(2))
    first = outbox.next(WINDOW, 0.0)
    assert first is not None
    outbox.sent(first, 1)
    outbox.defer(1, 0.0)
    assert outbox.next(WINDOW, 0.5) is None
    probe = outbox.next(WINDOW, 1.0)
    assert probe is not None
    assert probe.message == event(1)
    assert outbox.next(WINDOW, 99.0) is None  # alone until it is answered
    return outbox, probe


def test_deferred_events_follow_once_the_first_is_acknowledged() -> None:
    outbox, probe = deferred_outbox()
    outbox.sent(probe, 2)
    outbox.acknowledged(2)
    assert send_all(outbox) == ["2"]


def test_a_deferred_event_that_cannot_be_sent_holds_nothing_up() -> None:
    outbox, probe = deferred_outbox()
    outbox.drop(probe)
    assert send_all(outbox) == ["2"]


def test_a_deferred_event_that_is_too_long_is_tried_again_shortened() -> None:
    outbox, probe = deferred_outbox()
    outbox.sent(probe, 2)
    outbox.retry(2)
    assert outbox.next(WINDOW, 1.0) == probe


def test_pauses_grow_and_state_goes_on() -> None:
    outbox, probe = deferred_outbox()
    outbox.sent(probe, 2)
    outbox.defer(2, 1.0)
    assert outbox.next(WINDOW, 2.5) is None
    outbox.put(retained("a", "x"))
    assert outbox.next(WINDOW, 2.5) == QueuedMessage(retained("a", "x"))
    assert outbox.next(WINDOW, 3.0) == probe


@pytest.mark.parametrize("is_deferred_again", [False, True])
def test_the_event_that_is_tried_again_stays_the_first(is_deferred_again: bool) -> None:
    outbox = make_outbox()
    outbox.connected()
    for mid in (1, 2, 3):
        outbox.put(event(mid))
        queued = outbox.next(WINDOW, 0.0)
        assert queued is not None
        outbox.sent(queued, mid)
    outbox.defer(1, 0.0)
    probe = outbox.next(WINDOW, 1.0)  # the broker has not answered the others yet
    assert probe is not None
    outbox.sent(probe, 4)
    outbox.defer(2, 1.0)
    if is_deferred_again:
        outbox.defer(4, 1.0)
    outbox.disconnected()
    outbox.connected()
    assert send_all(outbox) == ["1", "2", "3"]


def test_a_deferred_message_of_somebody_else_defers_no_event() -> None:
    outbox = make_outbox()
    outbox.connected()
    outbox.put(event(1))
    outbox.defer(77, 0.0)
    assert send_all(outbox) == ["1"]


def test_a_retained_value_that_was_replaced_while_it_waited_is_not_sent() -> None:
    outbox = make_outbox()
    outbox.connected()
    sender = OutboxSender(outbox)
    outbox.put(retained("a", "old"))
    outbox.defer(sender.send() or 0, 0.0)
    outbox.put(retained("a", "new"))
    outbox.put(event(1))
    assert sender.send_all(0.5) == ["new"]
    assert sender.send_all(1.0) == ["1"]


@pytest.mark.parametrize("is_too_long", [False, True])
def test_a_retained_value_that_was_replaced_while_it_was_tried_again_is_not_sent(is_too_long: bool) -> None:
    outbox = make_outbox()
    outbox.connected()
    sender = OutboxSender(outbox)
    outbox.put(retained("a", "old"))
    outbox.defer(sender.send() or 0, 0.0)
    probe = sender.send(1.0) or 0
    outbox.put(retained("a", "new"))
    if is_too_long:
        outbox.retry(probe)
    else:
        outbox.defer(probe, 1.0)
    assert sender.send_all(9.0) == ["new"]
    assert sender.send_all(99.0) == []
    assert outbox.idle


def test_a_retained_value_that_is_the_current_one_is_tried_again() -> None:
    outbox = make_outbox()
    outbox.connected()
    sender = OutboxSender(outbox)
    outbox.put(retained("a", "x"))
    outbox.defer(sender.send() or 0, 0.0)
    assert sender.send_all(1.0) == ["x"]


def sent_and_deferred(outbox: Outbox, count: int) -> OutboxSender:
    """Send `count` events and defer all of them at 0 s."""
    outbox.connected()
    sender = OutboxSender(outbox)
    for mid in [sender.send() for _ in range(count)]:
        assert mid is not None
        outbox.defer(mid, 0.0)
    return sender


@pytest.mark.parametrize("is_disconnected", [False, True])
def test_events_that_are_refused_again_stay_before_those_that_follow(is_disconnected: bool) -> None:
    outbox = make_outbox()
    put(outbox, *range(5))
    sender = sent_and_deferred(outbox, 5)
    outbox.acknowledged(sender.send(1.0) or 0)  # the broker takes the first, but not those that follow
    again = [sender.send(1.0) or 0, sender.send(1.0) or 0]
    outbox.defer(again[0], 1.0)
    if is_disconnected:
        outbox.disconnected()
        outbox.connected()
    else:
        outbox.defer(again[1], 1.0)
    sender.sent.clear()
    sender.send_all(99.0)
    assert sender.sent == ["1", "2", "3", "4"]


def test_answers_that_come_while_the_first_is_tried_again_keep_the_order() -> None:
    outbox = make_outbox()
    outbox.connected()
    put(outbox, *range(4))
    sender = OutboxSender(outbox)
    mids = [sender.send() or 0 for _ in range(4)]
    for mid in mids[:2]:
        outbox.defer(mid, 0.0)
    probe = sender.send(1.0) or 0
    outbox.defer(mids[2], 1.0)
    outbox.defer(probe, 1.0)
    outbox.defer(mids[3], 1.0)
    sender.sent.clear()
    sender.send_all(99.0)
    assert sender.sent == ["0", "1", "2", "3"]


def damage(path: Path) -> None:
    """Overwrite all pages of a queue but the first, as a worn-out card does."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))


def payloads(path: Path) -> list[str]:
    with closing(PersistentQueue(path, 100)) as queue:
        return [read[1].payload.decode() for read in iter(queue.next, None)]


@pytest.mark.parametrize("batches", [1, 2])
def test_deferred_events_of_a_file_that_became_damaged_are_kept(tmp_path: Path, batches: int) -> None:
    path = tmp_path / "events.sqlite"
    outbox = make_outbox(path)
    put(outbox, *range(5))
    outbox.persist()
    sender = sent_and_deferred(outbox, 5)
    damage(path)
    for batch in range(1, 1 + batches):
        put(outbox, 100 * batch, 100 * batch + 1)
        outbox.persist_unsent(100.0 * batch)
    assert list(tmp_path.glob("*.damaged-1"))
    expected = ["0", "1", "2", "3", "4", "100", "101", "200", "201"][: 5 + 2 * batches]
    assert payloads(path) == expected  # a power cut now loses none
    sender.sent.clear()
    sender.send_all(1000.0)
    assert sender.sent == expected
    assert outbox.idle
    assert payloads(path) == []


def test_events_in_flight_of_a_file_that_became_damaged_survive_the_end_of_the_connection(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.sqlite"
    outbox = make_outbox(path)
    put(outbox, *range(5))
    outbox.persist()
    outbox.connected()
    sender = OutboxSender(outbox)
    mids = [sender.send() or 0 for _ in range(4)]
    damage(path)
    outbox.acknowledged(mids[0])
    outbox.disconnected()  # deletes the row of the first, which finds the damage
    assert list(tmp_path.glob("*.damaged-1"))
    assert payloads(path) == ["1", "2", "3"]
    outbox.connected()
    assert send_all(outbox) == ["1", "2", "3"]


@pytest.mark.parametrize("waiting", [[], [100]])
def test_events_in_flight_survive_a_file_that_is_found_damaged_as_the_connection_ends(
    tmp_path: Path, waiting: list[int]
) -> None:
    path = tmp_path / "events.sqlite"
    outbox = make_outbox(path)
    put(outbox, *range(4))
    outbox.persist()
    outbox.connected()
    sender = OutboxSender(outbox)
    assert [sender.send() for _ in range(4)] == [1, 2, 3, 4]
    put(outbox, *waiting)
    damage(path)
    outbox.disconnected()
    assert list(tmp_path.glob("*.damaged-1"))
    expected = ["0", "1", "2", "3", *map(str, waiting)]
    assert payloads(path) == expected
    outbox.connected()
    assert send_all(outbox) == expected
