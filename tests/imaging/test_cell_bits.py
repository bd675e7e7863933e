"""Filters on the bits of a grid do what the same filters on arrays do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edge_daemon.imaging.cell_bits import BitGrid, Bits, CellMask, bit_grid

SHAPES = ((12, 12), (40, 53), (53, 40), (13, 80), (17, 33))


def drawn(shape: tuple[int, int]) -> Iterator[CellMask]:
    """Yield grids with few and many flags, single ones and patches of 3 x 3."""
    random = np.random.default_rng(1)
    for share in (0, 0.004, 0.02, 0.1, 0.4, 0.9, 1):
        flags = random.random(shape) < share
        yield flags
        yield counts(flags) > 0


def counts(flags: CellMask) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """Return the number of flags in 3 x 3 cells; the edge is repeated outside."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(flags, 1, "edge"), (3, 3))
    total: np.ndarray[tuple[int, ...], np.dtype[np.intp]] = windows.sum(axis=(2, 3))
    return total


def unpacked(grid: BitGrid, bits: Bits) -> CellMask:
    return grid.unpack(bits).astype(bool)


def spanned(flags: CellMask) -> CellMask:
    """Return the cells between the first and the last flag of each row."""
    after: CellMask = np.logical_or.accumulate(flags, axis=1)
    before: CellMask = np.logical_or.accumulate(flags[:, ::-1], axis=1)[:, ::-1]
    return after & before


@pytest.mark.parametrize("shape", SHAPES)
def test_flags_are_the_same_after_packing(shape: tuple[int, int]) -> None:
    grid = bit_grid(*shape)
    for flags in drawn(shape):
        bits = grid.pack(flags)
        assert bits.bit_count() == flags.sum()
        np.testing.assert_array_equal(unpacked(grid, bits), flags)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_majority_is_five_of_nine(shape: tuple[int, int]) -> None:
    grid = bit_grid(*shape)
    for flags in drawn(shape):
        filtered = grid.median_filter(grid.pack(flags))
        np.testing.assert_array_equal(unpacked(grid, filtered), counts(flags) >= 5)


@pytest.mark.parametrize("shape", SHAPES)
def test_edges_lie_between_different_neighbours(shape: tuple[int, int]) -> None:
    grid = bit_grid(*shape)
    levels = np.random.default_rng(2).random(shape, np.float32)
    expected = np.zeros(shape, bool)
    expected[1:-1] = np.abs(levels[2:] - levels[:-2]) >= 0.6
    expected[:, 1:-1] |= np.abs(levels[:, 2:] - levels[:, :-2]) >= 0.6
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(unpacked(grid, grid.edges(levels, 0.6)), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_closing_fills_gaps_and_what_is_enclosed(shape: tuple[int, int]) -> None:
    grid = bit_grid(*shape)
    for flags in drawn(shape):
        joined = flags | (counts(counts(flags) > 0) == 9)
        expected = spanned(joined) & spanned(joined.T).T
        np.testing.assert_array_equal(unpacked(grid, grid.close_and_fill(grid.pack(flags))), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_extent_is_the_bounding_box(shape: tuple[int, int]) -> None:
    grid = bit_grid(*shape)
    for flags in (each for each in drawn(shape) if each.any()):
        rows, columns = np.flatnonzero(flags.any(axis=1)), np.flatnonzero(flags.any(axis=0))
        bits = grid.pack(flags)
        assert grid.bounding_box(bits) == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert grid.count_used(bits) == (len(rows), len(columns))


def test_parts_are_separate_where_a_block_lies_between_them() -> None:
    grid = bit_grid(30, 41)
    flags = np.zeros((30, 41), bool)
    left, right, corner = (
        (slice(0, 8), slice(0, 7)),
        (slice(2, 9), slice(13, 20)),
        (slice(24, 30), slice(37, 41)),
    )
    for place in (left, right, corner):
        flags[place] = True
    parts = [unpacked(grid, part) for part in grid.connected_components(grid.pack(flags))]
    assert [part.sum() for part in parts] == [56, 49, 24]
    for place, part in zip((left, right, corner), parts, strict=True):
        assert part[place].all()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_parts_are_all_cells_once(shape: tuple[int, int]) -> None:
    grid = bit_grid(*shape)
    for flags in drawn(shape):
        bits = grid.pack(flags)
        parts = grid.connected_components(bits)
        assert sum(part.bit_count() for part in parts) == bits.bit_count()
        assert sum(parts) == bits


def test_a_flag_at_the_end_of_a_row_does_not_reach_the_next_row() -> None:
    grid = bit_grid(16, 18)
    flags = np.zeros((16, 18), bool)
    flags[2:5, 15:] = flags[6:9, :3] = True
    assert len(grid.connected_components(grid.pack(flags))) == 2
    np.testing.assert_array_equal(unpacked(grid, grid.close_and_fill(grid.pack(flags))), flags)
