"""Read-only view of the stored examples, on a connection separate from the pipeline's."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.types import Example
from edge_daemon.example_store.archive import archive_pieces
from edge_daemon.example_store.image_folders import picture_zip_pieces
from edge_daemon.example_store.second_connection import open_beside
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.learning.quality.outliers import LabelIssues, find_label_issues
from edge_daemon.learning.quality.pca_map import PcaProjection, fit_pca
from edge_daemon.system.clock import utc_ms
from edge_daemon.web.messages import Message

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

MAX_LISTED = 2000
"""Number of newest examples of the current embedding space; comparing more is too slow on a small device."""


class ExampleBrowser:
    """A second connection to the store. All methods but `project` are called from one worker thread."""

    def __init__(self, path: Path, space: str) -> None:
        self._path = path
        self._space = space
        self._store: ExampleStore | None = None
        self._maps: dict[str, PcaProjection] = {}

    def list(self, predicted: Mapping[int, str]) -> Message:
        """Return the newest examples with label issues and map points, and the removed ones.

        `predicted` is `Evaluation.predicted`. Raises StoreError.
        """
        store = self._open()
        total = store.spaces().get(self._space, 0)
        current = store.examples(self._space, thumbnails=False)
        listed = list(islice(current, max(0, total - MAX_LISTED), None))
        issues = _compare(listed)
        self._maps, places = _fit_maps(listed)
        return {
            "total": total,
            "examples": [
                _row(each, issues, index) | {"places": places[index], "predicted": predicted.get(each.id)}
                for index, each in enumerate(listed)
            ],
            "removed": [_row(each) for each in store.removed() if each.space == self._space],
        }

    def thumbnail(self, number: int) -> bytes | None:
        """Return the thumbnail of an example as JPEG; None when there is none. Raises StoreError."""
        return self._open().thumbnail(number)

    def archive(self) -> Generator[bytes, None, object]:
        """Return the pieces of an archive of all examples; each piece is made on demand.

        Raises ArchiveError and StoreError, at once or with a piece.
        """
        return archive_pieces(self._open())

    def pictures(self) -> Generator[bytes, None, object]:
        """Return the pieces of a zip of label folders, as `archive` does."""
        return picture_zip_pieces(self._open())

    def project(
        self, embedding: Vector | None, object_embedding: Vector | None
    ) -> tuple[str, float, float] | None:
        """Return the map of the latest `list` on which a frame's vector lies, and its x and y there.

        None for a frame without a vector, and without such a map.
        """
        kind, vector = ("region", embedding) if object_embedding is None else ("object", object_embedding)
        fitted = self._maps.get(kind)
        if vector is None or fitted is None or fitted.mean.shape != vector.shape:
            return None
        x, y = fitted.transform(vector)
        return kind, round(x, 3), round(y, 3)

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()

    def _open(self) -> ExampleStore:
        if self._store is not None and self._store.replaced:
            self._store.close()
            self._store = None
        if self._store is None:
            self._store = open_beside(self._path)
        return self._store


def _compare(listed: list[Example]) -> LabelIssues:
    if not listed:
        return LabelIssues(frozenset(), {})
    return find_label_issues(np.stack([each.embedding for each in listed]), [each.label for each in listed])


def _fit_maps(listed: list[Example]) -> tuple[dict[str, PcaProjection], dict[int, dict[str, list[float]]]]:
    """Fit a map of the whole regions and one of the objects; return also each example's place on each."""
    vectors = {
        "region": {index: each.embedding for index, each in enumerate(listed)},
        "object": {
            index: each.object_embedding
            for index, each in enumerate(listed)
            if each.object_embedding is not None
        },
    }
    maps = {kind: fit_pca(np.stack(list(rows.values()))) for kind, rows in vectors.items() if rows}
    places: dict[int, dict[str, list[float]]] = {index: {} for index in range(len(listed))}
    for kind, fitted in maps.items():
        for index, point in zip(vectors[kind], fitted.points.round(3).tolist(), strict=True):
            places[index][kind] = point
    return maps, places


def _row(example: Example, issues: LabelIssues | None = None, index: int = -1) -> dict[str, object]:
    return {
        "id": example.id,
        "label": example.label,
        "region": example.region,
        "at": utc_ms(example.created_at),
        "near_duplicate": issues is not None and index in issues.near_duplicates,
        "outlier": issues.outliers.get(index) if issues else None,
    }
