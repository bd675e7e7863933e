"""Random sequences of events, answers, silences and restarts: no event is lost, doubled or overtaken."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from edge_daemon.mqtt.outbox import Outbox
from edge_daemon.mqtt.persistent_queue import PersistentQueue
from tests.harness.outbox_sender import put

_WINDOW, _BOUND, _STEPS = 5, 10_000, 60


class _Broker:
    """A broker that answers, refuses or is silent at random, and checks what it receives."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._random = Random(seed)
        self._outbox = Outbox(_BOUND, PersistentQueue(path, _BOUND))
        self._now_s = 0.0
        self._put = 0
        self._unanswered: dict[int, int] = {}
        self._taken: set[int] = set()
        self._connect()

    def run(self) -> None:
        """Do random steps, then take all events."""
        steps = [self._add] * 6 + [self._receive] * 8 + [self._take] * 3 + [self._refuse] * 2
        steps += [self._wait] * 6 + [self._reconnect, self._restart, self._remove_file]
        for _ in range(_STEPS):
            self._random.choice(steps)()
        self._reconnect()
        while self._receive_one():
            self._take()
            self._now_s += 60.0
        while self._unanswered:
            self._take()
        assert self._taken == set(range(self._put))
        assert self._outbox.idle
        self._outbox.close()

    def _connect(self) -> None:
        self._outbox.connected()
        self._received: set[int] = set()
        self._packets = 0

    def _add(self) -> None:
        number = self._random.randint(1, 4)
        put(self._outbox, *range(self._put, self._put + number))
        self._put += number

    def _receive(self) -> None:
        for _ in range(self._random.randint(1, 6)):
            self._receive_one()

    def _receive_one(self) -> bool:
        queued = self._outbox.next(_WINDOW, self._now_s)
        if queued is None:
            return False
        number = int(queued.message.payload)
        assert number not in self._received | self._taken
        assert set(range(number)) <= self._received | self._taken
        self._received.add(number)
        self._packets += 1
        self._outbox.sent(queued, self._packets)
        self._unanswered[self._packets] = number
        return True

    def _take(self) -> None:
        for mid in list(self._unanswered)[: self._random.randint(1, 3)]:
            self._taken.add(self._unanswered.pop(mid))
            self._outbox.acknowledged(mid)

    def _refuse(self) -> None:
        """Refuse one for now; the others may stay unanswered."""
        if self._unanswered:
            mid = self._random.choice(list(self._unanswered))
            self._received.discard(self._unanswered.pop(mid))
            self._outbox.defer(mid, self._now_s)

    def _wait(self) -> None:
        self._now_s += self._random.choice([0.5, 3.0, 6.0, 40.0])
        self._outbox.persist_unsent(self._now_s)

    def _reconnect(self) -> None:
        self._outbox.disconnected()
        self._unanswered.clear()
        self._connect()

    def _restart(self) -> None:
        self._outbox.disconnected()
        self._outbox.persist()
        self._outbox.close()
        self._unanswered.clear()
        with closing(PersistentQueue(self._path, _BOUND)) as queue:
            waiting = [int(read[1].payload) for read in iter(queue.next, None)]
        assert waiting == sorted(set(range(self._put)) - self._taken)
        self._outbox = Outbox(_BOUND, PersistentQueue(self._path, _BOUND))
        self._connect()

    def _remove_file(self) -> None:
        for each in self._path.parent.glob(f"{self._path.name}*"):
            each.unlink()


@pytest.mark.parametrize("seed", range(30))
def test_no_event_is_lost_doubled_or_overtaken(tmp_path: Path, seed: int) -> None:
    _Broker(tmp_path / "events.sqlite", seed).run()
