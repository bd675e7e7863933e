from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import EmbeddingError, LabelError, NoExamplesError, StoreError
from edge_daemon.example_store.store import ExampleStore
from tests.harness.unit_vectors import unit

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExampleStore]:
    with ExampleStore(tmp_path / "examples.db", now=lambda: NOON) as opened:
        yield opened


def test_an_example_is_unchanged_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "examples.db"
    taught_at = datetime(2026, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    with ExampleStore(path) as first:
        given = first.add(
            unit(1), "cat", space="s", region="left", group="g", source="gpio", thumbnail=b"jpeg",
            created_at=taught_at,
        )  # fmt: skip
    with ExampleStore(path) as second:
        (found,) = second
    assert (found.id, found.label, found.space, found.region) == (given.id, "cat", "s", "left")
    assert (found.group, found.source, found.thumbnail) == ("g", "gpio", b"jpeg")
    assert found.created_at == NOON
    assert found.created_at.tzinfo is UTC
    assert found.embedding.dtype == np.float32
    np.testing.assert_array_equal(found.embedding, unit(1))


def test_counts_are_in_the_order_of_first_use(store: ExampleStore) -> None:
    for seed, label in enumerate(["zebra", "ant", "zebra", "mole"]):
        store.add(unit(seed), label)
    assert list(store.counts.items()) == [("zebra", 2), ("ant", 1), ("mole", 1)]


def test_labels_are_stored_stripped(store: ExampleStore) -> None:
    assert store.add(unit(0), "  cat ").label == "cat"


@pytest.mark.parametrize("label", ["", "a/b", "unknown", "x" * 10_000, "nul\0"])
def test_a_bad_label_is_refused_and_nothing_kept(store: ExampleStore, label: str) -> None:
    with pytest.raises(LabelError):
        store.add(unit(0), label)
    assert store.counts == {}


@pytest.mark.parametrize(
    "embedding",
    [np.zeros(8), np.full(8, np.nan), np.full(8, np.inf), np.ones((2, 4)), np.ones(0), np.ones(7)],
)
def test_a_bad_embedding_is_refused_and_nothing_kept(store: ExampleStore, embedding: np.ndarray) -> None:
    store.add(unit(0), "cat")
    with pytest.raises(EmbeddingError):
        store.add(embedding.astype(np.float32), "cat")
    assert store.counts == {"cat": 1}


def test_spaces_never_mix_though_their_embeddings_differ_in_length(store: ExampleStore) -> None:
    store.add(unit(0, 8), "cat", space="small")
    store.add(unit(1, 16), "cat", space="large")
    store.add(unit(2, 8), "dog", space="small")
    assert store.spaces() == {"small": 2, "large": 1}
    assert [one.label for one in store.examples("small")] == ["cat", "dog"]
    assert [one.embedding.size for one in store.examples("large")] == [16]


def test_clear_of_one_label_leaves_the_others_and_can_be_restored(store: ExampleStore) -> None:
    ids = [store.add(unit(seed), label).id for seed, label in enumerate(["cat", "dog", "cat"])]
    assert store.clear("cat") == [ids[0], ids[2]]
    assert store.counts == {"dog": 1}
    assert store.restore([ids[0], ids[2]]) == [ids[0], ids[2]]
    assert store.counts == {"cat": 2, "dog": 1}


def test_clear_removes_all_and_an_unknown_label_is_an_error(store: ExampleStore) -> None:
    store.add(unit(0), "cat")
    with pytest.raises(NoExamplesError, match="'dog'"):
        store.clear("dog")
    assert len(store.clear()) == 1
    assert store.clear() == []
    with pytest.raises(NoExamplesError):
        store.clear("cat")


def test_remove_returns_the_ids_of_removed_examples(store: ExampleStore) -> None:
    first, second = (store.add(unit(seed), "cat").id for seed in range(2))
    assert store.remove(np.array([first, 77])) == [first]
    assert store.remove([first, second]) == [second]


def test_a_label_is_found_however_its_accents_and_spaces_are_typed(store: ExampleStore) -> None:
    typed = "  cafe\u0301\u00a0noir "
    for index in range(3):
        store.add(unit(index), typed)
        [label] = store.counts
        assert label == "caf\u00e9 noir"
        if index == 0:
            assert store.rename(typed, "cup") == [1]
            store.clear()
        elif index == 1:
            assert store.merge([typed], "cup") == [2]
            store.clear()
        else:
            assert store.clear(typed) == [3]


def test_ids_are_numbers(store: ExampleStore) -> None:
    store.add(unit(0), "cat")
    for change in (store.remove, store.restore, lambda ids: store.relabel(ids, "dog")):
        with pytest.raises(TypeError, match="integer"):
            change("1")  # type: ignore[arg-type, unused-ignore]
    assert store.counts == {"cat": 1}


def test_relabel_changes_live_examples_only(store: ExampleStore) -> None:
    first, second = (store.add(unit(seed), "cat").id for seed in range(2))
    store.remove([second])
    assert store.relabel([first, second], " dog ") == [first]
    assert store.counts == {"dog": 1}
    with pytest.raises(LabelError):
        store.relabel([first], "a/b")


def test_relabel_to_the_same_label_is_no_change_to_undo(store: ExampleStore) -> None:
    example = store.add(unit(1), "cat").id
    before = store.newest_change()
    assert store.relabel([example], "cat") == [example]
    assert store.newest_change() == before


def _change_and_fail(store: ExampleStore) -> None:
    with store.transaction():
        store.add(unit(1), "dog")
        store.undo()
        store.clear("cat")
        store.add(unit(2), "a/b")


def test_a_transaction_keeps_all_or_none(store: ExampleStore) -> None:
    store.add(unit(0), "cat")
    with pytest.raises(LabelError):
        _change_and_fail(store)
    assert store.counts == {"cat": 1}
    with store.transaction():
        store.add(unit(1), "dog")
        store.clear("cat")
    assert store.counts == {"dog": 1}


def test_purge_deletes_old_tombstones_and_never_reuses_their_ids(store: ExampleStore) -> None:
    kept = store.add(unit(0), "cat").id
    gone = store.add(unit(1), "cat").id
    store.remove([gone])
    assert store.purge(NOON) == 0
    assert store.purge(NOON + timedelta(seconds=1)) == 1
    assert store.restore([gone]) == []
    assert store.add(unit(2), "cat").id > gone
    assert kept in [one.id for one in store]


def test_examples_may_change_while_they_are_read(store: ExampleStore) -> None:
    with store.transaction():
        for seed in range(600):
            store.add(unit(seed), "cat")
    seen = []
    for one in store:
        seen.append(one.id)
        if one.id % 2:
            store.remove([one.id])
    assert seen == list(range(1, 601))
    assert store.counts == {"cat": 300}


def test_thumbnails_can_be_left_on_disk(store: ExampleStore) -> None:
    store.add(unit(0), "cat", thumbnail=b"jpeg")
    assert [one.thumbnail for one in store.examples(thumbnails=False)] == [b""]


def test_a_duplicate_has_the_same_picture_or_embedding_in_the_same_space_and_region(
    store: ExampleStore,
) -> None:
    taught = store.add(unit(0), "cat", space="s", thumbnail=b"jpeg")
    store.add(unit(1), "dog", space="s")
    assert store.find_duplicate("s", thumbnail=b"jpeg") == "cat"
    assert store.find_duplicate("s", thumbnail=b"another", embedding=unit(0)) == "cat"
    assert store.find_duplicate("s", embedding=unit(1)) == "dog"
    assert store.find_duplicate("s", thumbnail=b"another", embedding=unit(2)) is None
    assert store.find_duplicate("other", thumbnail=b"jpeg") is None
    assert store.find_duplicate("s", "left", thumbnail=b"jpeg") is None
    store.remove([taught.id])
    assert store.find_duplicate("s", thumbnail=b"jpeg", embedding=unit(0)) is None


def test_replace_embeddings_replaces_all_or_none(store: ExampleStore) -> None:
    ids = [store.add(unit(seed), "cat", space="old").id for seed in range(2)]
    with pytest.raises(EmbeddingError):
        store.replace_embeddings([(ids[0], unit(5, 16)), (ids[1], unit(6, 15))], "new")
    assert store.spaces() == {"old": 2}
    assert store.replace_embeddings([(ids[0], unit(5, 16)), (ids[1], unit(6, 16))], "new") == 2
    assert store.spaces() == {"new": 2}
    np.testing.assert_array_equal(next(iter(store)).embedding, unit(5, 16))
    assert store.find_duplicate("new", embedding=unit(6, 16)) == "cat"


def test_a_closed_store_says_so_and_closing_twice_is_harmless(tmp_path: Path) -> None:
    store = ExampleStore(tmp_path / "examples.db")
    store.close()
    store.close()
    with pytest.raises(StoreError, match=r"examples\.db.*closed"):
        store.add(unit(0), "cat")


def test_two_connections_see_each_other_s_changes(tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "e.db") as one, ExampleStore(tmp_path / "e.db") as other:
        one.add(unit(0), "cat")
        assert other.undo().text == "1 example of 'cat' removed"
        assert one.counts == {}


def test_a_picture_is_found_by_the_id_of_a_live_or_removed_example(store: ExampleStore) -> None:
    number = store.add(unit(0), "cat", thumbnail=b"jpeg").id
    store.undo()
    assert store.thumbnail(number) == b"jpeg"
    assert store.thumbnail(999) is None


def test_removed_examples_are_listed_latest_first(tmp_path: Path) -> None:
    minutes = iter(range(60))
    with ExampleStore(tmp_path / "e.db", now=lambda: NOON + timedelta(minutes=next(minutes))) as store:
        first, second, _ = (store.add(unit(seed), "cat", thumbnail=b"jpeg").id for seed in range(3))
        store.remove([second])
        store.remove([first])
        assert [(one.id, one.thumbnail) for one in store.removed()] == [(first, b""), (second, b"")]
        assert [one.id for one in store.removed(limit=1)] == [first]
