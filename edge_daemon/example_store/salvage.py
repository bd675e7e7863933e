"""Salvage of a damaged store: its readable rows, copied one by one into a new file."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.integrity import (
    CHECKED,
    CHECKSUM_BYTES,
    describe,
    find_fault,
)
from edge_daemon.example_store.record import content_digest
from edge_daemon.example_store.salvage_source import Salvage, salvage_source
from edge_daemon.example_store.scene_record import SCENE_COLUMNS, StoredScene, read_scene

SALVAGED_COLUMNS = (
    *("id", "label", "space", "region", "burst", "source", "created_at", "removed_at", "origin"),
    *("number", "probation", "scene_id", "boot_id", "uptime_s", "checksum"),
    *("picture_digest", "embedding_digest", "object_digest", "embedding"),
)
"""All columns but the object embedding and the picture: if one of these is damaged, the rest is kept."""

_DEFAULTS = {"origin": "''", "probation": "0", "boot_id": "''"}
"""SQL for a column that a store of an older version lacks; NULL for the others."""

_MAX_PROBED = 1_000_000

Row = dict[str, Any]


@contextmanager
def open_damaged(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a damaged store to read from it: see `salvage_source`. It reads all of the file, and may copy it.

    Raises StoreError for a path that is not a file.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise StoreError(f"'{path}' is no file")
        with salvage_source(path, _check) as source:
            yield source
    except OSError as exc:
        raise StoreError(f"'{path}' can't be read: {exc.strerror}") from exc


def intact_rows(source: sqlite3.Connection, salvage: Salvage) -> Iterator[Row]:
    """Yield the intact rows of a damaged store, by id, and note the others.

    A damaged picture or object embedding is left out of its row.
    """
    yield from _checked(_Table(source), salvage)


def copy_into(connection: sqlite3.Connection, path: Path, salvage: Salvage) -> None:
    """Insert the intact rows of the file at `path` into an empty store, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    with open_damaged(path) as source:
        _copy_rows(connection, source, salvage)
        _copy_scenes(connection, source)
        _copy_groups(connection, source)
    connection.execute("COMMIT")


def _copy_rows(connection: sqlite3.Connection, source: sqlite3.Connection, salvage: Salvage) -> None:
    names = (*SALVAGED_COLUMNS, "object_embedding", "thumbnail")
    insert = f"INSERT INTO examples ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})"
    for row in _checked(_Table(source), salvage):
        row["number"] = row["number"] if row["origin"] else None
        row["checksum"] = bytes(CHECKSUM_BYTES)  # the connection's trigger replaces it
        try:
            connection.execute(insert, [row[each] for each in names])
        except sqlite3.IntegrityError as exc:
            salvage.problems.append(describe(row["id"], row["label"], str(exc)))
            salvage.kept -= 1


def _check(source: sqlite3.Connection) -> Salvage:
    """Count the intact rows of all tables that are salvaged; rows that lack in one table are a problem."""
    salvage = Salvage()
    used, peers = set(), False
    for row in _checked(_Table(source), salvage):
        used.add(row["scene_id"])
        peers = peers or bool(row["origin"])
    scenes = {row[0] for row in _scene_rows(source)}
    groups = _groups(source)
    salvage.kept += len(scenes) + len(groups)
    if used - scenes - {None} or (peers and not groups):
        salvage.problems.append("a table lacks rows")
    return salvage


def _checked(table: _Table, salvage: Salvage) -> Iterator[Row]:
    expected = table.indexed_labels()
    found: set[int] = set()
    for row in table.rows(max(expected, default=0)):
        number, label = row["id"], row["label"]
        if number in found:
            continue
        found.add(number)
        if fault := find_fault([row[each] for each in CHECKED]):
            salvage.problems.append(describe(number, label, fault))
            continue
        row["thumbnail"] = table.content(number, "thumbnail") or b""
        if content_digest(row["thumbnail"]) != row["picture_digest"]:
            salvage.problems.append(describe(number, label, "its picture is damaged; kept without"))
            row["thumbnail"], row["picture_digest"] = b"", None
        row["object_embedding"] = table.content(number, "object_embedding")
        if content_digest(row["object_embedding"] or b"") != row["object_digest"]:
            salvage.problems.append(describe(number, label, "its object embedding is damaged; kept without"))
            # Nor with the scene: the example would be one of the empty scene.
            row["object_embedding"], row["object_digest"], row["scene_id"] = None, None, None
        salvage.kept += 1
        yield row
    for number in sorted(expected.keys() - found):
        salvage.problems.append(describe(number, expected[number], "it can't be read"))


