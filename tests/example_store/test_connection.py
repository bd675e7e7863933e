"""Checkpoints: the journal is folded into the store's file after idle time."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.example_store.connection import IDLE_S, CheckpointTimer
from edge_daemon.example_store.store import ExampleStore
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


def test_a_checkpoint_does_not_wait_for_another_process(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path) as store, ExampleStore(path) as other:
        store.add(unit(1), "cat")
        with other.transaction():
            store.checkpoint_if_idle(0.0)
            store.checkpoint_if_idle(IDLE_S)
        assert other.counts == {"cat": 1}
