"""Checkpoints: the journal is folded into the store's file after idle time."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.connection import IDLE_S, CheckpointTimer
from edge_daemon.example_store.store import ExampleStore
from tests.harness.small_disk import SmallDisk
from tests.harness.unit_vectors import unit


def test_a_checkpoint_is_due_once_after_each_series_of_changes() -> None:
    timer = CheckpointTimer()
    assert not timer.is_due(0, 0.0)
    assert not timer.is_due(3, 10.0)
    assert not timer.is_due(4, 10.0 + IDLE_S)
    assert timer.is_due(4, 10.0 + 2 * IDLE_S)
    assert not timer.is_due(4, 10.0 + 9 * IDLE_S)
    assert not timer.is_due(5, 1000.0)
    assert timer.is_due(5, 1000.0 + IDLE_S)


def test_a_checkpoint_that_failed_is_due_again() -> None:
    timer = CheckpointTimer()
    assert not timer.is_due(3, 0.0)
    assert timer.is_due(3, IDLE_S)
    timer.postpone(IDLE_S)
    assert not timer.is_due(3, 1.5 * IDLE_S)
    assert timer.is_due(3, 2 * IDLE_S)
    assert not timer.is_due(3, 9 * IDLE_S)


def test_on_a_full_disk_the_journal_keeps_the_examples_and_is_folded_once_there_is_room(
    small_disk: SmallDisk,
) -> None:
    path = small_disk.folder / "examples.sqlite"
    with ExampleStore(path) as store:
        for seed in range(8):
            store.add(unit(seed), "cat", thumbnail=bytes([seed]) * 20_000)
        before = path.stat().st_size
        small_disk.fill()
        store.checkpoint_if_idle(0.0)
        with pytest.raises(StoreError, match="the disk is full"):
            store.checkpoint_if_idle(IDLE_S)
        assert store.counts == {"cat": 8}
        assert path.stat().st_size == before
        small_disk.free()
        store.checkpoint_if_idle(2 * IDLE_S)
        assert path.stat().st_size > before


def test_after_idle_time_the_examples_are_in_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path) as store:
        before = path.read_bytes()
        store.add(unit(1), "cat")
        store.checkpoint_if_idle(0.0)
        assert path.read_bytes() == before
        store.checkpoint_if_idle(IDLE_S)
        assert path.read_bytes() != before
        copy = tmp_path / "copy.sqlite"
        copy.write_bytes(path.read_bytes())
    with ExampleStore(copy) as copied:
        assert copied.counts == {"cat": 1}


def test_the_journal_of_a_large_import_does_not_keep_its_size(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    journal = tmp_path / "examples.sqlite-wal"
    with ExampleStore(path) as daemon:
        with ExampleStore(path) as command, command.transaction():
            for seed in range(12):
                command.add(unit(seed), "cat", thumbnail=bytes(1 << 20))
        assert journal.stat().st_size > 12 << 20
        daemon.add(unit(12), "cat")
        daemon.checkpoint_if_idle(0.0)
        daemon.checkpoint_if_idle(IDLE_S)
        daemon.add(unit(13), "cat")
        assert journal.stat().st_size <= 8 << 20
        assert daemon.counts == {"cat": 14}


def test_a_checkpoint_does_not_wait_for_another_process(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path) as store, ExampleStore(path) as other:
        store.add(unit(1), "cat")
        with other.transaction():
            store.checkpoint_if_idle(0.0)
            store.checkpoint_if_idle(IDLE_S)
        assert other.counts == {"cat": 1}