class _Table:
    """A reader of a damaged table: from both ends, then one by one between them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._present = {row[1] for row in self._readable("PRAGMA table_info(examples)")}
        names = [
            each if each in self._present else f"{_DEFAULTS.get(each, 'NULL')} AS {each}"
            for each in SALVAGED_COLUMNS
        ]
        self._select = f"SELECT {', '.join(names)} FROM examples NOT INDEXED WHERE"

    def indexed_labels(self) -> dict[int, str]:
        """Return the labels by id from an index: those of live examples, also of unreadable ones."""
        statement = "SELECT id, label FROM examples INDEXED BY living_labels WHERE removed_at IS NULL"
        return {number: label for number, label in self._readable(statement) if isinstance(label, str)}

    def rows(self, last_id: int) -> Iterator[Row]:
        """Yield every readable row; `last_id` is the highest id in an index."""
        last = 0
        try:
            for row in self._select_rows("id > 0 ORDER BY id"):
                last = max(last, row["id"])
                yield row
        except sqlite3.DatabaseError:
            yield from self._rows_after(last, last_id)

    def content(self, number: int, column: str) -> bytes | None:
        """Return an example's picture or object embedding; None for a missing or unreadable one."""
        if column not in self._present:
            return None
        rows = list(self._readable(f"SELECT {column} FROM examples NOT INDEXED WHERE id = {number}"))
        return rows[0][0] if rows and isinstance(rows[0][0], bytes) else None

    def _rows_after(self, last: int, last_id: int) -> Iterator[Row]:
        """Yield the readable rows after the first unreadable page."""
        after = []
        for row in self._readable_rows(f"id > {last} ORDER BY id DESC"):
            after.append(row["id"])
            yield row
        end = min(after, default=max(last_id, self._last_used_id()) + 1)
        for number in range(last + 1, min(end, last + _MAX_PROBED)):
            yield from self._readable_rows(f"id = {number}")

    def _last_used_id(self) -> int:
        ids = self._readable("SELECT seq FROM sqlite_sequence WHERE name = 'examples'")
        return max((row[0] for row in ids if isinstance(row[0], int)), default=0)

    def _select_rows(self, condition: str) -> Iterator[Row]:
        for row in self._connection.execute(f"{self._select} {condition}"):
            if isinstance(row[0], int):
                yield dict(zip(SALVAGED_COLUMNS, row, strict=True))

    def _readable_rows(self, condition: str) -> Iterator[Row]:
        with suppress(sqlite3.DatabaseError):
            yield from self._select_rows(condition)

    def _readable(self, statement: str) -> Iterator[Sequence[Any]]:
        with suppress(sqlite3.DatabaseError):
            yield from self._connection.execute(statement)


def intact_scenes(source: sqlite3.Connection) -> dict[int, StoredScene]:
    """Return the intact scenes of a damaged store, by id."""
    scenes = [read_scene(row[:-1]) for row in _scene_rows(source)]
    return {scene.id: scene for scene in scenes if scene is not None}


def _scene_rows(source: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Yield the intact rows of `SCENE_COLUMNS` and removed_at."""
    ids: set[int] = set()
    for order in ("id", "id DESC"):  # from both ends, as far as the pages can be read
        with suppress(sqlite3.DatabaseError):
            ids.update(row[0] for row in source.execute(f"SELECT id FROM scenes ORDER BY {order}"))
    statement = f"SELECT {SCENE_COLUMNS}, removed_at FROM scenes WHERE id = ?"
    for scene_id in sorted(ids):
        with suppress(sqlite3.DatabaseError):
            for row in source.execute(statement, (scene_id,)).fetchall():
                if read_scene(row[:-1]):
                    yield *row[:-1], _time_or_none(row[-1])


def _time_or_none(text: object) -> str | None:
    try:
        return datetime.fromisoformat(str(text)).isoformat(timespec="microseconds")
    except ValueError:
        return None


def _copy_scenes(connection: sqlite3.Connection, source: sqlite3.Connection) -> None:
    insert = f"INSERT INTO scenes ({SCENE_COLUMNS}, removed_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
    connection.executemany(insert, _scene_rows(source))
    # A lost scene's id is not used again: its examples would get another scene.
    highest = connection.execute(
        "SELECT max(id) FROM (SELECT id FROM scenes UNION ALL SELECT scene_id FROM examples)"
    ).fetchone()[0]
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'scenes'")
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('scenes', ?)", (highest or 0,))


def _copy_groups(connection: sqlite3.Connection, source: sqlite3.Connection) -> None:
    """Copy the name of the fleet's group: without it, joining the group would delete the peers' examples."""
    connection.executemany("INSERT OR IGNORE INTO fleet_groups (name) VALUES (?)", _groups(source))


def _groups(source: sqlite3.Connection) -> list[tuple[Any, ...]]:
    try:
        return source.execute("SELECT name FROM fleet_groups NOT INDEXED").fetchall()
    except sqlite3.DatabaseError:
        return []
