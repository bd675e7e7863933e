"""The journal is folded into the store's file when nobody teaches."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.example_store.checkpoint import REST_S, Checkpoint
from edge_daemon.example_store.store import ExampleStore
from tests.harness.unit_vectors import unit


def test_it_is_due_once_after_each_spell_of_changes() -> None:
    checkpoint = Checkpoint()
    assert not checkpoint.is_due(0, 0.0)
    assert not checkpoint.is_due(3, 10.0)
    assert not checkpoint.is_due(4, 10.0 + REST_S)
    assert checkpoint.is_due(4, 10.0 + 2 * REST_S)
    assert not checkpoint.is_due(4, 10.0 + 9 * REST_S)
    assert not checkpoint.is_due(5, 1000.0)
    assert checkpoint.is_due(5, 1000.0 + REST_S)


def test_at_rest_the_examples_are_in_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path) as store:
        before = path.read_bytes()
        store.add(unit(1), "cat")
        store.checkpoint_at_rest(0.0)
        assert path.read_bytes() == before
        store.checkpoint_at_rest(REST_S)
        assert path.read_bytes() != before
        copy = tmp_path / "copy.sqlite"
        copy.write_bytes(path.read_bytes())
    with ExampleStore(copy) as copied:
        assert copied.counts == {"cat": 1}


def test_a_reader_of_the_file_does_not_hold_a_checkpoint_up(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path) as store, ExampleStore(path) as other:
        store.add(unit(1), "cat")
        with other.transaction():
            store.checkpoint_at_rest(0.0)
            store.checkpoint_at_rest(REST_S)
        assert other.counts == {"cat": 1}
