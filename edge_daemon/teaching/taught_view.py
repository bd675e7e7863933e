"""The object of an example and its scene, stored beside the embedding of the whole region."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from edge_daemon.domain.types import Observation, Vector

    FindView: TypeAlias = Callable[[Observation], "TaughtView | None"]
    """Returns the view of a taught observation; None where no scene is known or the view is not
    trusted. Raises EmbeddingError."""


class TaughtView(Struct, frozen=True):
    """The object in a taught picture, or its absence, found by a known scene.

    `object_embedding` is None for the empty scene. `scene_id` stores the scene, if it is not stored, and
    returns its id; it raises StoreError. `discard_scene` is called if the transaction fails.
    """

    object_embedding: Vector | None
    scene_id: Callable[[datetime | None], int | None]
    discard_scene: Callable[[], None]
