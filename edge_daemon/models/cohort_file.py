"""Cohort files: embeddings of unrelated photos by a known model, beside its manifest.

`<model>.cohort.npz` holds `embeddings`, an int8 array (n x d) of unit embeddings, each row scaled to a
largest value of 127, and `model`, the SHA-256 of the model file. `scripts/training/make_cohort.py` writes it.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_daemon.config.paths import package_data
from edge_daemon.domain.errors import ModelError
from edge_daemon.system.regular_file import open_regular


def read_cohort(model: Path) -> npt.NDArray[np.float32] | None:
    """Return the unit embeddings (n x d) of the cohort of a model file.

    None without a cohort of that name, and for a model file other than the one that the cohort was made with.
    Raises ModelError for a damaged cohort.
    """
    path = cohort_path(model.stem)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            made_with, stored = str(arrays["model"]), arrays["embeddings"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as exc:
        raise ModelError(f"cohort file '{path}' can't be read: {exc}; reinstall edge_daemon") from exc
    if stored.dtype != np.int8 or stored.ndim != 2 or not len(stored):
        raise ModelError(f"cohort file '{path}' holds no int8 rows; reinstall edge_daemon")
    if made_with != _sha256(model):
        return None
    rows = stored.astype(np.float32)
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0)
    return np.ascontiguousarray(rows / lengths)


def write_cohort(model: Path, embeddings: npt.NDArray[np.float32]) -> None:
    """Write the cohort of a model file: unit embeddings (n x d) of unrelated photos."""
    largest = np.maximum(np.abs(embeddings).max(axis=1, keepdims=True), 1e-9)
    packed = np.rint(embeddings / largest * 127).astype(np.int8)
    np.savez(cohort_path(model.stem), model=np.array(_sha256(model)), embeddings=packed)


def cohort_path(name: str) -> Path:
    """Return the path of a model's cohort file, which need not exist."""
    return package_data("models") / f"{name}.cohort.npz"


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.sha256(file.read()).hexdigest()
