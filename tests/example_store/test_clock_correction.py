"""Correction of the times of examples that were stored before the clock was set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from edge_daemon.domain.commands import ClockSet
from edge_daemon.example_store.clock_correction import KEEP_REMOVED, shift_times
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.teaching.trainer import Trainer

BOOT = datetime(2026, 1, 10, tzinfo=UTC)
STEP = timedelta(days=60)


class DatedStore:
    """A store whose clock the test sets."""

    def __init__(self, path: Path) -> None:
        self.now = BOOT - timedelta(days=1)
        self.store = ExampleStore(path, now=lambda: self.now)

    def teach(self, label: str, at: datetime) -> int:
        self.now = at
        return self.store.add(np.ones(3, np.float32), label, space="s").id

    def remove(self, one: int, at: datetime) -> None:
        self.now = at
        self.store.remove([one])


def test_times_of_this_boot_are_set_right_and_others_stay(tmp_path: Path) -> None:
    dated = DatedStore(tmp_path / "examples.sqlite")
    with dated.store:
        dated.teach("earlier", BOOT - timedelta(days=1))
        dated.teach("now", BOOT + timedelta(seconds=50))
        dated.teach("since", BOOT + STEP + timedelta(seconds=90))

        assert shift_times(dated.store, BOOT, BOOT + timedelta(seconds=80), STEP) == 1

        assert [example.created_at for example in dated.store] == [
            BOOT - timedelta(days=1),
            BOOT + STEP + timedelta(seconds=50),
            BOOT + STEP + timedelta(seconds=90),
        ]


def test_examples_removed_before_the_clock_was_set_can_be_restored(tmp_path: Path) -> None:
    dated = DatedStore(tmp_path / "examples.sqlite")
    one = dated.teach("cat", BOOT - timedelta(days=1))
    old = dated.teach("cat", BOOT - timedelta(days=1))
    dated.remove(old, BOOT - timedelta(hours=1))
    dated.remove(one, BOOT + timedelta(seconds=50))
    trainer = Trainer(dated.store, {}, {}, "s")

    trainer.set_clock(ClockSet(BOOT, BOOT + timedelta(seconds=80), STEP.total_seconds()))

    # By the wrong clock both were removed 60 days ago, longer than they are kept.
    assert STEP > KEEP_REMOVED
    assert [example.id for example in dated.store.removed()] == [one]
    trainer.close()


def test_a_store_that_is_locked_keeps_its_times_and_the_daemon(tmp_path: Path) -> None:
    dated = DatedStore(tmp_path / "examples.sqlite")
    dated.store.close()
    one = ExampleStore(tmp_path / "examples.sqlite", busy_s=0.1)
    trainer = Trainer(one, {}, {}, "s")
    with ExampleStore(tmp_path / "examples.sqlite") as other, other.transaction():
        trainer.set_clock(ClockSet(BOOT, BOOT + timedelta(seconds=80), STEP.total_seconds()))
    trainer.close()
