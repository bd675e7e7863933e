"""The examples as the page shows them: read from the store's file beside the pipeline, never written."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.types import Example
from edge_daemon.example_store.archive import archive_pieces
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.learning.quality.outliers import LabelIssues, find_label_issues
from edge_daemon.learning.quality.pca_map import PcaProjection, fit_pca
from edge_daemon.web.messages import Message, utc_ms

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

MOST_SHOWN = 2000
"""The newest examples of the embedding space in use; comparing more takes a small device too long."""


class ExampleBrowser:
    """A second connection to the store. All calls but `place` come from one worker thread, one at a time."""

    def __init__(self, path: Path, space: str) -> None:
        self._path = path
        self._space = space
        self._store: ExampleStore | None = None
        self._chart: PcaProjection | None = None

    def listed(self) -> Message:
        """Return every example with its place on the map, and what was removed. Raises StoreError."""
        store = self._open()
        total = store.spaces().get(self._space, 0)
        living = store.examples(self._space, thumbnails=False)
        shown = list(islice(living, max(0, total - MOST_SHOWN), None))
        oddities, projection = _compare(shown)
        self._chart = projection
        points = projection.points.round(3).tolist() if projection else []
        return {
            "total": total,
            "examples": [
                _row(each, oddities, number) | {"x": point[0], "y": point[1]}
                for number, (each, point) in enumerate(zip(shown, points, strict=True))
            ],
            "removed": [_row(each) for each in store.removed() if each.space == self._space],
        }

    def thumbnail(self, number: int) -> bytes | None:
        """Return an example's picture; None when there is none. Raises StoreError."""
        return self._open().thumbnail(number)

    def counts(self) -> dict[str, int]:
        """Return the living examples per label. Raises StoreError."""
        return self._open().counts

    def archive(self) -> Iterator[bytes]:
        """Return an archive of all examples, each piece of which is made when it is asked for.

        Raises ArchiveError and StoreError, at once or with a piece.
        """
        return archive_pieces(self._open())

    def place(self, embedding: Vector) -> tuple[float, float] | None:
        """Return where an embedding lies on the map that was listed last."""
        projection = self._chart
        if projection is None or projection.mean.shape != embedding.shape:
            return None
        x, y = projection.transform(embedding)
        return round(x, 3), round(y, 3)

    def close(self) -> None:
        """Release the file."""
        if self._store is not None:
            self._store.close()

    def _open(self) -> ExampleStore:
        if self._store is None:
            self._store = ExampleStore(self._path)
        return self._store


def _compare(shown: list[Example]) -> tuple[LabelIssues, PcaProjection | None]:
    if not shown:
        return LabelIssues(frozenset(), {}), None
    matrix = np.stack([each.embedding for each in shown])
    return find_label_issues(matrix, [each.label for each in shown]), fit_pca(matrix)


def _row(example: Example, oddities: LabelIssues | None = None, number: int = -1) -> dict[str, object]:
    return {
        "id": example.id,
        "label": example.label,
        "region": example.region,
        "at": utc_ms(example.created_at),
        "twin": oddities is not None and number in oddities.near_duplicates,
        "near": oddities.outliers.get(number) if oddities else None,
    }
