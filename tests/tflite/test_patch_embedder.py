"""Patch embeddings: invariant to light, and shifted variants match a shifted pattern."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.domain.errors import EmbeddingError, ImageError
from edge_daemon.imaging.regions import crop
from edge_daemon.tflite.patch_embedder import PatchEmbedder, shifted_variants
from tests.harness.digit_pictures import Light, boxes, draw_frame

EMBEDDER = PatchEmbedder()


def patch(digit: int, light: Light) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Embed one drawn digit of 8 x 10 pixels."""
    frame = draw_frame("lcd", str(digit), light, np.random.default_rng(digit))
    return EMBEDDER.embed(crop(frame, boxes(1)[0]))


def test_a_patch_is_a_unit_vector_without_mean() -> None:
    vector = patch(3, Light())
    assert vector.dtype == np.float32
    assert vector.shape == (EMBEDDER.size,)
    assert vector.sum() == pytest.approx(0, abs=1e-4)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_brightness_and_contrast_have_no_effect() -> None:
    bright, dim = patch(3, Light(gain=1.0, noise=0)), patch(3, Light(gain=0.5, noise=0))
    assert bright @ dim > 0.999


def test_a_shift_of_a_pixel_matches_a_variant() -> None:
    still, shifted = patch(5, Light()), patch(5, Light(shift=(1.0, -0.8)))
    assert still @ shifted < 0.5
    assert (shifted_variants(shifted) @ still).max() > 0.75


def test_the_middle_variant_is_the_patch_itself() -> None:
    vector = patch(8, Light())
    rows = shifted_variants(vector)
    assert rows.shape == (25, EMBEDDER.size)
    assert rows[12] == pytest.approx(vector, abs=1e-6)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(25), abs=1e-5)


def test_a_pattern_at_the_edge_may_be_shifted_out() -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:, 0] = 255
    rows = shifted_variants(EMBEDDER.embed(picture))
    assert np.isfinite(rows).all()


def test_a_region_without_contrast_has_no_embedding() -> None:
    with pytest.raises(EmbeddingError, match="one grey"):
        EMBEDDER.embed(np.full((10, 8, 3), 90, np.uint8))


def test_an_invalid_array_is_refused() -> None:
    with pytest.raises(ImageError, match="expected an RGB picture"):
        EMBEDDER.embed(np.zeros((10, 8), np.uint8))
