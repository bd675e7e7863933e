"""The tables of a damaged database, found by their pages: they are intact without the page that names them.

Format: https://sqlite.org/fileformat2.html, chapters 1.5 (freelist), 1.6 (b-tree pages) and 2.1 (records).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

PAGE = 4096
"""Page size of every store: SQLite's default."""

Layout = tuple[int, bool]
"""Number of columns of a table, and whether the first one is text."""

_LEAF, _INTERIOR = 0x0D, 0x05
_TRUNKS_AT = 32
_MAX_HEADER = 100


def find_tables(path: Path) -> dict[Layout, int]:
    """Return the root page of the table with the most rows of each layout. Raises OSError.

    A page that was freed may hold rows that were deleted; it is left out.
    """
    parents: dict[int, int] = {}
    leaves: dict[int, tuple[Layout, int]] = {}
    with path.open("rb") as file:
        count = file.seek(0, 2) // PAGE

        def read(number: int) -> bytes:
            file.seek((number - 1) * PAGE)
            return file.read(PAGE)

        freed = _freed_pages(read, count)
        for number in range(2, count + 1):
            page = read(number)
            if number in freed or page[0] not in (_LEAF, _INTERIOR):
                continue
            if page[0] == _INTERIOR:
                parents.update((child, number) for child in _children(page))
            elif layout := _layout(page):
                leaves[number] = layout, _cell_count(page)
    rows: Counter[tuple[Layout, int]] = Counter()
    for number, (layout, cells) in leaves.items():
        rows[layout, _root(number, parents)] += cells
    return {layout: root for (layout, root), _ in reversed(rows.most_common())}


def _freed_pages(read: Callable[[int], bytes], count: int) -> set[int]:
    freed: set[int] = set()
    trunk = _number(read(1), _TRUNKS_AT)
    while 1 < trunk <= count and trunk not in freed:
        page = read(trunk)
        listed = min(_number(page, 4), PAGE // 4 - 2)
        freed |= {trunk, *(_number(page, 8 + 4 * each) for each in range(listed))}
        trunk = _number(page, 0)
    return freed


def _root(number: int, parents: dict[int, int]) -> int:
    seen: set[int] = set()
    while number in parents and number not in seen:
        seen.add(number)
        number = parents[number]
    return number


def _children(page: bytes) -> Iterator[int]:
    yield _number(page, 8)
    for start in _cells(page, 12):
        yield _number(page, start)


def _layout(page: bytes) -> Layout | None:
    """Return the layout of the first row of a leaf that can be read."""
    return next((layout for start in _cells(page, 8) if (layout := _layout_of_row(page, start))), None)


def _layout_of_row(page: bytes, at: int) -> Layout | None:
    for _ in range(2):  # the row's size and its id
        _, at = _varint(page, at)
    size, start = _varint(page, at)
    end = at + size
    if not 2 <= size <= _MAX_HEADER or end > len(page):
        return None
    types = []
    while start < end:
        kind, start = _varint(page, start)
        types.append(kind)
    return (len(types), types[0] >= 13 and types[0] % 2 == 1) if start == end else None


def _cells(page: bytes, pointers: int) -> Iterator[int]:
    for at in range(pointers, min(pointers + 2 * _cell_count(page), PAGE), 2):
        start = int.from_bytes(page[at : at + 2], "big")
        if pointers <= start < PAGE - 3:
            yield start


def _cell_count(page: bytes) -> int:
    return int.from_bytes(page[3:5], "big")


def _number(page: bytes, at: int) -> int:
    return int.from_bytes(page[at : at + 4], "big")


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """Return a variable-length integer and the place after it."""
    value = 0
    for length, byte in enumerate(page[at : at + 9], 1):
        value = (value << 8 | byte) if length == 9 else (value << 7 | byte & 0x7F)
        if byte < 0x80 or length == 9:
            return value, at + length
    return value, PAGE
