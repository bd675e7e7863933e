"""Checksums of the examples' rows, and the search for damaged rows.

SQLite has no checksums. A bit that flips on an SD card changes a label or an embedding without an error.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec

from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.example_store.record import content_digest, pack, unpack

TEXTS = ("label", "space", "region", "burst", "source", "created_at", "origin", "boot_id")
CHECKSUMMED_IN_VERSION_3 = (
    *("id", "label", "space", "region", "burst", "source", "created_at", "removed_at"),
    *("origin", "number", "probation", "picture_digest", "embedding_digest"),
)
_ADDED = {"scene_id": None, "boot_id": "", "uptime_s": None, "object_digest": None}
"""The columns that later versions added, with the values that migrated rows have."""

CHECKSUMMED = (*CHECKSUMMED_IN_VERSION_3, *_ADDED)
"""Columns that the checksum covers; the digests cover the embeddings and the picture."""

CHECKED = (*CHECKSUMMED, "checksum", "embedding")
"""Columns that `find_fault` expects, in this order."""

CHECKSUM_BYTES = 16
_OLDER = len(CHECKSUMMED_IN_VERSION_3)
_EMPTY = tuple(_ADDED.values())
_EMBEDDING_DIGEST = CHECKSUMMED.index("embedding_digest")

UNSET_CHECKSUM = f"zeroblob({CHECKSUM_BYTES})"
"""Checksum of a new row until the connection's trigger sets it; its length keeps the row in place."""

_PAGE = 256
_SHOWN = 5


def row_checksum(*values: object) -> bytes | None:
    """Return the checksum of the `CHECKSUMMED` columns, in their order; None for a damaged text.

    The columns that later versions added are left out while all of them are empty, so that the checksums of
    older rows remain valid.
    """
    if values[_OLDER:] == _EMPTY:
        values = values[:_OLDER]
    try:
        return hashlib.sha256(msgspec.msgpack.encode(values)).digest()[:CHECKSUM_BYTES]
    except UnicodeEncodeError:
        return None


def add_checksum_function(connection: sqlite3.Connection) -> None:
    """Add the SQL function that `sql_checksum` calls."""
    # Text is passed as bytes: damaged text can have a checksum too.
    connection.create_function("row_checksum", -1, _checksum_of_blobs, deterministic=True)


def sql_checksum() -> str:
    """Return the SQL expression of a row's checksum."""
    blobs = [f"CAST({each} AS BLOB)" if each in (*TEXTS, "removed_at") else each for each in CHECKSUMMED]
    return f"row_checksum({', '.join(blobs)})"


def decode_text(content: bytes) -> str:
    """Decode a text column; damaged UTF-8 becomes surrogates and does not fail a query of many rows."""
    return content.decode("utf-8", "surrogateescape")


def find_fault(row: Sequence[Any]) -> str | None:
    """Return the fault of a row of the `CHECKED` columns; None for an intact row.

    A row without a checksum, as other programs write it, is checked by its digests alone.
    """
    checksum, embedding = row[-2], row[-1]
    digested = isinstance(embedding, bytes) and content_digest(embedding) == row[_EMBEDDING_DIGEST]
    if digested and checksum is not None and checksum == row_checksum(*row[:-2]):
        return None  # unchanged since this program checked and wrote it
    named = dict(zip(CHECKSUMMED, row, strict=False))
    if fault := _fault_of_texts(named) or _fault_of_embedding(embedding):
        return fault
    if not digested:
        return "the embedding differs from its digest"
    return None if checksum is None else "the row differs from its checksum"


def find_damaged(connection: sqlite3.Connection) -> dict[int, str]:
    """Return the fault of each damaged example by id, also of removed ones."""
    decode = connection.text_factory
    try:
        connection.text_factory = str  # a third faster than a function of ours
        return _find_damaged(connection)
    except sqlite3.OperationalError:  # not UTF-8
        connection.text_factory = decode_text
        return _find_damaged(connection)
    finally:
        connection.text_factory = decode


def _find_damaged(connection: sqlite3.Connection) -> dict[int, str]:
    faults: dict[int, str] = {}
    lengths: dict[str, dict[int, list[tuple[int, str]]]] = {}
    rows = connection.execute(f"SELECT {', '.join(CHECKED)} FROM examples ORDER BY id")
    while page := rows.fetchmany(_PAGE):
        for row in page:
            example_id, label, space, embedding = row[0], row[1], row[2], row[-1]
            if fault := find_fault(row):
                faults[example_id] = describe(example_id, label, fault)
            else:
                same_length = lengths.setdefault(space, {}).setdefault(len(embedding) // 4, [])
                same_length.append((example_id, label))
    return faults | _unusual_lengths(lengths)


def describe(example_id: object, label: object, fault: str) -> str:
    """Return a message for an example's fault."""
    name = str(label).encode("utf-8", "replace").decode()
    return f"example {example_id} ('{name}'): {fault}"


def summarise(faults: Collection[str]) -> str:
    """Return the first five faults and the number of the others."""
    shown = "; ".join(list(faults)[:_SHOWN])
    return shown + (f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else "")


def _unusual_lengths(lengths: dict[str, dict[int, list[tuple[int, str]]]]) -> dict[int, str]:
    """Return the faults of examples whose length differs from that of most examples in their space."""
    faults = {}
    for by_length in lengths.values():
        usual = max(by_length, key=lambda length: len(by_length[length]))
        for length in by_length.keys() - {usual}:
            fault = f"its embedding has {counted(length, 'number')}, the others {usual}"
            faults.update({each: describe(each, label, fault) for each, label in by_length[length]})
    return faults


def _fault_of_texts(values: dict[str, Any]) -> str | None:
    for name in TEXTS:
        text = values[name]
        if not isinstance(text, str) or (not text.isascii() and not _is_unicode(text)):
            return f"its {name} is not text"
    if not values["label"].strip():
        return "its label is empty"
    return _fault_of_time("created_at", values) or _fault_of_time("removed_at", values)


def _fault_of_time(name: str, values: dict[str, Any]) -> str | None:
    stamp = values[name]
    if stamp is None and name == "removed_at":
        return None
    try:
        known = datetime.fromisoformat(stamp).tzinfo is not None
    except (TypeError, ValueError):
        known = False
    return None if known else f"its {name} is not a time"


def _fault_of_embedding(embedding: object) -> str | None:
    if not isinstance(embedding, bytes) or len(embedding) % 4:
        return "its embedding is not a row of numbers"
    try:
        pack(unpack(embedding))
    except EmbeddingError as exc:
        return str(exc)
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checksum_of_blobs(*values: object) -> bytes | None:
    return row_checksum(
        *(
            decode_text(value) if isinstance(value, bytes) and not name.endswith("_digest") else value
            for name, value in zip(CHECKSUMMED, values, strict=True)
        )
    )
