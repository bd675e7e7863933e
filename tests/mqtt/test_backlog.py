from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge_daemon.errors import BrokerError
from edge_daemon.mqtt.backlog import Backlog
from edge_daemon.mqtt.message import Message

MESSAGE = Message("event", b"\0\xff", 2, retain=False)


def test_what_is_stored_is_read_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "state" / "events.sqlite"
    Backlog(path, 10).store([MESSAGE])
    read = Backlog(path, 10).next()
    assert read is not None
    assert read[1] == MESSAGE


def test_a_removed_event_does_not_come_back(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path / "events.sqlite", 10)
    backlog.store([MESSAGE, MESSAGE])
    first = backlog.next()
    assert first is not None
    backlog.remove([first[0]])
    backlog.rewind()
    second = backlog.next()
    assert second is not None
    assert second[0] != first[0]
    assert backlog.next() is None
    assert len(backlog) == 1


@pytest.mark.parametrize("damage", ["garbage", "version", "truncated"])
def test_a_damaged_file_is_set_aside_and_never_overwritten(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.sqlite"
    before = Backlog(path, 5000)
    before.store([MESSAGE] * 1000)
    before.close()
    if damage == "garbage":
        path.write_bytes(b"no database" * 100)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:9000])
    else:
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 99")
    content = path.read_bytes()
    for number in (1, 2):
        backlog = Backlog(path, 10)
        backlog.store([MESSAGE])
        assert len(backlog) == number
        backlog.close()
    assert (tmp_path / "events.sqlite.damaged-1").read_bytes() == content
    assert caplog.text.count("can't be read") == 1


def test_a_path_that_can_t_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerError, match=str(tmp_path / "file" / "events.sqlite")):
        Backlog(tmp_path / "file" / "events.sqlite", 10)
    with pytest.raises(BrokerError, match="can't keep MQTT events"):
        Backlog(tmp_path, 10)
