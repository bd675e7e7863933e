"""The mailbox: the latest frame wins, queues are bounded, and a wait ends with new content."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import numpy as np

from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.domain.commands import Origin, Undo
from edge_daemon.domain.events import Ready
from edge_daemon.domain.types import Frame


def frame(seq: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), seq, float(seq), datetime.now(UTC))


def test_latest_frame_wins() -> None:
    mailbox = Mailbox()
    for seq in range(5):
        assert mailbox.put_frame(frame(seq))
    batch = mailbox.take_all(0)
    assert batch.frame is not None
    assert batch.frame.seq == 4
    assert mailbox.replaced == 4
    assert mailbox.take_all(0).frame is None


def test_lossless_frame_waits_for_an_empty_slot() -> None:
    mailbox = Mailbox()
    mailbox.put_frame(frame(0))
    assert not mailbox.put_frame(frame(1), wait_s=0.01)
    done = threading.Event()

    def put() -> None:
        mailbox.put_frame(frame(1), wait_s=10)
        done.set()

    threading.Thread(target=put).start()
    taken = [mailbox.take_all(10).frame, mailbox.take_all(10).frame]
    assert [each.seq for each in taken if each] == [0, 1]
    assert done.wait(10)


def test_full_queue_rejects_instructions_and_keeps_their_order() -> None:
    mailbox = Mailbox(max_queued=3)
    presses = [Undo(Origin("gpio", str(number))) for number in range(5)]
    assert [mailbox.submit(press) for press in presses] == [True, True, True, False, False]
    assert mailbox.take_all(0).instructions == presses[:3]
    assert mailbox.submit(presses[4])


def test_instructions_that_belong_together_are_queued_all_or_none() -> None:
    mailbox = Mailbox(max_queued=3)
    presses = [Undo(Origin("gpio", str(number))) for number in range(4)]
    assert mailbox.submit(*presses[:2])
    assert not mailbox.submit(*presses[2:])
    assert mailbox.take_all(0).instructions == presses[:2]


def test_a_wait_for_the_pipeline_ends_with_its_next_turn_or_its_time() -> None:
    mailbox = Mailbox()
    mailbox.take_all(0)
    assert not mailbox.wait_taken(0.01)
    turns = threading.Timer(0.05, mailbox.take_all, [0])
    turns.start()
    assert mailbox.wait_taken(10)
    turns.join()


def test_events_and_end_wake_the_waiting_thread() -> None:
    mailbox = Mailbox()
    mailbox.announce(Ready())
    assert mailbox.take_all(10).events == [Ready()]
    mailbox.end()
    assert mailbox.take_all(10).ended
    assert not mailbox.take_all(0).ended


def test_first_crash_is_reported_and_kept() -> None:
    mailbox = Mailbox()
    first = ZeroDivisionError("first")
    mailbox.crashed(first)
    mailbox.crashed(ValueError("second"))
    assert mailbox.take_all(10).crash is first
    assert mailbox.take_all(0).crash is first
