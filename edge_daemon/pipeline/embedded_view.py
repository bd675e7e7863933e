"""The embedding of a region's picture that decides its label."""

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
