"""Power cuts, full disks, locks and damaged files: no acknowledged example is lost."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store import database
from edge_daemon.example_store.store import ExampleStore
from tests.harness.as_nobody import in_child_as_nobody
from tests.harness.child_process import in_child
from tests.harness.open_folders import open_to_others
from tests.harness.unit_vectors import unit

_KILLS = 16
_BURST = """
import sys
import numpy as np
from edge_daemon.example_store import database
from edge_daemon.example_store.store import ExampleStore
store = ExampleStore(sys.argv[1])
vector = np.ones(256, dtype=np.float32)
while True:
    example = store.add(vector, "cat", thumbnail=bytes(12_000))
    print(example.id, flush=True)
    if example.id % 7 == 0:
        print(-store.undo().steps[-1].id, flush=True)
"""


def test_every_acknowledged_example_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "examples.db"
    draw = random.Random(20)
    acknowledged: set[int] = set()
    undone: set[int] = set()
    for _ in range(_KILLS):
        for number in _burst_until_killed(path, draw):
            acknowledged.add(abs(number))
            if number < 0:
                undone.add(-number)
        with ExampleStore(path) as store:
            found = {example.id for example in store.examples(thumbnails=False)}
        # One undo may have been committed in the moment before its acknowledgement could be printed.
        unspoken = acknowledged - undone - found
        assert len(unspoken) <= 1
        assert all(number % 7 == 0 for number in unspoken)
        assert not undone & found
        undone |= unspoken
    assert len(acknowledged) > _KILLS


def _burst_until_killed(path: Path, draw: random.Random) -> list[int]:
    with subprocess.Popen([sys.executable, "-c", _BURST, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        spoken = [child.stdout.readline()]  # opened, and the first example acknowledged
        time.sleep(draw.uniform(0, 0.03))
        child.send_signal(signal.SIGKILL)
        spoken += child.stdout.readlines()
    return [int(line) for line in spoken if line.endswith(b"\n")]


def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "examples.db") as store:
        assert store._connection._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._connection._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_the_entries_of_a_new_store_and_its_folders_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(database, "sync_directory", synced.append)
    ExampleStore(tmp_path / "a" / "b" / "examples.db").close()
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    ExampleStore(tmp_path / "a" / "b" / "examples.db").close()
    assert len(synced) == 3


def test_a_locked_store_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "examples.db"
    with ExampleStore(path, busy_s=0.01) as store:
        store.add(unit(0), "cat")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"examples\.db' is locked by another process"):
            store.add(unit(1), "cat")
        assert store.counts == {"cat": 1}
        other.execute("ROLLBACK")
        other.close()
        store.add(unit(1), "cat")
        assert store.counts == {"cat": 2}


def test_a_full_database_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "examples.db") as store:
        store.add(unit(0), "cat")
        store._connection._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match="disk is full"):
            store.add(unit(1), "cat", thumbnail=bytes(100_000))
        store._connection._connection.execute("PRAGMA max_page_count = 1000000")
        store.add(unit(2), "dog")
        assert store.counts == {"cat": 1, "dog": 1}


def test_a_file_that_may_not_grow_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "examples.db"

    def fill() -> None:
        with ExampleStore(path) as store:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
            store.add(unit(0), "cat")
            with pytest.raises(StoreError, match="full or failing"):
                store.add(unit(1), "cat", thumbnail=bytes(300_000))
            assert store.counts == {"cat": 1}
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            store.add(unit(2), "dog")

    in_child(fill)
    with ExampleStore(path) as store:
        assert store.counts == {"cat": 1, "dog": 1}


def test_a_folder_that_may_not_be_written_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "owned by another"
    folder.mkdir(mode=0o755)
    ExampleStore(folder / "examples.db").close()
    open_to_others(tmp_path)
    (folder / "examples.db").chmod(0o444)
    (folder / "corrupt.db").write_bytes(bytes(3000))
    (folder / "corrupt.db").chmod(0o444)
    folder.chmod(0o555)

    def refuse() -> None:
        for name, words in (
            ("examples.db", "can't be"),
            ("new.db", "can't be created: Permission denied"),
            ("corrupt.db", "can't be salvaged: .*: Permission denied"),
        ):
            with pytest.raises(StoreError, match=words) as caught:
                ExampleStore.open_or_recover(folder / name)
            assert "\n" not in str(caught.value)

    in_child_as_nobody(refuse)


@pytest.mark.parametrize("path", ["/proc/nowhere/examples.db", "/dev/null/examples.db", "/tmp"])
def test_a_path_that_can_hold_no_file_is_one_line(path: str) -> None:
    with pytest.raises(StoreError, match=f"'{path}'"):
        ExampleStore(path)


def _damage_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 4096 + path.read_bytes()[4096:])


def _damage_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:12288] = random.Random(1).randbytes(8192)
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(("damage", "readable"), [(_damage_header, 0), (_damage_middle, 15), (_truncate, 3)])
def test_a_corrupt_store_is_kept_aside_and_its_readable_examples_stay_in_use(
    tmp_path: Path, damage: Callable[[Path], None], readable: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "examples.db"
    with ExampleStore(path) as store:
        for seed in range(20):
            store.add(unit(seed), "cat", thumbnail=bytes(5000))
    damage(path)
    damaged = path.read_bytes()
    with pytest.raises(StoreError, match=r"examples\.db' is corrupt"):
        ExampleStore(path)
    with ExampleStore.open_or_recover(path) as store:
        assert sum(store.counts.values()) >= readable
        store.add(unit(0), "dog")
        assert store.counts["dog"] == 1
    (kept,) = tmp_path.glob("examples.db.corrupt-*")
    assert kept.read_bytes() == damaged
    assert kept.name in caplog.text


def test_a_corrupt_store_is_replaced_on_the_disk_to_which_a_link_leads(tmp_path: Path) -> None:
    link, path = tmp_path / "link.db", tmp_path / "disk" / "examples.db"
    path.parent.mkdir()
    link.symlink_to(path)
    with ExampleStore(link) as store:
        for seed in range(20):
            store.add(unit(seed), "cat", thumbnail=bytes(5000))
    _damage_middle(path)
    with ExampleStore.open_or_recover(link) as store:
        assert store.counts["cat"] >= 15
    assert link.is_symlink()
    assert len(list(path.parent.glob("examples.db.corrupt-*"))) == 1
    with ExampleStore(path) as store:
        assert store.counts["cat"] >= 15


def test_a_second_corrupt_store_of_the_same_second_overwrites_neither(tmp_path: Path) -> None:
    path = tmp_path / "examples.db"
    for number in range(3):
        path.write_bytes(bytes(4096) + b"damage %d" % number)
        ExampleStore.open_or_recover(path).close()
    kept = {found.read_bytes()[4096:] for found in tmp_path.glob("examples.db.corrupt-*")}
    assert kept == {b"damage 0", b"damage 1", b"damage 2"}


@pytest.mark.parametrize("damaged", [b"damage" * 500, b""])
def test_the_journal_of_a_corrupt_store_is_kept_with_it(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "examples.db"
    path.write_bytes(damaged)
    (tmp_path / "examples.db-wal").write_bytes(b"journal")
    ExampleStore.open_or_recover(path).close()
    (journal,) = tmp_path.glob("examples.db.corrupt-*-wal")
    assert journal.read_bytes() == b"journal"


def test_an_intact_store_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "examples.db"
    with ExampleStore(path) as store:
        store.add(unit(0), "cat")
    with ExampleStore.open_or_recover(path) as store:
        assert store.counts == {"cat": 1}
    assert list(tmp_path.glob("*.corrupt-*")) == []
