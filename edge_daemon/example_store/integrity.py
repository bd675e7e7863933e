"""The checksum of an example's row, and the fault of a row that can't be trusted.

SQLite has no checksums of its own: a bit that flips on an SD card changes a label or an embedding unnoticed.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec

from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.example_store.record import content_digest, pack, unpack

TEXTS = ("label", "space", "region", "burst", "source", "created_at", "origin")
SEALED = (
    *("id", "label", "space", "region", "burst", "source", "created_at", "removed_at"),
    *("origin", "number", "probation", "picture_digest", "embedding_digest"),
)
"""Columns that the checksum covers; the two digests cover the embedding and the picture."""

CHECKED = (*SEALED, "checksum", "embedding")
"""Columns that `find_fault` needs, in this order."""

CHECKSUM_BYTES = 16

TO_BE_SEALED = f"zeroblob({CHECKSUM_BYTES})"
"""The checksum of a new row, until the connection's trigger replaces it: a row that grew would move."""

_PAGE = 256
_SHOWN = 5


def row_checksum(*values: object) -> bytes | None:
    """Return the checksum of the `SEALED` columns, in their order; None where a text is damaged."""
    try:
        return hashlib.sha256(msgspec.msgpack.encode(values)).digest()[:CHECKSUM_BYTES]
    except UnicodeEncodeError:
        return None


def add_checksum_function(connection: sqlite3.Connection) -> None:
    """Give SQL the function that `sql_checksum` calls."""
    # Text arrives as bytes, so that even a damaged one gets a checksum.
    connection.create_function("row_checksum", len(SEALED), _checksum_of_blobs, deterministic=True)


def sql_checksum() -> str:
    """Return the SQL expression of a row's checksum."""
    blobs = [f"CAST({each} AS BLOB)" if each in (*TEXTS, "removed_at") else each for each in SEALED]
    return f"row_checksum({', '.join(blobs)})"


def decode_text(content: bytes) -> str:
    """Decode a column as SQLite holds it: damaged UTF-8 must not fail a query of many rows."""
    return content.decode("utf-8", "surrogateescape")


def find_fault(row: Sequence[Any]) -> str | None:
    """Return what is wrong with a row of the `CHECKED` columns; None for a sound one.

    A row without a checksum, as other programs write it, is checked by its digests alone.
    """
    *sealed, checksum, embedding = row
    digest = sealed[-1]
    digested = isinstance(embedding, bytes) and content_digest(embedding) == digest
    if digested and checksum is not None and checksum == row_checksum(*sealed):
        return None  # as this program wrote it, which checked it
    values = dict(zip(SEALED, sealed, strict=True))
    if fault := _fault_of_texts(values) or _fault_of_embedding(embedding):
        return fault
    if not digested:
        return "the embedding differs from its digest"
    return None if checksum is None else "the row differs from its checksum"


def find_damaged(connection: sqlite3.Connection) -> dict[int, str]:
    """Return the fault of each example that can't be used, removed ones too, by id."""
    faults: dict[int, str] = {}
    lengths: dict[str, dict[int, list[tuple[int, str]]]] = {}
    rows = connection.execute(f"SELECT {', '.join(CHECKED)} FROM examples ORDER BY id")
    while page := rows.fetchmany(_PAGE):
        for row in page:
            number, label, space, embedding = row[0], row[1], row[2], row[-1]
            if fault := find_fault(row):
                faults[number] = describe(number, label, fault)
            else:
                alike = lengths.setdefault(space, {}).setdefault(len(embedding) // 4, [])
                alike.append((number, label))
    return faults | _odd_lengths(lengths)


def describe(number: object, label: object, fault: str) -> str:
    """Return an example's fault in words."""
    name = str(label).encode("utf-8", "replace").decode()
    return f"example {number} ('{name}'): {fault}"


def in_words(faults: Collection[str]) -> str:
    """Return the first faults, and how many more there are."""
    shown = "; ".join(list(faults)[:_SHOWN])
    return shown + (f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else "")


def _odd_lengths(lengths: dict[str, dict[int, list[tuple[int, str]]]]) -> dict[int, str]:
    """Return the examples that are shorter or longer than most of their space."""
    faults = {}
    for by_length in lengths.values():
        usual = max(by_length, key=lambda length: len(by_length[length]))
        for length in by_length.keys() - {usual}:
            fault = f"its embedding has {length} numbers, the others {usual}"
            faults.update({number: describe(number, label, fault) for number, label in by_length[length]})
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
    named = zip(SEALED, values, strict=True)
    return row_checksum(
        *(
            decode_text(value) if isinstance(value, bytes) and not name.endswith("_digest") else value
            for name, value in named
        )
    )
