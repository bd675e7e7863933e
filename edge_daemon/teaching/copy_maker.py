"""Augmented copies of the examples, embedded one per frame."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from msgspec import Struct

from edge_daemon.domain.errors import EmbeddingError, ImageError, StoreError
from edge_daemon.learning.open_set.augmented_copies import COPIES, COPY_SIDE_PX
from edge_daemon.learning.open_set_classifier import OpenSetClassifier

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector
    from edge_daemon.imaging.random_draws import RandomDraws

log = logging.getLogger(__name__)


class _Source(Struct):
    """An example whose copies are being made; `image` is None without a readable thumbnail."""

    example_id: int
    image: Image | None
    rng: RandomDraws
    embeddings: list[Vector] = []
    remaining: int = COPIES


class CopyMaker:
    """Adds copies to the examples that need some, the newest example first.

    Copies are made from the stored thumbnails, so a restart makes the same copies again. Each call of
    `advance` embeds one copy at most. The copies of an example are added together, so that the threshold
    is fitted once. `thumbnail` returns the stored picture of an example. One owning thread.
    """

    def __init__(
        self,
        classifiers: Collection[OpenSetClassifier],
        thumbnail: Callable[[int], bytes | None],
        embed: Callable[[Image], Vector],
    ) -> None:
        self._classifiers = classifiers
        self._thumbnail = thumbnail
        self._embed = embed
        self._source: _Source | None = None

    def advance(self) -> bool:
        """Embed the next copy; return whether an example needs one. An unreadable store is tried again."""
        for classifier in self._classifiers:
            missing = classifier.missing_copies
            if missing:
                try:
                    self._advance(classifier, self._choose_source(missing))
                except StoreError as exc:
                    log.debug("the copies of the examples are made later: %s", exc)
                return True
        self._source = None
        return False

    def make_all(self) -> None:
        """Embed all copies at once; those of an unreadable store are left out."""
        for classifier in self._classifiers:
            try:
                while missing := classifier.missing_copies:
                    self._advance(classifier, self._choose_source(missing))
            except StoreError as exc:
                log.warning("the threshold of unknown things is less certain: %s", exc)

    def _choose_source(self, missing: Collection[int]) -> _Source:
        """Return the example in the making, or the newest one if that needs no copies any more."""
        if self._source is None or self._source.example_id not in missing:
            from edge_daemon.imaging.random_draws import RandomDraws

            example_id = max(missing)
            self._source = _Source(example_id, self._read(example_id), RandomDraws(example_id))
        return self._source

    def _advance(self, classifier: OpenSetClassifier, source: _Source) -> None:
        if source.image is not None:
            self._embed_copy(source, source.image)
        if source.image is None or not source.remaining:
            classifier.add_copies(source.example_id, source.embeddings)
            self._source = None

    def _read(self, example_id: int) -> Image | None:
        """Return the stored picture; None without one. Raises StoreError."""
        from edge_daemon.imaging.image_io import read_image, scale_down

        try:
            thumbnail = self._thumbnail(example_id)
            return scale_down(read_image(thumbnail), COPY_SIDE_PX) if thumbnail else None
        except ImageError as exc:
            log.debug("example %d has no copies: %s", example_id, exc)
            return None

    def _embed_copy(self, source: _Source, image: Image) -> None:
        """Embed one copy. A copy that the model can't embed, such as a black one, is left out."""
        from edge_daemon.imaging.augment import augmented_copy

        source.remaining -= 1
        try:
            source.embeddings.append(self._embed(augmented_copy(image, source.rng)))
        except EmbeddingError as exc:
            log.debug("a copy of example %d is left out: %s", source.example_id, exc)
