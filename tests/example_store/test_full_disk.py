"""A store on a full or read-only disk: examples stay in use, and no change is acknowledged wrongly."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.database import check_path
from edge_daemon.example_store.store import ExampleStore
from tests.compatibility.written import WRITTEN
from tests.harness.damaged_store import COUNT, break_page, fill
from tests.harness.small_disk import SmallDisk
from tests.harness.unit_vectors import unit


def teach(path: Path, count: int = 5) -> None:
    with ExampleStore(path) as store:
        for seed in range(count):
            store.add(unit(seed), "cat", thumbnail=b"\xff\xd8\xff" + bytes(2000))


def damage(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        [[root]] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'living_pictures'")
    content = bytearray(path.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    path.write_bytes(content)


def age(path: Path) -> None:
    """Turn a store into one of an older version, which has to be migrated."""
    shutil.copy(WRITTEN / "state/examples.sqlite", path)


def copy_as_crashed(path: Path, copy: Path) -> None:
    """Copy a store as a crash leaves it: with an example of a dog in its journal, and no index of that."""
    copy.parent.mkdir(exist_ok=True)
    with ExampleStore(path) as store:
        store.add(unit(7), "dog")
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")


def leave_alone(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("before", "labels"), [(leave_alone, {"cat": 5}), (damage, {"cat": 5}), (age, {"disc": 9, "square": 3})]
)
def test_a_full_disk_at_the_start_costs_no_example(
    small_disk: SmallDisk,
    before: Callable[[Path], None],
    labels: dict[str, int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    path = small_disk.folder / "examples.sqlite"
    teach(path)
    before(path)
    small_disk.fill()
    check_path(path)
    with ExampleStore.open_or_recover(path) as store:
        assert store.counts.items() >= labels.items()
        assert len(list(store)) == sum(store.counts.values())
        with pytest.raises(StoreError, match="full"):
            store.add(unit(9), "bird", space="birds")
        assert not store.changed_elsewhere()
        assert "bird" not in store.counts
        small_disk.free()
        assert store.changed_elsewhere()
        store.add(unit(9), "bird", space="birds")
    assert caplog.text.count("is on disk again") == 1
    with ExampleStore(path) as again:
        assert again.counts.items() >= {**labels, "bird": 1}.items()


def test_a_first_start_on_a_full_disk_begins_empty_and_teaches_once_there_is_room(
    small_disk: SmallDisk,
) -> None:
    path = small_disk.folder / "state" / "examples.sqlite"
    small_disk.fill()
    check_path(path)
    with ExampleStore.open_or_recover(path) as store:
        assert store.counts == {}
        with pytest.raises(StoreError, match=r"full|No space"):
            store.add(unit(1), "cat")
        small_disk.free()
        store.add(unit(1), "cat")
        assert store.counts == {"cat": 1}
    with ExampleStore(path) as again:
        assert again.counts == {"cat": 1}


@pytest.mark.parametrize("linked", [False, True])
def test_a_disk_that_has_become_read_only_costs_no_example(
    small_disk: SmallDisk, tmp_path: Path, linked: bool
) -> None:
    path = small_disk.folder / "examples.sqlite"
    teach(path)
    small_disk.remount("ro")
    if linked:
        (tmp_path / "link.sqlite").symlink_to(path)
        path = tmp_path / "link.sqlite"
    check_path(path)
    with ExampleStore.open_or_recover(path) as store:
        assert store.counts == {"cat": 5}
        with pytest.raises(StoreError, match="can't be"):
            store.add(unit(9), "dog")
        small_disk.remount("rw")
        store.add(unit(9), "dog")
    with ExampleStore(path) as again:
        assert again.counts == {"cat": 5, "dog": 1}


def test_no_empty_store_takes_the_place_of_one_whose_read_only_disk_is_removed(
    small_disk: SmallDisk,
) -> None:
    path = small_disk.folder / "examples.sqlite"
    teach(path)
    small_disk.remount("ro")
    with ExampleStore.open_or_recover(path) as store:
        small_disk.close()
        try:
            assert not store.changed_elsewhere()
            with pytest.raises(StoreError, match="its disk was removed"):
                store.add(unit(9), "dog")
            assert store.counts == {"cat": 5}
            assert list(small_disk.folder.iterdir()) == []
        finally:
            small_disk.mount()


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_the_journal_of_a_crash_is_read_on_a_disk_that_can_not_be_written(
    small_disk: SmallDisk, tmp_path: Path, trouble: str
) -> None:
    path = small_disk.folder / "examples.sqlite"
    teach(tmp_path / "taught.sqlite")
    copy_as_crashed(tmp_path / "taught.sqlite", path)
    small_disk.fill() if trouble == "full" else small_disk.remount("ro")
    check_path(path)
    with ExampleStore.open_or_recover(path) as store:
        assert store.counts == {"cat": 5, "dog": 1}
        with pytest.raises(StoreError, match="can't be"):
            store.add(unit(9), "bird")
        small_disk.free() if trouble == "full" else small_disk.remount("rw")
        store.add(unit(9), "bird")
    with ExampleStore(path) as again:
        assert again.counts == {"cat": 5, "dog": 1, "bird": 1}


def test_a_damaged_store_with_a_journal_is_read_where_nothing_can_be_written(
    small_disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_disk.folder / "examples.sqlite"
    fill(tmp_path / "taught.sqlite")
    copy_as_crashed(tmp_path / "taught.sqlite", path)
    break_page(path)
    small_disk.remount("ro")
    monkeypatch.setenv("TMPDIR", str(small_disk.folder))
    with ExampleStore.open_or_recover(path) as store:
        assert sum(store.counts.values()) > COUNT // 2
