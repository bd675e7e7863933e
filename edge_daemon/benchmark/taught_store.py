"""A store of made-up examples, which measurements load."""

from __future__ import annotations

from edge_daemon.app.model_factory import build_embedder
from edge_daemon.benchmark.statistics import embeddings
from edge_daemon.config.schema import Config
from edge_daemon.example_store.store import ExampleStore


def fill_store(config: Config, count: int) -> None:
    """Add `count` examples of the configured model to the configured store."""
    embedder = build_embedder(config)
    with ExampleStore(str(config.store.path)) as store, store.transaction():
        for vector, label in embeddings(count, embedder.size):
            store.add(vector, label, space=embedder.space)
