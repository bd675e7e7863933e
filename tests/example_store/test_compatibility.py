"""A store file of version 0.1.0 is opened by this version."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.example_store.store import ExampleStore
from tests.harness.unit_vectors import unit

WRITTEN = Path(__file__).parent / "data" / "store-0.1.0.sqlite"
TAUGHT = {1: "cat", 3: "Füchse", 4: "cat", 5: "dog", 6: "Füchse"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(WRITTEN, tmp_path / "examples.sqlite"))


def test_every_example_is_as_it_was_taught(path: Path) -> None:
    with ExampleStore(path) as store:
        found = {example.id: example for example in store.examples("s")}
        assert {number: example.label for number, example in found.items()} == TAUGHT
        for number, example in found.items():
            index = number - 1
            assert np.array_equal(example.embedding, unit(index))
            assert example.thumbnail == b"\xff\xd8\xff" + np.random.default_rng(index).bytes(900)
            assert (example.region, example.group) == (["frame", "left"][index % 2], f"g{index // 2}")
            assert example.created_at.minute == index
        assert [example.id for example in store.removed()] == [2]
        assert store.counts == {"cat": 3, "Füchse": 2, "dog": 1}
        assert store.damaged == {}


def test_the_fleet_s_part_is_as_it_was(path: Path) -> None:
    with ExampleStore(path) as store:
        peers = PeerExamples(store, "s")
        assert peers.peer_counts() == [("north", 1, 1)]
        assert [number for _, _, number in peers.own_numbers()] == [11, 12, None, None, None]
        assert (peers.live_set(), peers.live_set("north")) == ((12, b"\x03"), (7, b"\x01\x02"))
        peers.join("hall", "k1")
        assert peers.peer_counts() == [("north", 1, 1)]


def test_a_damaged_old_store_is_salvaged_without_labels_that_an_index_contradicts(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        [[root]] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'living_pictures'")
    row = content.index(b"dogsframeg2")
    damaged = bytearray(content)
    damaged[row] ^= 1
    damaged[(root - 1) * 4096 + 8 : (root - 1) * 4096 + 40] = b"\xff" * 32
    path.write_bytes(damaged)
    with ExampleStore.open_or_recover(path) as store:
        left_out = TAUGHT.keys() - {example.id for example in store.examples("s")}
        assert left_out == {5}
        assert [example.id for example in store.removed()] == [2]
        assert PeerExamples(store, "s").peer_counts() == [("north", 1, 1)]
    assert "an index calls it 'dog'" in caplog.text
