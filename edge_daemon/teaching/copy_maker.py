"""Augmented copies of the examples, embedded one per frame."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import Struct

from edge_daemon.domain.errors import EmbeddingError, ImageError, StoreError
from edge_daemon.learning.open_set.augmented_copies import COPIES, COPY_SIDE_PX

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector
    from edge_daemon.imaging.random_draws import RandomDraws

log = logging.getLogger(__name__)

EmbedCopy: TypeAlias = "Callable[[RandomDraws], Vector]"
"""Embeds a randomly changed copy of one example. Raises EmbeddingError."""

CopySource: TypeAlias = Callable[[int], "EmbedCopy | None"]
"""Returns the function that embeds copies of an example; None if it can have none. Raises StoreError."""


class NeedsCopies(Protocol):
    """A classifier whose examples need copies, see `AugmentedCopies`."""

    @property
    def missing_copies(self) -> Sequence[int]:
        """Ids of the examples that need copies."""

    def add_copies(self, example_id: int, embeddings: Sequence[Vector]) -> None:
        """Add the embeddings of the copies of an example."""


class _Work(Struct):
    """An example whose copies are being made; `embed_copy` is None if it can have none."""

    example_id: int
    embed_copy: EmbedCopy | None
    rng: RandomDraws
    embeddings: list[Vector] = []
    remaining: int = COPIES


class CopyMaker:
    """Makes the augmented copies of the examples that need some, the newest example first.

    Copies are made from what is stored, so a restart makes the same copies again. Each call of `advance`
    embeds one copy at most. The copies of an example are added together, so that the threshold is fitted
    once. One owning thread.
    """

    def __init__(self, classifiers: Collection[NeedsCopies], source: CopySource) -> None:
        self._classifiers = classifiers
        self._source = source
        self._work: _Work | None = None

    def advance(self) -> bool:
        """Embed the next copy; return whether an example needs one. An unreadable store is tried again."""
        for classifier in self._classifiers:
            if missing := classifier.missing_copies:
                try:
                    self._advance(classifier, self._choose_work(missing))
                except StoreError as exc:
                    log.debug("the copies of the examples are made later: %s", exc)
                return True
        self._work = None
        return False

    def make_all(self) -> None:
        """Embed all copies at once; those of an unreadable store are left out."""
        for classifier in self._classifiers:
            try:
                while missing := classifier.missing_copies:
                    self._advance(classifier, self._choose_work(missing))
            except StoreError as exc:
                log.warning("the threshold of unknown things is less certain: %s", exc)

    def _choose_work(self, missing: Collection[int]) -> _Work:
        """Return the example in the making, or the newest one if that needs no copies any more."""
        if self._work is None or self._work.example_id not in missing:
            from edge_daemon.imaging.random_draws import RandomDraws

            example_id = max(missing)
            self._work = _Work(example_id, self._source(example_id), RandomDraws(example_id))
        return self._work

    def _advance(self, classifier: NeedsCopies, work: _Work) -> None:
        if work.embed_copy is not None:
            _embed_copy(work, work.embed_copy)
        if work.embed_copy is None or not work.remaining:
            classifier.add_copies(work.example_id, work.embeddings)
            self._work = None


def _embed_copy(work: _Work, embed_copy: EmbedCopy) -> None:
    """Embed one copy. A copy that the model can't embed, such as a black one, is left out."""
    work.remaining -= 1
    try:
        work.embeddings.append(embed_copy(work.rng))
    except EmbeddingError as exc:
        log.debug("a copy of example %d is left out: %s", work.example_id, exc)


def picture_copies(
    thumbnail: Callable[[int], bytes | None], embed: Callable[[Image], Vector], example_id: int
) -> EmbedCopy | None:
    """Return the function that embeds copies of an example's stored picture; None without one.

    `partial(picture_copies, thumbnail, embed)` is a `CopySource`. `thumbnail` returns the picture of an id.
    """
    from edge_daemon.imaging.image_io import read_image, scale_down

    try:
        stored = thumbnail(example_id)
        image = scale_down(read_image(stored), COPY_SIDE_PX) if stored else None
    except ImageError as exc:
        log.debug("example %d has no copies: %s", example_id, exc)
        return None
    return None if image is None else partial(_embed_picture_copy, embed, image)


def _embed_picture_copy(embed: Callable[[Image], Vector], image: Image, rng: RandomDraws) -> Vector:
    from edge_daemon.imaging.augment import augmented_copy

    return embed(augmented_copy(image, rng))
