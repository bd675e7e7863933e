"""Brightness and clipped values of a picture."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.camera.light import CELL_COLUMNS, CELL_ROWS, measure_light


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (17, 3), (1, 1)])
def test_a_plain_picture_has_equal_cells(size: tuple[int, int]) -> None:
    light = measure_light(np.full((*size, 3), 90, np.uint8))
    assert light.cells.shape == (CELL_ROWS * CELL_COLUMNS,)
    assert set(light.cells.tolist()) == {90.0}
    assert light.brightness == 90.0
    assert light.clipped == 0.0


def test_cells_are_row_by_row() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[: 480 // CELL_ROWS, -640 // CELL_COLUMNS :] = 120
    cells = measure_light(picture).cells
    assert cells[CELL_COLUMNS - 1] == pytest.approx(120, abs=10)
    assert np.delete(cells, CELL_COLUMNS - 1).max() == 0


def test_values_at_their_maximum_are_clipped() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[:, :320] = 255
    assert measure_light(picture).clipped == 0.5
