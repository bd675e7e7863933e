"""Augmented copies of the examples' objects: other backgrounds, other light."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from edge_daemon.domain.errors import ImageError
from edge_daemon.imaging.object_embedder import ObjectEmbedder
from edge_daemon.imaging.object_mask import find_object

if TYPE_CHECKING:
    from edge_daemon.imaging.scene_reference import SceneReference
    from edge_daemon.teaching.copy_maker import EmbedCopy

log = logging.getLogger(__name__)


def object_copies(
    thumbnail: Callable[[int], bytes | None],
    scene: Callable[[int], SceneReference | None],
    embedder: ObjectEmbedder,
    example_id: int,
) -> EmbedCopy | None:
    """Return the function that embeds copies of an example's object; None if it has none. Raises StoreError.

    `partial(object_copies, thumbnail, scene, embedder)` is a `CopySource`. `thumbnail` and `scene` return
    those of an example id. The object is found again in the thumbnail, by the scene in which it was taught,
    so a restart makes the same copies.
    """
    stored, reference = thumbnail(example_id), scene(example_id)
    if not stored or reference is None:
        return None
    from edge_daemon.imaging.image_io import read_image  # after the first frame has its label

    try:
        image = read_image(stored)
    except ImageError as exc:
        log.debug("the object of example %d has no copies: %s", example_id, exc)
        return None
    view = find_object(image, reference.scaled_to(image.shape[1], image.shape[0]))
    return partial(embedder.embed_copy, image, view) if view.state == "object" else None
