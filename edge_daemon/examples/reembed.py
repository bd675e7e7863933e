"""Bringing examples over to another model: embedded again from their thumbnails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_daemon.errors import EmbeddingError, ImageError
from edge_daemon.examples.intake import Report, Track, untracked
from edge_daemon.examples.store import ExampleStore
from edge_daemon.ports import Embedder
from edge_daemon.types import Example
from edge_daemon.vision.images import read_image

if TYPE_CHECKING:
    from edge_daemon.types import Image


def reembed(store: ExampleStore, embedder: Embedder, track: Track = untracked) -> Report:
    """Move the examples of other spaces into the embedder's, all in one transaction at the end.

    Until then, and after a failure, the store is as it was. An example without a usable thumbnail
    stays where it is and is reported; one whose picture is taught in the new space already is removed.
    """
    counts = store.spaces()
    foreign = (example for example in store if example.space != embedder.space)
    report = Report()
    moving = []
    twins = []
    for example in track(foreign, sum(counts.values()) - counts.get(embedder.space, 0)):
        if store.twin(embedder.space, example.region, thumbnail=example.thumbnail) == example.label:
            twins.append(example.id)
            continue
        try:
            moving.append((example.id, embedder.embed(_picture(example))))
        except (ImageError, EmbeddingError) as exc:
            report.problems.append(f"example {example.id} ('{example.label}') stays as it is: {exc}")
    with store.transaction():
        report.duplicates = len(store.remove(twins))
        report.added = store.move(moving, embedder.space)
    return report


def _picture(example: Example) -> Image:
    if not example.thumbnail:
        raise ImageError("it has no thumbnail")
    return read_image(example.thumbnail)
