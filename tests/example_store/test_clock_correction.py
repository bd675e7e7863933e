"""Correction of the times of examples that were stored before the clock was set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.commands import ClockSet
from edge_daemon.example_store.clock_correction import KEEP_REMOVED, shift_times
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.learning.sessions import SessionCounter
from edge_daemon.system.sqlite import LockedStoreError
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

    def teach_in_boot(self, boot_id: str, at: datetime) -> int:
        record = ExampleRecord(np.ones(3, np.float32), boot_id or "none", "s", created_at=at, boot_id=boot_id)
        return self.store.add_record(record).id

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


def test_examples_of_another_boot_keep_their_times(tmp_path: Path) -> None:
    """Without a battery-backed clock, the wrong times of two boots overlap."""
    dated = DatedStore(tmp_path / "examples.sqlite")
    taught_at = BOOT + timedelta(seconds=50)
    with dated.store:
        for boot_id in ("earlier", "this", ""):
            dated.teach_in_boot(boot_id, taught_at)
        assert shift_times(dated.store, BOOT, BOOT + timedelta(seconds=80), STEP, "this") == 2
        moved = {example.boot_id for example in dated.store if example.created_at == taught_at + STEP}
        assert moved == {"this", ""}
        assert dated.store.damaged == {}


def test_the_time_of_a_scene_is_set_right_too(tmp_path: Path) -> None:
    dated = DatedStore(tmp_path / "examples.sqlite")
    learned_at = BOOT + timedelta(seconds=20)
    with dated.store:
        before = dated.store.scenes.add("left", b"old", "press", BOOT - STEP)
        dated.store.scenes.add("right", b"new", "press", learned_at)
        shift_times(dated.store, BOOT, BOOT + timedelta(seconds=80), STEP)
        scene = dated.store.scenes.newest("right")
        assert scene is not None
        assert (scene.created_at, scene.picture) == (learned_at + STEP, b"new")
        assert dated.store.scenes.newest("left") == before


def test_a_session_goes_on_after_the_clock_was_set(tmp_path: Path) -> None:
    dated = DatedStore(tmp_path / "examples.sqlite")
    with dated.store:
        sessions = SessionCounter()
        for uptime_s, at in ((50, BOOT), (100, BOOT + STEP)):
            record = ExampleRecord(
                np.ones(3, np.float32), "cat", "s", created_at=at, boot_id="b", uptime_s=uptime_s
            )
            assert sessions.number(dated.store.add_record(record)) == 0
        shift_times(dated.store, BOOT, BOOT + timedelta(seconds=80), STEP, "b")
        reloaded = SessionCounter()
        assert [reloaded.number(each) for each in dated.store] == [0, 0]


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


def test_the_times_of_a_locked_store_are_corrected_once_it_is_free(tmp_path: Path) -> None:
    dated = DatedStore(tmp_path / "examples.sqlite")
    taught_at = BOOT + timedelta(seconds=50)
    dated.teach("cat", taught_at)
    dated.store.close()
    one = ExampleStore(tmp_path / "examples.sqlite", busy_s=0.1)
    trainer = Trainer(one, {}, {}, "s")
    with ExampleStore(tmp_path / "examples.sqlite") as other, other.transaction():
        trainer.set_clock(ClockSet(BOOT, BOOT + timedelta(seconds=80), STEP.total_seconds()))
        with pytest.raises(LockedStoreError):
            trainer.maintain_store(0.0)
    assert [example.created_at for example in one] == [taught_at]
    for now_s in (2.0, 4.0):
        trainer.maintain_store(now_s)
        assert [example.created_at for example in one] == [taught_at + STEP]
    trainer.close()
