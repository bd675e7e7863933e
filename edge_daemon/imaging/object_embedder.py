"""Embedding of the object in front of a known scene, without that scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from edge_daemon.imaging.object_mask import Levels, ObjectView
from edge_daemon.imaging.object_picture import PICTURE_PX, object_part, object_picture, on_mean_colour

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector
    from edge_daemon.imaging.random_draws import Draws

PartEmbedding: TypeAlias = "Callable[[Image, Levels], Vector]"


class ObjectEmbedder:
    """Embeds the objects of views. `side` is the model's input size in pixels.

    With `embed_part` (see `TfliteEmbedder`) the object is embedded as a part of the picture around it, else
    alone on its mean colour. docs/measurements/scene.md compares both.
    """

    def __init__(
        self,
        embed: Callable[[Image], Vector],
        side: int = PICTURE_PX,
        embed_part: PartEmbedding | None = None,
    ) -> None:
        self.side = side
        self._embed = embed
        self._embed_part = embed_part

    def embed(self, image: Image, view: ObjectView) -> Vector:
        """Embed the object of a view. Raises EmbeddingError; ValueError for a view without an object."""
        if self._embed_part is None:
            return self._embed(object_picture(image, view, self.side))
        part = object_part(image, view, self.side)
        return self._embed_part(part.pixels, part.shares)

    def embed_copy(self, image: Image, view: ObjectView, rng: Draws) -> Vector:
        """Embed a drawn copy of the object in another scene. Raises as `embed` does."""
        from edge_daemon.imaging.object_copies import object_copy  # after the first frame has its label

        copy = object_copy(image, view, rng, self.side)
        if self._embed_part is None:
            return self._embed(on_mean_colour(copy))
        return self._embed_part(copy.pixels, copy.shares)
