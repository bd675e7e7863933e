"""Cohort files: reading, damage, and what a cohort of a real model tells apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.models import cohort_file
from edge_daemon.models.cohort_file import pack_cohort, read_cohort
from edge_daemon.models.registry import shipped_manifests


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cohort_file, "package_data", lambda _: tmp_path)
    return tmp_path


def test_what_was_packed_is_read_within_a_step_of_eight_bits(folder: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.save(folder / "model.cohort.npy", pack_cohort(rows))
    read = read_cohort("model")
    assert read is not None
    assert (read * rows).sum(axis=1).min() > 0.999
    assert np.linalg.norm(read, axis=1) == pytest.approx(1)


def test_a_model_without_a_file_has_no_cohort(folder: Path) -> None:
    assert read_cohort("mine") is None


@pytest.mark.parametrize("content", [b"", b"not an array", np.zeros((2, 2)).tobytes()])
def test_a_damaged_file_is_named(folder: Path, content: bytes) -> None:
    (folder / "model.cohort.npy").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.cohort\.npy"):
        read_cohort("model")


def test_a_file_of_floats_is_refused(folder: Path) -> None:
    np.save(folder / "model.cohort.npy", np.zeros((2, 4), np.float32))
    with pytest.raises(ModelError, match="holds no int8 rows"):
        read_cohort("model")


def test_each_shipped_cohort_fits_its_model() -> None:
    sizes = {each.name: each.embedding_size for each in shipped_manifests()}
    cohorts = {name: read_cohort(name) for name in sizes}
    shapes = {name: rows.shape for name, rows in cohorts.items() if rows is not None}
    assert shapes == {name: (128, sizes[name]) for name in shapes}
    assert "tf2_mobilenet_v2_1.0_224_ptq" in shapes
