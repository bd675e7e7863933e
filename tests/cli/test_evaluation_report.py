"""The HTML report of an evaluation, from made-up embeddings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from edge_daemon.cli.evaluation_report import Heading, write_page
from edge_daemon.evaluation.few_shot import CLASSIFIERS, Dataset, measure


def longest_unit_vector() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return a unit vector whose product with itself is above 1 by a rounding step."""
    rng = np.random.default_rng(0)
    while True:
        vector = rng.standard_normal(64).astype(np.float32)
        vector /= np.linalg.norm(vector)
        rows = np.stack([vector, vector])
        if (rows @ rows.T).min() > 1:
            return vector


def test_copies_of_one_picture_are_in_the_histogram(tmp_path: Path) -> None:
    picture = tmp_path / "same.png"
    Image.new("RGB", (32, 32), "red").save(picture)
    data = Dataset(np.stack([longest_unit_vector()] * 6), np.repeat([0, 1], 3), ("cat", "dog"))
    score = measure(data, "knn", CLASSIFIERS["knn"], 1, [0])
    target = tmp_path / "report.html"
    heading = Heading(tmp_path, "model", "embedding", datetime(2026, 1, 31, tzinfo=UTC))
    write_page(target, heading, data, [picture] * 6, [score], [])
    bars = [line for line in target.read_text().splitlines() if line.startswith("<rect")]
    assert sum('height="200"' in bar for bar in bars) == 2  # all similarities are in one bin, of each colour
