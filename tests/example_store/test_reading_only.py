"""A store that this user may only read: its examples are shown, and nothing is made or changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.database import check_path
from edge_daemon.example_store.store import ExampleStore
from tests.example_store.test_full_disk import copy_as_crashed, damage
from tests.harness.as_nobody import in_child_as_nobody, run_as_nobody
from tests.harness.damaged_store import COUNT, break_page, fill
from tests.harness.open_folders import open_to_others
from tests.harness.unit_vectors import unit


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A store with five examples, for others to read."""
    folder = tmp_path / "owned by another"
    folder.mkdir()
    open_to_others(tmp_path)
    path = folder / "examples.sqlite"
    with ExampleStore(path) as store:
        for seed in range(5):
            store.add(unit(seed), "cat", thumbnail=bytes(3000))
    close_to_others(path)
    yield path
    path.parent.chmod(0o755)


def close_to_others(path: Path) -> None:
    """Let others read the store, its journals and its folder, and write none of them."""
    for each in path.parent.iterdir():
        each.chmod(0o444)
    path.parent.chmod(0o555)


def listed(path: Path) -> dict[str, int]:
    """Return the counts that `examples list` shows the user nobody."""
    done = run_as_nobody("examples", "list", "--json", f"--set=store.path={path}")
    assert done.returncode == 0, done.stderr
    return {line["label"]: line["count"] for line in map(json.loads, done.stdout.splitlines())}


def test_a_store_in_a_read_only_folder_is_read_and_not_changed(path: Path) -> None:
    before = path.read_bytes()

    def read() -> None:
        with ExampleStore.open_or_recover(path, create=False) as store:
            assert store.counts == {"cat": 5}
            assert len(list(store)) == 5
            assert not store.changed_elsewhere()
            with pytest.raises(StoreError, match="can't be"):
                store.add(unit(9), "dog")
            assert store.counts == {"cat": 5}

    in_child_as_nobody(read)
    assert listed(path) == {"cat": 5}
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_what_a_running_daemon_has_added_is_read_too(path: Path, tmp_path: Path) -> None:
    path.parent.chmod(0o755)
    path.chmod(0o644)
    with ExampleStore(path) as daemon:
        daemon.add(unit(7), "dog")
        close_to_others(path)
        assert listed(path) == {"cat": 5, "dog": 1}
        (link := tmp_path / "link.sqlite").symlink_to(path)
        assert listed(link) == {"cat": 5, "dog": 1}
        daemon.add(unit(8), "dog")
        assert listed(path) == {"cat": 5, "dog": 2}


def test_the_journal_of_a_crashed_daemon_is_read_without_its_index(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copied" / path.name
    path.parent.chmod(0o755)
    path.chmod(0o644)
    copy_as_crashed(path, copy)
    close_to_others(copy)
    before = {each.name: each.read_bytes() for each in copy.parent.iterdir()}

    def read() -> None:
        with ExampleStore.open_or_recover(copy, create=False) as store:
            assert store.counts == {"cat": 5, "dog": 1}
            with pytest.raises(StoreError, match="can't be"):
                store.add(unit(9), "dog")

    in_child_as_nobody(read)
    assert {each.name: each.read_bytes() for each in copy.parent.iterdir()} == before
    copy.parent.chmod(0o755)


def test_the_readable_part_of_a_damaged_store_is_read(path: Path) -> None:
    damage(path)
    before = path.read_bytes()

    def read() -> None:
        with ExampleStore.open_or_recover(path, create=False) as store:
            assert store.counts == {"cat": 5}

    in_child_as_nobody(read)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_file_that_another_user_left_does_not_prevent_the_copy_of_a_damaged_store(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.chmod(0o755)
    path.unlink()
    fill(path)
    break_page(path)
    close_to_others(path)
    (shared := tmp_path / "tmp").mkdir()
    shared.chmod(0o1777)
    (shared / f".{path.name}.tables").touch(0o600)
    monkeypatch.setenv("TMPDIR", str(shared))

    def read() -> None:
        with ExampleStore.open_or_recover(path, create=False) as store:
            assert sum(store.counts.values()) > COUNT // 2

    in_child_as_nobody(read)
    assert len(os.listdir(shared)) == 1


def test_a_file_that_may_not_be_read_is_one_line(path: Path) -> None:
    path.chmod(0o600)

    def read() -> None:
        with pytest.raises(StoreError, match=f"store '{path}' can't be") as caught:
            ExampleStore.open_or_recover(path, create=False)
        assert "\n" not in str(caught.value)

    in_child_as_nobody(read)


def test_a_link_in_a_closed_folder_to_a_store_that_may_be_written_is_accepted(path: Path) -> None:
    real = path.parent.parent / "open" / "examples.sqlite"
    real.parent.mkdir()
    ExampleStore(real).close()
    for each in (real.parent, real):
        each.chmod(0o777)
    path.parent.chmod(0o755)
    (link := path.with_name("link.sqlite")).symlink_to(real)
    path.parent.chmod(0o555)

    def use() -> None:
        check_path(link)
        with ExampleStore.open_or_recover(link) as store:
            store.add(unit(9), "dog")

    in_child_as_nobody(use)
