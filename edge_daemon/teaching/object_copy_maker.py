"""Copies of the examples' objects in other scenes, embedded one per frame."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from edge_daemon.domain.errors import EmbeddingError, ImageError
from edge_daemon.imaging.object_embedder import ObjectEmbedder
from edge_daemon.imaging.object_mask import UNTRUSTED, ObjectView, find_object
from edge_daemon.learning.object_classifier import ObjectClassifier
from edge_daemon.learning.open_set.augmented_copies import COPIES

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector
    from edge_daemon.imaging.random_draws import RandomDraws
    from edge_daemon.imaging.scene_reference import SceneReference

log = logging.getLogger(__name__)


class _Source(Struct):
    """An example whose copies are being made; `view` has no object if none can be made."""

    example_id: int
    image: Image
    view: ObjectView
    rng: RandomDraws
    embeddings: list[Vector] = []
    remaining: int = COPIES


_NO_IMAGE = np.zeros((1, 1, 3), np.uint8)


class ObjectCopyMaker:
    """Adds copies of their objects to the examples that need some, the newest example first.

    An object is found again in the stored thumbnail, before the scene under which it was taught, so a restart
    makes the same copies. `thumbnail` and `scene` return those of an example. One owning thread.
    """

    def __init__(
        self,
        classifiers: Collection[ObjectClassifier],
        thumbnail: Callable[[int], bytes | None],
        scene: Callable[[int], SceneReference | None],
        embedder: ObjectEmbedder,
    ) -> None:
        self._classifiers = classifiers
        self._thumbnail = thumbnail
        self._scene = scene
        self._embedder = embedder
        self._source: _Source | None = None

    def advance(self) -> bool:
        """Embed the next copy; return whether an example needs one. Raises StoreError."""
        for classifier in self._classifiers:
            if missing := classifier.missing_object_copies:
                self._advance(classifier, self._choose_source(missing))
                return True
        self._source = None
        return False

    def _choose_source(self, missing: Collection[int]) -> _Source:
        """Return the example in the making, or the newest one if that needs no copies any more."""
        if self._source is None or self._source.example_id not in missing:
            from edge_daemon.imaging.random_draws import RandomDraws

            example_id = max(missing)
            image, view = self._read(example_id)
            self._source = _Source(example_id, image, view, RandomDraws(example_id))
        return self._source

    def _advance(self, classifier: ObjectClassifier, source: _Source) -> None:
        if source.view.state == "object":
            self._embed_copy(source)
        if source.view.state != "object" or not source.remaining:
            classifier.add_object_copies(source.example_id, source.embeddings)
            self._source = None

    def _read(self, example_id: int) -> tuple[Image, ObjectView]:
        """Return the stored picture and its view. Raises StoreError."""
        thumbnail, reference = self._thumbnail(example_id), self._scene(example_id)
        if not thumbnail or reference is None:
            return _NO_IMAGE, UNTRUSTED
        from edge_daemon.imaging.image_io import read_image  # after the first frame has its label

        try:
            image = read_image(thumbnail)
        except ImageError as exc:
            log.debug("the object of example %d has no copies: %s", example_id, exc)
            return _NO_IMAGE, UNTRUSTED
        return image, find_object(image, reference.scaled_to(image.shape[1], image.shape[0]))

    def _embed_copy(self, source: _Source) -> None:
        """Embed one copy. A copy that the model can't embed, such as a black one, is left out."""
        source.remaining -= 1
        try:
            source.embeddings.append(self._embedder.embed_copy(source.image, source.view, source.rng))
        except EmbeddingError as exc:
            log.debug("a copy of the object of example %d is left out: %s", source.example_id, exc)
