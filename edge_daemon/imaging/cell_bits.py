"""Bit sets of the cells of a grid: the flags as the bits of one integer, and filters of such masks. Pure.

An operation on an integer of 2,000 bits takes 0.1 µs. One on an array of as many flags takes 1 µs or more,
most of which is the call.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

CellMask: TypeAlias = npt.NDArray[np.bool_]
"""One flag per cell of a picture: shape (rows, columns)."""

Bits: TypeAlias = int
"""One bit per cell, row by row; the first cell is the lowest bit."""

_BLOCK = 4
"""Side in cells of the blocks by which parts are connected."""


@lru_cache(maxsize=16)
def bit_grid(rows: int, columns: int) -> BitGrid:
    """Return the grid of this size, which is cached: it keeps no state."""
    return BitGrid(rows, columns)


class BitGrid:
    """Filters of the flags of `rows` x `columns` cells. It keeps no state."""

    def __init__(self, rows: int, columns: int) -> None:
        self._rows = rows
        self._columns = columns
        self._all = (1 << rows * columns) - 1
        self._top = (1 << columns) - 1
        self._bottom = self._top << (rows - 1) * columns
        self._left = self._all // self._top
        self._right = self._left << columns - 1
        self._column_steps = [self._step(span) for span in _doublings(columns)]
        self._row_shifts = [span * columns for span in _doublings(rows)]
        self._in_block = self._step(1), self._step(2)
        self._to_next_block = self._step(_BLOCK)
        columns_of_blocks = self._left * sum(1 << column for column in range(0, columns, _BLOCK))
        rows_of_blocks = sum(self._top << row * columns for row in range(0, rows, _BLOCK))
        self._block_corners = columns_of_blocks & rows_of_blocks

    def pack(self, flags: CellMask) -> Bits:
        """Return flags as bits."""
        return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")

    def edges(self, levels: npt.NDArray[np.float32], min_difference: float) -> Bits:
        """Return the cells whose two neighbours in a row or column differ by `min_difference` or more.

        `levels` has the shape (rows, columns).
        """
        flat, columns = levels.ravel(), self._columns
        across, down = flat[2:] - flat[:-2], flat[2 * columns :] - flat[: -2 * columns]
        beside = self.pack(np.abs(across, out=across) >= min_difference) << 1 & ~(self._left | self._right)
        return beside | self.pack(np.abs(down, out=down) >= min_difference) << columns

    def unpack(self, bits: Bits) -> npt.NDArray[np.uint8]:
        """Return bits as numbers 0 and 1, shape (rows, columns)."""
        size = self._rows * self._columns
        packed = np.frombuffer(bits.to_bytes(-(-size // 8), "little"), np.uint8)
        return np.unpackbits(packed, count=size, bitorder="little").reshape(self._rows, self._columns)

    def median_filter(self, bits: Bits) -> Bits:
        """Return a 3 x 3 median filter of the flags; those at the edge are repeated outside."""
        left = (bits << 1 & ~self._left | bits & self._left) & self._all
        right = bits >> 1 & ~self._right | bits & self._right
        ones, twos = _add(left, bits, right)
        ones, carry = self._add_rows(ones)
        twos, fours = self._add_rows(twos)
        fours, eights = fours ^ (twos & carry), fours & twos & carry
        return eights | fours & (twos ^ carry | ones)

    def close_and_fill(self, bits: Bits) -> Bits:
        """Return the flags after a morphological closing (gaps of two cells), with holes filled.

        A hole is a cell with a flag to its left and right, above and below, at any distance.
        """
        joined = bits | self._all & ~self._dilated(self._all & ~self._dilated(bits))
        rightwards = leftwards = downwards = upwards = joined
        for span, low, high in self._column_steps:
            rightwards |= rightwards << span & high
            leftwards |= leftwards >> span & low
        for shift in self._row_shifts:
            downwards |= downwards << shift & self._all
            upwards |= upwards >> shift
        return rightwards & leftwards & downwards & upwards

    def connected_components(self, bits: Bits) -> list[Bits]:
        """Return the connected components; a gap narrower than a block of four cells connects."""
        blocks = remaining = self._blocks(bits)
        found: list[Bits] = []
        while remaining:
            part = self._grown(remaining & -remaining, blocks)
            remaining &= ~part
            if not remaining and not found:
                return [bits]
            found.append(bits & self._spread(part))
        return found

    def bounding_box(self, bits: Bits) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the bounding box, ends exclusive; at least one flag."""
        columns = self._used_columns(bits)
        top, bottom = _lowest(bits) // self._columns, (bits.bit_length() - 1) // self._columns
        return _lowest(columns), top, columns.bit_length(), bottom + 1

    def count_used(self, bits: Bits) -> tuple[int, int]:
        """Return the number of rows and of columns that have a flag."""
        rows = bits
        for span, low, _ in self._column_steps:
            rows |= rows >> span & low
        return (rows & self._left).bit_count(), self._used_columns(bits).bit_count()

    def _step(self, span: int) -> tuple[int, Bits, Bits]:
        """Return a step along the rows: its length, and the cells it can reach backwards and forwards."""
        width = max(0, self._columns - span)
        backwards = self._left * ((1 << width) - 1)
        return span, backwards, backwards << span & self._all

    def _add_rows(self, bits: Bits) -> tuple[Bits, Bits]:
        above = bits << self._columns & self._all | bits & self._top
        below = bits >> self._columns | bits & self._bottom
        return _add(above, bits, below)

    def _dilated(self, bits: Bits) -> Bits:
        """Return the flags grown by one cell, also diagonally."""
        _, low, high = self._in_block[0]
        beside = bits | bits << 1 & high | bits >> 1 & low
        return beside | beside << self._columns & self._all | beside >> self._columns

    def _blocks(self, bits: Bits) -> Bits:
        """Return the first cell of each block that has a flag."""
        for span, low, _ in self._in_block:
            bits |= bits >> span & low
        bits |= bits >> self._columns
        bits |= bits >> 2 * self._columns
        return bits & self._block_corners

    def _spread(self, blocks: Bits) -> Bits:
        """Return all cells of blocks that are given by their first cell."""
        for span, _, high in self._in_block:
            blocks |= blocks << span & high
        blocks |= blocks << self._columns
        return blocks | blocks << 2 * self._columns

    def _grown(self, part: Bits, blocks: Bits) -> Bits:
        """Return the component of `blocks` that holds those of `part` (a flood fill)."""
        step, low, high = self._to_next_block
        shift = _BLOCK * self._columns
        while True:
            beside = part | part << step & high | part >> step & low
            grown = (beside | beside << shift | beside >> shift) & blocks
            if grown == part:
                return part
            part = grown

    def _used_columns(self, bits: Bits) -> Bits:
        for shift in self._row_shifts:
            bits |= bits >> shift
        return bits & self._top


def _doublings(length: int) -> list[int]:
    """Return 1, 2, 4 and so on below a length."""
    return [1 << power for power in range((length - 1).bit_length())]


def _add(first: Bits, second: Bits, third: Bits) -> tuple[Bits, Bits]:
    """Return the sum of three flags per cell, as its ones and its twos."""
    either = first ^ second
    return either ^ third, first & second | either & third


def _lowest(bits: Bits) -> int:
    """Return the index of the lowest flag."""
    return (bits & -bits).bit_length() - 1
