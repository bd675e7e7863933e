"""The tables of the example store, and the migrations between versions."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TypeAlias

from edge_daemon.domain.errors import StoreError
from edge_daemon.system.sqlite import CorruptStoreError

APPLICATION_ID = 0x45444745  # "EDGE": marks a SQLite file as a store

_INDEXES = (
    "CREATE INDEX living_labels ON examples (origin, label) WHERE removed_at IS NULL",
    "CREATE INDEX living_pictures ON examples (space, picture_digest) WHERE removed_at IS NULL",
    "CREATE INDEX living_embeddings ON examples (space, embedding_digest) WHERE removed_at IS NULL",
    "CREATE UNIQUE INDEX numbers ON examples (origin, space, number) WHERE number IS NOT NULL",
    # For the peers, an own example that was changed or restored is a new one: it gets another number.
    """
    CREATE TRIGGER renumbered AFTER UPDATE OF label, embedding, removed_at ON examples
        WHEN NEW.origin = '' AND NEW.number IS NOT NULL
        BEGIN UPDATE examples SET number = NULL WHERE id = NEW.id; END
    """,
)

# The narrow columns come first: the blobs spill to overflow pages, which counting and undo never read.
# AUTOINCREMENT never uses an id again, so that a restore after a purge can't restore another example.
# `origin` is the device of the fleet that taught an example, empty for own examples; `probation` is 1 for a
# peer's example in quarantine. `number` is the sequence number in the fleet, see fleet/live_set.py.
# `checksum` covers the other narrow columns, see integrity.py; NULL in a row that another program wrote. It
# comes before the blobs, so that a damaged picture does not damage it.
_FIRST = (
    """
    CREATE TABLE examples (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        label TEXT NOT NULL,
        space TEXT NOT NULL,
        region TEXT NOT NULL,
        burst TEXT NOT NULL,
        source TEXT NOT NULL,
        created_at TEXT NOT NULL,
        removed_at TEXT,
        origin TEXT NOT NULL DEFAULT '',
        number INTEGER,
        probation INTEGER NOT NULL DEFAULT 0,
        checksum BLOB,
        picture_digest BLOB,
        embedding_digest BLOB NOT NULL,
        embedding BLOB NOT NULL,
        thumbnail BLOB NOT NULL
    ) STRICT
    """,
    *_INDEXES,
    """
    CREATE TABLE fleet_rolls (
        device TEXT NOT NULL,
        space TEXT NOT NULL,
        number INTEGER NOT NULL,
        living BLOB NOT NULL,
        PRIMARY KEY (device, space)
    ) STRICT
    """,
    "CREATE TABLE fleet_groups (name TEXT PRIMARY KEY) STRICT",
)

# `scene_id` is the scene in which the example was taught; its row may be gone. `boot_id` and `uptime_s` are
# the boot and the monotonic time at which it was taught. `object_embedding` is the embedding of the object
# alone, see imaging/object_mask.py, and `object_digest` its digest. The table is copied, so that the narrow
# columns come first, and so are the checksums: new ones would make damaged rows intact.
_SCENES = (
    """
    CREATE TABLE fresh (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        label TEXT NOT NULL,
        space TEXT NOT NULL,
        region TEXT NOT NULL,
        burst TEXT NOT NULL,
        source TEXT NOT NULL,
        created_at TEXT NOT NULL,
        removed_at TEXT,
        origin TEXT NOT NULL DEFAULT '',
        number INTEGER,
        probation INTEGER NOT NULL DEFAULT 0,
        scene_id INTEGER,
        boot_id TEXT NOT NULL DEFAULT '',
        uptime_s REAL,
        checksum BLOB,
        picture_digest BLOB,
        embedding_digest BLOB NOT NULL,
        object_digest BLOB,
        embedding BLOB NOT NULL,
        object_embedding BLOB,
        thumbnail BLOB NOT NULL
    ) STRICT
    """,
    """
    INSERT INTO fresh
        (id, label, space, region, burst, source, created_at, removed_at, origin, number, probation,
         checksum, picture_digest, embedding_digest, embedding, thumbnail)
    SELECT id, label, space, region, burst, source, created_at, removed_at, origin, number, probation,
        checksum, picture_digest, embedding_digest, embedding, thumbnail FROM examples
    """,
    "DELETE FROM sqlite_sequence WHERE name = 'fresh'",
    "INSERT INTO sqlite_sequence SELECT 'fresh', seq FROM sqlite_sequence WHERE name = 'examples'",
    "DROP TABLE examples",
    "ALTER TABLE fresh RENAME TO examples",
    *_INDEXES,
    "CREATE INDEX taught_scenes ON examples (scene_id) WHERE scene_id IS NOT NULL",
    """
    CREATE TABLE scenes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        region TEXT NOT NULL,
        created_at TEXT NOT NULL,
        source TEXT NOT NULL,
        removed_at TEXT,
        checksum BLOB NOT NULL,
        picture BLOB NOT NULL
    ) STRICT
    """,
)

# The history of changes, see change_history.py. `made` and `undone` count up together: they order
# changes and undos.
_CHANGES = (
    """
    CREATE TABLE changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        made INTEGER NOT NULL,
        undone INTEGER,
        key TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE change_steps (
        change INTEGER NOT NULL,
        example INTEGER NOT NULL,
        label_before TEXT NOT NULL,
        live_before INTEGER NOT NULL,
        label_after TEXT NOT NULL,
        live_after INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX steps_of_change ON change_steps (change)",
)

