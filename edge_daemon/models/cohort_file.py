"""Cohort files: embeddings of unrelated photos by a known model, beside its manifest.

`<model>.cohort.npy` holds an int8 array (n x d): unit embeddings, each row scaled to a largest value of 127.
`scripts/training/make_cohort.py` writes them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_daemon.config.paths import package_data
from edge_daemon.domain.errors import ModelError


def read_cohort(model: str) -> npt.NDArray[np.float32] | None:
    """Return the unit embeddings (n x d) of a model's cohort; None without a file.

    Raises ModelError for a damaged file.
    """
    path = package_data("models") / f"{model}.cohort.npy"
    try:
        stored = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as exc:
        raise ModelError(f"cohort file '{path}' can't be read: {exc}; reinstall edge_daemon") from exc
    if stored.dtype != np.int8 or stored.ndim != 2 or not len(stored):
        raise ModelError(f"cohort file '{path}' holds no int8 rows; reinstall edge_daemon")
    rows = stored.astype(np.float32)
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0)
    return np.ascontiguousarray(rows / lengths)


def pack_cohort(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """Return unit embeddings (n x d) as a cohort file stores them."""
    largest = np.maximum(np.abs(embeddings).max(axis=1, keepdims=True), 1e-9)
    packed: npt.NDArray[np.int8] = np.rint(embeddings / largest * 127).astype(np.int8)
    return packed
