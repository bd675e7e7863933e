"""Cohort files: reading, damage, and the model file that a cohort belongs to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.models import cohort_file
from edge_daemon.models.cohort_file import cohort_path, read_cohort, write_cohort
from edge_daemon.models.registry import shipped_manifests
from tests.harness.unit_vectors import unit


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a model file whose cohort lies beside it."""
    monkeypatch.setattr(cohort_file, "package_data", lambda _: tmp_path)
    path = tmp_path / "model.tflite"
    path.write_bytes(b"weights")
    return path


def test_what_was_written_is_read_within_a_step_of_eight_bits(model: Path) -> None:
    rows = np.stack([unit(seed, 64) for seed in range(5)])
    write_cohort(model, rows)
    read = read_cohort(model)
    assert read is not None
    assert (read * rows).sum(axis=1).min() > 0.999
    assert np.linalg.norm(read, axis=1) == pytest.approx(1)


def test_a_model_without_a_file_has_no_cohort(model: Path) -> None:
    assert read_cohort(model) is None


def test_another_model_of_the_same_name_does_not_use_the_cohort(model: Path, tmp_path: Path) -> None:
    write_cohort(model, np.stack([unit(seed, 64) for seed in range(5)]))
    retrained = tmp_path / "mine" / model.name
    retrained.parent.mkdir()
    retrained.write_bytes(b"weights of a later training")
    assert read_cohort(retrained) is None
    retrained.write_bytes(model.read_bytes())
    assert read_cohort(retrained) is not None


@pytest.mark.parametrize("content", [b"", b"not an array", np.zeros((2, 2)).tobytes(), b"PK\3\4 cut off"])
def test_a_damaged_file_is_named(model: Path, content: bytes) -> None:
    cohort_path(model.stem).write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.cohort\.npz"):
        read_cohort(model)


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"embeddings": np.zeros((2, 4), np.int8)}, "model"),
        ({"model": np.array("a")}, "embeddings"),
        ({"model": np.array("a"), "embeddings": np.zeros((2, 4), np.float32)}, "holds no int8 rows"),
    ],
)
def test_a_file_of_other_arrays_is_refused(
    model: Path, arrays: dict[str, npt.NDArray[np.generic]], fault: str
) -> None:
    np.savez(cohort_path(model.stem), allow_pickle=False, **arrays)
    with pytest.raises(ModelError, match=fault):
        read_cohort(model)


def test_each_shipped_cohort_belongs_to_the_file_of_its_manifest() -> None:
    found = []
    for manifest in shipped_manifests():
        if cohort_path(manifest.name).exists():
            with np.load(cohort_path(manifest.name), allow_pickle=False) as arrays:
                assert str(arrays["model"]) == manifest.sha256, manifest.name
                assert arrays["embeddings"].shape == (128, manifest.embedding_size)
            found.append(manifest.name)
    assert "tf2_mobilenet_v2_1.0_224_ptq" in found
    assert "edge_embedder_v2" in found
