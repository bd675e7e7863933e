"""Removed examples are deleted in time, also by a device that never restarts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.example_store.clock_correction import KEEP_REMOVED
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.system.testing import ManualClock
from edge_daemon.teaching.removed_purge import INTERVAL_S, RemovedPurge
from edge_daemon.teaching.trainer import Trainer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[ExampleStore]:
    with ExampleStore(tmp_path / "examples.sqlite", now=clock.utc) as store:
        store.add(np.ones(4, np.float32), "cup", space="s")
        store.undo()
        yield store


def removed(store: ExampleStore) -> int:
    return int(store.query("SELECT count(*) FROM examples WHERE removed_at IS NOT NULL")[0][0])


def test_a_device_that_never_restarts_deletes_what_was_removed_a_month_ago(
    store: ExampleStore, clock: ManualClock
) -> None:
    purge = RemovedPurge(store, clock, lambda: True)
    trainer = Trainer(store, {"": make_classifier("knn")}, {"frame": ""}, "s", purge=purge)
    days = 0
    while removed(store):
        trainer.maintain_store(clock.monotonic())
        clock.advance(INTERVAL_S)
        days += 1
    assert KEEP_REMOVED.days < days <= KEEP_REMOVED.days + 2


def test_nothing_is_deleted_while_the_clock_is_not_synchronised(
    store: ExampleStore, clock: ManualClock
) -> None:
    synced = False
    purge = RemovedPurge(store, clock, lambda: synced)
    clock.advance(2 * KEEP_REMOVED.total_seconds())
    purge.run_if_due()
    assert removed(store) == 1
    synced = True
    purge.run_if_due()
    assert removed(store) == 1, "once a day is enough"
    clock.advance(INTERVAL_S)
    purge.run_if_due()
    assert removed(store) == 0


def test_a_store_that_is_locked_is_purged_on_another_day(store: ExampleStore, clock: ManualClock) -> None:
    purge = RemovedPurge(store, clock, lambda: None)
    clock.advance(2 * KEEP_REMOVED.total_seconds())
    store.wait_for_lock(0)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        purge.run_if_due()
        other.execute("ROLLBACK")
    assert removed(store) == 1
    clock.advance(INTERVAL_S)
    purge.run_if_due()
    assert removed(store) == 0
