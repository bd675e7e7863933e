"""The nearest example of a query and its runner-up, which show why a frame has its label."""

from __future__ import annotations

from edge_daemon.domain.types import NearestExample
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.search_result import SearchResult


def nearest_examples(examples: EmbeddingIndex, query: SearchResult) -> tuple[NearestExample, ...]:
    """Return the nearest example of the index's last search, and the nearest one of another class, if any.

    The similarities are those of the unknown check, whose search is reused.
    """
    nearest, other = query.nearest_of_two_classes(examples.class_ids)
    if other is None:
        return (_example(examples, query, nearest),)
    return _example(examples, query, nearest), _example(examples, query, other)


def _example(examples: EmbeddingIndex, query: SearchResult, row: int) -> NearestExample:
    label = examples.labels[examples.class_ids.item(row)]
    return NearestExample(examples.ids[row], label, query.similarities.item(row))
