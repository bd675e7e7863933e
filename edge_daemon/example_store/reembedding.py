"""New embeddings of the examples for another model, from their thumbnails and scenes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_daemon.domain.errors import EmbeddingError, ImageError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.domain.types import Example
from edge_daemon.example_store.importing import ImportReport, ProgressTracker, no_progress
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from edge_daemon.imaging.object_embedder import ObjectEmbedder
from edge_daemon.imaging.object_mask import find_object
from edge_daemon.imaging.scene_reference import SceneReference

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


def reembed(
    store: ExampleStore,
    embedder: Embedder,
    track: ProgressTracker = no_progress,
    object_embedder: ObjectEmbedder | None = None,
    before_commit: Callable[[ImportReport], None] = lambda report: None,
) -> ImportReport:
    """Move the examples of other spaces into the embedder's space, in one transaction at the end.

    An example without a readable thumbnail stays in its space and is reported. An example whose picture is
    in the new space already, under the same label, is removed. `object_embedder` embeds objects from the
    thumbnail and the stored scene; an example that loses its object embedding is reported. `before_commit`
    gets the report inside the transaction; its exception undoes everything.
    """
    counts = store.spaces()
    foreign = (example for example in store if example.space != embedder.space)
    report = ImportReport()
    embeddings: list[tuple[int, Vector]] = []
    object_embeddings: dict[int, Vector] = {}
    duplicates = []
    objects = _StoredObjects(store, object_embedder or ObjectEmbedder(embedder.embed))
    for example in track(foreign, sum(counts.values()) - counts.get(embedder.space, 0)):
        known_label = store.find_duplicate(embedder.space, example.region, thumbnail=example.thumbnail)
        if known_label == example.label:
            duplicates.append(example.id)
            continue
        try:
            picture = _picture(example)
            embeddings.append((example.id, embedder.embed(picture)))
        except (ImageError, EmbeddingError) as exc:
            report.problems.append(f"example {example.id} ('{example.label}') stays as it is: {exc}")
            continue
        if example.object_embedding is not None:
            try:
                object_embeddings[example.id] = objects.embed(picture, example.scene_id)
            except (ImageError, EmbeddingError) as exc:
                report.problems.append(
                    f"example {example.id} ('{example.label}') is compared with its scene from now on: {exc}"
                )
    with store.transaction():
        report.duplicates = len(store.remove(duplicates))
        report.added = store.replace_embeddings(embeddings, embedder.space, object_embeddings)
        before_commit(report)
    return report


class _StoredObjects:
    """Embeds the objects of thumbnails; reads each scene once."""

    def __init__(self, store: ExampleStore, embedder: ObjectEmbedder) -> None:
        self._store = store
        self._embedder = embedder
        self._references: dict[int | None, SceneReference] = {}

    def embed(self, picture: Image, scene_id: int | None) -> Vector:
        """Return the embedding of the object cut out of a stored scene. Raises ImageError, EmbeddingError."""
        height, width = picture.shape[:2]
        view = find_object(picture, self._reference(scene_id).scaled_to(width, height))
        if view.state != "object":
            raise ImageError("the object is not found in its thumbnail")
        return self._embedder.embed(picture, view)

    def _reference(self, scene_id: int | None) -> SceneReference:
        if scene_id not in self._references:
            scene = None if scene_id is None else self._store.scenes.get(scene_id)
            if scene is None:
                raise ImageError("its scene is no longer stored")
            self._references[scene_id] = SceneReference.from_bytes(scene.picture)
        return self._references[scene_id]


def _picture(example: Example) -> Image:
    if not example.thumbnail:
        raise ImageError("it has no thumbnail")
    return read_image(example.thumbnail)
