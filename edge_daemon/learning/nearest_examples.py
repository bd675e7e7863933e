"""The nearest example of a query and its runner-up, which show why a frame has its label."""

from __future__ import annotations

import numpy as np

from edge_daemon.domain.types import NearestExample
from edge_daemon.learning.embedding_index import EmbeddingIndex, SearchResult

_NEG_INF = np.float32(-np.inf)
"""In float32, since the similarities would be copied as float64 beside a Python float."""


def nearest_examples(examples: EmbeddingIndex, query: SearchResult) -> tuple[NearestExample, ...]:
    """Return the nearest example of the index's last search, and the nearest one of another class, if any.

    The similarities are those of the unknown check, whose search is reused.
    """
    rows, similarities = query.top_k(1)
    class_id_of = examples.class_ids.item
    own = class_id_of(rows[0])
    found = [_example(examples, rows[0], similarities[0])]
    if len(examples.labels) > 1:
        for row, similarity in zip(rows, similarities, strict=True):
            if class_id_of(row) != own:
                return (*found, _example(examples, row, similarity))
        others = np.where(examples.class_ids == own, _NEG_INF, query.similarities)
        row = int(others.argmax())
        found.append(_example(examples, row, query.similarities.item(row)))
    return tuple(found)


def _example(examples: EmbeddingIndex, row: int, similarity: float) -> NearestExample:
    return NearestExample(examples.ids[row], examples.labels[examples.class_ids.item(row)], similarity)
