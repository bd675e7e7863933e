"""The history of changes: undo, redo, and changes that are one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import pytest

from edge_daemon.domain.errors import LabelError, NoExamplesError
from edge_daemon.example_store.change_history import MAX_CHANGES, Change
from edge_daemon.example_store.store import ExampleStore
from tests.harness.unit_vectors import unit

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExampleStore]:
    with ExampleStore(tmp_path / "examples.db", now=lambda: NOON) as opened:
        yield opened


def ids_of(change: Change) -> list[int]:
    return [step.id for step in change.steps]


def test_undo_removes_the_newest_live_example_and_restore_puts_it_back(
    store: ExampleStore,
) -> None:
    ids = [store.add(unit(seed), label).id for seed, label in enumerate("abc")]
    assert ids_of(store.undo()) == [ids[2]]
    assert store.undo().text == "1 example of 'b' removed"
    store.add(unit(9), "d")
    assert store.restore([ids[0], ids[1], 999]) == [ids[1]]
    assert [one.label for one in store] == ["a", "b", "d"]


def test_undo_of_an_empty_store_is_an_error(store: ExampleStore) -> None:
    store.add(unit(0), "cat")
    store.undo()
    with pytest.raises(NoExamplesError, match="nothing to undo"):
        store.undo()


def test_undo_takes_back_each_kind_of_change_and_redo_makes_it_again(store: ExampleStore) -> None:
    taught = [store.add(unit(seed), label).id for seed, label in enumerate(["cat", "dog", "cat", "fox"])]
    store.clear("cat")
    store.remove([taught[1]])
    store.restore([taught[1]])
    store.relabel([taught[1]], "wolf")
    store.rename("fox", "vixen")
    store.merge(["wolf", "vixen"], "beast")
    states = [
        {"wolf": 1, "vixen": 1},
        {"wolf": 1, "fox": 1},
        {"dog": 1, "fox": 1},
        {"fox": 1},
        {"dog": 1, "fox": 1},
        {"cat": 2, "dog": 1, "fox": 1},
        {"cat": 2, "dog": 1},
        {"cat": 1, "dog": 1},
        {"cat": 1},
        {},
    ]
    for state in states:
        store.undo()
        assert store.counts == state
    with pytest.raises(NoExamplesError, match="nothing to undo"):
        store.undo()
    for state in [*states[-2::-1], {"beast": 2}]:
        store.redo()
        assert store.counts == state
    with pytest.raises(NoExamplesError, match="nothing to redo"):
        store.redo()


def test_undo_takes_back_a_whole_burst_also_between_the_presses_of_another(store: ExampleStore) -> None:
    held = [store.add(unit(seed), "cat", group="held").id for seed in range(3)]
    other = store.add(unit(3), "dog").id
    held.append(store.add(unit(4), "cat", group="held").id)
    change = store.undo()
    assert (ids_of(change), change.text) == (held, "4 examples of 'cat' removed")
    assert store.redo().text == "4 examples of 'cat' restored"
    store.undo()
    assert ids_of(store.undo()) == [other]
    again = store.add(unit(5), "cat", group="held").id
    assert ids_of(store.undo()) == [again], "a burst that was undone is over"


def test_a_change_after_an_undo_ends_redo_but_not_that_of_a_numbered_change(store: ExampleStore) -> None:
    first = store.add(unit(0), "cat")
    number = store.undo().number
    store.add(unit(1), "dog")
    with pytest.raises(NoExamplesError, match="nothing to redo"):
        store.redo()
    assert ids_of(store.redo(number)) == [first.id]
    assert store.counts == {"cat": 1, "dog": 1}


def test_a_numbered_change_is_undone_once_and_leaves_what_was_changed_since(store: ExampleStore) -> None:
    ids = [store.add(unit(seed), "cat").id for seed in range(3)]
    store.rename("cat", "kitten")
    store.relabel(ids[:1], "dog")
    rename = store.redo(store.undo(store.undo().number - 1).number).number
    store.relabel(ids[:1], "dog")
    assert ids_of(store.undo(rename)) == ids[1:]
    assert store.counts == {"dog": 1, "cat": 2}
    with pytest.raises(NoExamplesError, match="undone already"):
        store.undo(rename)


def test_examples_from_before_the_history_are_undone_burst_by_burst(store: ExampleStore) -> None:
    for seed in range(3):
        store.add(unit(seed), "cat", group="held" if seed else "")
    store.query("DELETE FROM changes")
    store.query("DELETE FROM change_steps")
    assert len(store.undo().steps) == 2
    assert store.counts == {"cat": 1}
    store.redo()
    assert store.counts == {"cat": 3}


def test_the_history_keeps_the_latest_changes(store: ExampleStore) -> None:
    for seed in range(MAX_CHANGES + 5):
        store.add(unit(seed), "cat")
    assert store.query("SELECT count(*), min(id) FROM changes") == [(MAX_CHANGES, 6)]
    assert store.query("SELECT count(*) FROM change_steps") == [(MAX_CHANGES,)]


def test_the_changes_of_one_key_are_undone_together(store: ExampleStore) -> None:
    for seeds in (range(3), range(3, 5)):
        with store.transaction("import"):
            for seed in seeds:
                store.add(unit(seed), "cat", group=f"burst {seed}")
    assert len(store.undo().steps) == 5


def test_rename_and_merge_refuse_what_is_not_there_and_what_is_there_already(store: ExampleStore) -> None:
    store.add(unit(0), "cat")
    store.add(unit(1), "dog")
    with pytest.raises(NoExamplesError, match="no examples of 'cow'"):
        store.rename("cow", "bull")
    with pytest.raises(NoExamplesError, match="examples of 'dog' already; merge 'cat' into it"):
        store.rename("cat", "dog")
    with pytest.raises(LabelError, match="'cat' already"):
        store.rename("cat", " cat ")
    with pytest.raises(LabelError):
        store.rename("cat", "a/b")
    with pytest.raises(NoExamplesError, match="'cow'"):
        store.merge(["cat", "cow"], "animal")
    assert store.counts == {"cat": 1, "dog": 1}
    assert len(store.merge(["cat", "dog"], "dog")) == 1
    assert store.counts == {"dog": 2}


def test_a_burst_that_replaced_its_own_examples_is_undone_and_redone_whole(store: ExampleStore) -> None:
    """As the presses of a held button do in a class that is full."""
    store.add(unit(0), "cat")
    for seed in range(1, 4):
        with store.transaction("held"):
            newest = store.add(unit(seed), "cat").id
            store.remove([newest - 1])
    kept = store.counts, [one.id for one in store]
    assert store.undo().text == "1 example of 'cat' removed; 1 example of 'cat' restored"
    assert [one.id for one in store] == [1]
    store.redo()
    assert (store.counts, [one.id for one in store]) == kept


def test_a_burst_that_was_renamed_and_continued_is_undone_and_redone_step_by_step(
    store: ExampleStore,
) -> None:
    for seed in range(3):
        store.add(unit(seed), "cat", group="held")
    store.rename("cat", "dog")
    for seed in range(3, 5):
        store.add(unit(seed), "cat", group="held")
    states = [{"dog": 3, "cat": 2}, {"dog": 3}, {"cat": 3}, {}]
    assert store.counts == states[0]
    for state in states[1:]:
        store.undo()
        assert store.counts == state
    for state in reversed(states[:-1]):
        store.redo()
        assert store.counts == state


def test_two_imports_at_once_continue_fast(store: ExampleStore) -> None:
    for key in ("import 1", "import 2"):
        with store.transaction(key):
            for seed in range(1000):
                store.add(unit(seed), "cat")
    began_s = perf_counter()
    for seed in range(20):
        with store.transaction(f"import {1 + seed % 2}"):
            store.add(unit(seed), "cat")
    assert perf_counter() - began_s < 1.0  # 6 s where each step of one is compared with all of the other