Migrations: TypeAlias = tuple[tuple[int, tuple[str, ...]], ...]
"""Versions in ascending order, each with the statements that lead to it from the one before."""

MIGRATIONS: Migrations = ((3, _FIRST), (6, _SCENES + _CHANGES))
"""Append only: released ones never change. No release wrote the versions between."""

_MAX_PLAUSIBLE = 1000
"""A higher version is a flipped bit, not one of a newer program."""


Schema: TypeAlias = frozenset[tuple[str, ...]]
"""Type, name, table and definition of each table, index and trigger, with single spaces and plain names."""


@cache
def expected_schemas(migrations: Migrations) -> dict[int, Schema]:
    """Return the schema of each version, by version. The caller does not change the dictionary."""
    schemas = {}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for version, statements in migrations:
            for statement in statements:
                connection.execute(statement)
            schemas[version] = read_schema(connection)
    return schemas


def read_schema(connection: sqlite3.Connection) -> Schema:
    """Return the schema of a store and of what a user has added."""
    # As blobs: damaged text need not be UTF-8.
    columns = ", ".join(f"CAST({each} AS BLOB)" for each in ("type", "name", "tbl_name", "sql"))
    rows = connection.execute(f"SELECT {columns} FROM sqlite_master")
    return frozenset(tuple(_plain(each or b"") for each in row) for row in rows)


def _plain(sql: bytes) -> str:
    """Return SQL without the differences that programs and SQLite make: indentation, and quoted names."""
    single = re.sub(rb"[ \t\n\f\r]+", b" ", sql).strip(b" ")
    return re.sub(rb"\"(\w+)\"", rb"\1", single).decode("utf-8", "replace")


def _check_schema(connection: sqlite3.Connection, path: Path, expected: Schema) -> None:
    """Raise CorruptStoreError if a store's tables are not those expected: a bit of a name flips unnoticed.

    An index or a table that a user has added is none of ours.
    """
    ours = {(each[0], each[1]) for schema in expected_schemas(MIGRATIONS).values() for each in schema}
    found = {each for each in read_schema(connection) if each[:2] in ours}
    if different := sorted(expected ^ found):
        kind, name = different[0][:2]
        raise CorruptStoreError(f"store '{path}' is corrupt: its {kind} '{name}' is not that of its version")


def migrate(connection: sqlite3.Connection, path: Path, migrations: Migrations | None = None) -> None:
    """Migrate a store to the newest version in one transaction, so that a power cut leaves it whole.

    Raises StoreError for another program's database and for a newer version.
    """
    steps = MIGRATIONS if migrations is None else migrations
    connection.execute("BEGIN")
    try:
        version = checked_version(connection, path, steps)
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")
    newest = steps[-1][0]
    if version == newest:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated it meanwhile.
        version = checked_version(connection, path, steps)
        for _, statements in (step for step in steps if step[0] > version):
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def checked_version(connection: sqlite3.Connection, path: Path, steps: Migrations = MIGRATIONS) -> int:
    """Return a store's version, 0 for an empty file.

    The caller has begun a transaction, or no other process writes.

    Raises StoreError for another program's database and for a newer version, CorruptStoreError for tables
    that are not those of the version.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    columns = [row[1] for row in connection.execute("PRAGMA table_info(examples)")]
    ours = {"label", "embedding", "embedding_digest"} <= set(columns)
    if tables and owner != APPLICATION_ID and not ours:
        raise StoreError(
            f"'{path}' is a database of another program, not an example store; pick another path"
        )
    newest = steps[-1][0]
    if newest < version <= _MAX_PLAUSIBLE and owner == APPLICATION_ID:
        raise StoreError(
            f"store '{path}' has version {version}, this program reads up to {newest}; update edge_daemon"
        )
    if tables and owner != APPLICATION_ID:
        raise CorruptStoreError(f"store '{path}' is corrupt: its header does not fit its tables")
    if not tables and version == 0:
        return version
    schemas = expected_schemas(steps)
    if version not in schemas:
        raise CorruptStoreError(f"store '{path}' is corrupt: its version {version} is not of this program")
    _check_schema(connection, path, schemas[version])
    return version
