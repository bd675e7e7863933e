"""The embedding by which a region's picture is classified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector


class EmbeddedView(Struct, frozen=True):
    """The embedding of the whole region, or that of its object; neither for an empty scene."""

    embedding: Vector | None = None
    object_embedding: Vector | None = None


NOT_EMBEDDED = EmbeddedView()
"""An empty scene, or a picture that the model did not run on."""
