"""A store that is deleted or replaced while it is open: nothing is acknowledged that would be lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain import events
from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.pipeline.region import Region
from edge_daemon.pipeline.store_poll import STORE_POLL_S
from edge_daemon.system.open_files import MovedStoreError
from edge_daemon.system.testing import ColourEmbedder
from edge_daemon.teaching.lock_wait import CHANGE_TIMEOUT_S
from edge_daemon.tracking.label_smoother import LabelSmoother
from edge_daemon.web.example_browser import ExampleBrowser
from tests.harness.pipeline_harness import BLUE, GREEN, RED, Bench

FRAMES_OF_A_POLL = int(STORE_POLL_S / 0.1) + 2
AXES = np.eye(4, dtype=np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "examples.sqlite"


def taught(path: Path, label: str) -> ExampleStore:
    store = ExampleStore(path)
    store.add(AXES[0], label, space="s")
    return store


def replace(path: Path) -> None:
    """Put another store in the place of one, as a restored backup."""
    backup = path.with_name("backup.sqlite")
    taught(backup, "restored").close()
    os.replace(backup, path)


def test_no_change_is_acknowledged_after_the_file_was_deleted(path: Path) -> None:
    with taught(path, "cat") as store:
        kept = path.with_name("kept")
        path.rename(kept)
        with pytest.raises(MovedStoreError, match="was deleted, or its disk was removed"):
            store.add(AXES[1], "dog", space="s")
        with pytest.raises(MovedStoreError):
            store.changed_elsewhere()
        assert store.counts == {"cat": 1}
        assert not path.exists(), "the store of a disk that was removed must not begin again on another"
        kept.rename(path)
        store.add(AXES[1], "dog", space="s")
    with ExampleStore(path) as again:
        assert again.counts == {"cat": 1, "dog": 1}


def test_a_store_begins_empty_after_its_file_alone_was_deleted(path: Path) -> None:
    store = taught(path, "cat")
    path.unlink()
    store.close()
    assert [each.name for each in path.parent.glob("*-wal")] == []
    with ExampleStore(path) as again:
        assert again.counts == {}


def test_a_replaced_file_is_used_and_the_old_journal_is_not_folded_into_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with taught(path, "cat") as store:
        replace(path)
        with pytest.raises(MovedStoreError, match="it is read again within seconds"):
            store.add(AXES[1], "dog", space="s")
        assert store.changed_elsewhere()
        assert store.counts == {"restored": 1}
        store.add(AXES[1], "dog", space="s")
        store.changed_elsewhere()
        assert not store.changed_elsewhere()
    assert caplog.text.count("was replaced while it was open") == 1
    with ExampleStore(path) as again:
        assert again.counts == {"restored": 1, "dog": 1}


def test_a_file_that_was_replaced_before_the_end_stays_as_it_is(path: Path) -> None:
    store = taught(path, "cat")
    replace(path)
    store.close()
    with ExampleStore(path) as again:
        assert again.counts == {"restored": 1}


def put_foreign_database(path: Path) -> None:
    """Put a database of another program in the place of the store."""
    foreign = path.with_name("foreign")
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    os.replace(foreign, path)


def test_a_file_that_cannot_be_opened_is_named_at_each_call_until_the_former_one_is_back(path: Path) -> None:
    with taught(path, "cat") as store:
        kept = path.with_name("kept")
        path.rename(kept)
        put_foreign_database(path)
        for _ in range(2):
            with pytest.raises(StoreError, match="is a database of another program"):
                store.changed_elsewhere()
            with pytest.raises(StoreError, match="is a database of another program") as caught:
                store.add(AXES[1], "dog", space="s")
            with pytest.raises(StoreError, match="is a database of another program"):
                store.checkpoint_if_idle(1e9)
        assert len(caught.traceback) < 10, "a traceback that grows with each call fills the memory"
        path.unlink()
        with pytest.raises(MovedStoreError, match="was deleted"):
            store.changed_elsewhere()
        assert not path.exists()
        kept.rename(path)
        assert store.changed_elsewhere()
        assert store.counts == {"cat": 1}, "the journal belonged to the file that was moved away"
        store.add(AXES[1], "dog", space="s")


def test_the_daemons_lock_outlives_the_file_that_was_replaced(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from edge_daemon.example_store.process_lock import StoreLock;"
        "print(StoreLock(Path(sys.argv[1])).acquire())"
    )
    with taught(path, "cat") as store:
        assert store.acquire_lock() is None
        replace(path)
        assert store.changed_elsewhere()
        found = subprocess.run(
            [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
        )
    assert found.stdout == f"{os.getpid()}\n"


def test_the_page_lists_the_examples_of_the_file_that_replaced_the_store(path: Path) -> None:
    with taught(path, "cat") as store:
        browser = ExampleBrowser(path, "s")
        assert "cat" in str(browser.list({}))
        replace(path)
        store.changed_elsewhere()
        assert "restored" in str(browser.list({}))
        browser.close()
        store.add(AXES[2], "dog", space="s")
    with ExampleStore(path) as again:
        assert again.counts == {"restored": 1, "dog": 1}


def pipeline(store: ExampleStore) -> Bench:
    return Bench(store, (Region("frame", None, "", LabelSmoother(window=1, min_hold_s=0)),))


def test_a_press_lands_in_the_file_that_replaced_the_store(path: Path) -> None:
    bench = pipeline(ExampleStore(path))
    bench.teach("red", RED)
    backup = path.with_name("backup.sqlite")
    with ExampleStore(backup) as other:
        other.add(
            ColourEmbedder().embed(np.full((2, 2, 3), BLUE, np.uint8)), "blue", space=bench.pipeline.space
        )
    os.replace(backup, path)
    replies = [*bench.show(GREEN, instructions=(bench.press("green"),))]
    for _ in range(FRAMES_OF_A_POLL):
        replies += bench.show(BLUE)
    assert bench.label == "blue"
    [reply] = [event for event in replies if isinstance(event, events.CommandReply)]
    assert reply.error is None
    bench.pipeline.close()
    with ExampleStore(path) as again:
        assert again.counts == {"blue": 1, "green": 1}


def test_a_press_on_a_deleted_store_is_refused_and_frames_are_classified(path: Path) -> None:
    bench = pipeline(ExampleStore(path))
    bench.teach("red", RED)
    path.unlink()
    replies = [*bench.show(GREEN, instructions=(bench.press("green"),))]
    for _ in range(int(CHANGE_TIMEOUT_S / 0.1) + 2):
        replies += bench.show(RED)
        assert bench.label == "red"
    [reply] = [event for event in replies if isinstance(event, events.CommandReply)]
    assert "was deleted" in str(reply.error)
    bench.pipeline.close()


@pytest.mark.parametrize("locked", [True, False])
def test_frames_are_classified_while_the_file_that_replaced_the_store_cannot_be_opened(
    path: Path, locked: bool
) -> None:
    bench = pipeline(ExampleStore(path, busy_s=0.0))
    bench.teach("red", RED)
    if locked:
        backup = path.with_name("backup.sqlite")
        taught(backup, "restored").close()
        lock = sqlite3.connect(backup, isolation_level=None)
        lock.execute("PRAGMA journal_mode = DELETE")
        lock.execute("BEGIN EXCLUSIVE")
        os.replace(backup, path)
    else:
        put_foreign_database(path)
    replies = [*bench.show(GREEN, instructions=(bench.press("green"),))]
    for _ in range(max(2 * FRAMES_OF_A_POLL, int(CHANGE_TIMEOUT_S / 0.1) + 2)):
        replies += bench.show(RED)
        assert bench.label == "red"
    [reply] = [event for event in replies if isinstance(event, events.CommandReply)]
    reason = "is locked by another process" if locked else "is a database of another program"
    assert reason in str(reply.error)
    if locked:
        lock.close()
        for _ in range(FRAMES_OF_A_POLL):
            bench.show(GREEN)
        bench.teach("green", GREEN)
    bench.pipeline.close()
    if locked:
        with ExampleStore(path) as again:
            assert again.counts == {"restored": 1, "green": 1}
