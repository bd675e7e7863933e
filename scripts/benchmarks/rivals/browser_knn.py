"""The browser's KNN classifier (npm package @tensorflow-models/knn-classifier), run in Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.errors import EdgeError

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

PACKAGES = (
    "@tensorflow-models/knn-classifier@1.2.6",
    "@tensorflow/tfjs-core@4.22.0",
    "@tensorflow/tfjs-backend-cpu@4.22.0",
    "@tensorflow/tfjs-backend-wasm@4.22.0",
)
BACKENDS = ("cpu", "wasm")
_SCRIPT = Path(__file__).with_suffix(".js")


def install(folder: Path) -> None:
    """Fetch the packages from the npm registry. Raises EdgeError."""
    if not (folder / "node_modules/@tensorflow-models").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *PACKAGES]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EdgeError(f"npm could not install the classifier: {done.stderr.strip().splitlines()[-1]}")


def missing(folder: Path) -> str | None:
    """Say what is missing to run it; None when nothing is."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (folder / "node_modules/@tensorflow-models").exists():
        return "its npm packages are not installed; add --install"
    return None


class BrowserKNN:
    """A Node process that holds the examples and answers queries, and times itself; a context manager."""

    def __init__(
        self, folder: Path, backend: str, taught: list[tuple[Vector, str]], queries: list[Vector], k: int
    ) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="browser-knn-")
        _write(Path(self._files.name), taught, queries)
        self._said = Path(self._files.name) / "stderr"
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                ["node", str(_SCRIPT), self._files.name, backend, str(len(queries[0])), str(k)],
                env={**os.environ, "NODE_PATH": str(folder / "node_modules")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self._read()

    def __enter__(self) -> BrowserKNN:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._files.cleanup()

    def ask(self, row: int) -> tuple[float, str]:
        """Return the milliseconds and the label for a query, by its place among the queries."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{row}\n")
        self._process.stdin.flush()
        milliseconds, _, label = self._read().partition(" ")
        return float(milliseconds), label

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = self._said.read_text().splitlines()
            reason = next((each for each in said if "Error" in each), "it did not say why")
            raise EdgeError(f"node ended with code {self._process.wait()}: {reason}")
        return line.rstrip("\n")


def _write(folder: Path, taught: list[tuple[Vector, str]], queries: list[Vector]) -> None:
    labels = list(dict.fromkeys(label for _, label in taught))
    for number, label in enumerate(labels):
        rows = np.stack([vector for vector, own in taught if own == label])
        (folder / f"class{number}").write_bytes(rows.astype("<f4").tobytes())
    names = [[label, f"class{number}"] for number, label in enumerate(labels)]
    (folder / "classes.json").write_text(json.dumps(names))
    (folder / "queries").write_bytes(np.stack(queries).astype("<f4").tobytes())
