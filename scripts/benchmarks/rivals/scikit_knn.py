"""scikit-learn's brute-force KNN."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.errors import EdgeError

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector


def install(folder: Path) -> None:
    """Fetch scikit-learn from PyPI into a separate folder. Raises EdgeError."""
    if not (folder / "sklearn").exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), "scikit-learn"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EdgeError(f"pip could not install scikit-learn: {done.stderr.strip().splitlines()[-1]}")


def missing(folder: Path) -> str | None:
    """Say what is missing to run it, and let what was installed be found; None when nothing is."""
    if folder.exists() and str(folder) not in sys.path:
        sys.path.append(str(folder))
    if importlib.util.find_spec("sklearn") is None:
        return "scikit-learn is not installed; add --install"
    return None


class ScikitKNN:
    """As its documentation says for cosine: brute force, and the default uniform weights."""

    def __init__(self, taught: list[tuple[Vector, str]], k: int) -> None:
        from sklearn.neighbors import KNeighborsClassifier

        vectors, labels = zip(*taught, strict=True)
        self._classifier = KNeighborsClassifier(k, algorithm="brute", metric="cosine")
        self._classifier.fit(np.stack(vectors), labels)

    def answer(self, query: Vector) -> str:
        """Name a query."""
        return str(self._classifier.predict(query[None])[0])
