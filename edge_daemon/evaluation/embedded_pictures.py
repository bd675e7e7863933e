"""Embeddings of picture files; files without one are left out with a warning in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.example_store.image_folders import Picture, read_pictures

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

log = logging.getLogger(__name__)


def embed_pictures(
    pictures: Iterable[Picture], embed: Callable[[Image], Vector]
) -> Iterator[tuple[Picture, Vector]]:
    """Yield pictures with their embeddings. Some features have none of a picture of one colour."""
    for picture, image in read_pictures(pictures):
        try:
            yield picture, embed(image)
        except EmbeddingError as exc:
            log.warning("%s: %s; left out", picture.path, exc)
