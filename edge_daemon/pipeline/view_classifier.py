"""Classification of a region's picture: by its object in front of a known scene, else by the whole region."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.domain.types import UNKNOWN_PREDICTION, Prediction
from edge_daemon.imaging.object_embedder import ObjectEmbedder
from edge_daemon.imaging.object_mask import UNTRUSTED, ObjectView, find_object
from edge_daemon.imaging.object_picture import object_side
from edge_daemon.learning.object_classifier import EmbedTarget, ObjectClassifier
from edge_daemon.pipeline.embedded_view import NOT_EMBEDDED, EmbeddedView
from edge_daemon.pipeline.region_scene import RegionScene
from edge_daemon.teaching.taught_view import TaughtView

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Observation, Vector
    from edge_daemon.learning.recent_frames import RecentFrames

log = logging.getLogger(__name__)


class ViewClassifier:
    """Chooses the picture that is embedded, and predicts. Owned by the pipeline thread.

    A frame costs one inference, an empty scene none.
    """

    def __init__(
        self,
        embedder: Embedder,
        object_embedder: ObjectEmbedder,
        objects: ObjectClassifier,
        scene: RegionScene,
    ) -> None:
        self._embedder = embedder
        self._object_embedder = object_embedder
        self._objects = objects
        self._scene = scene
        self._taught_key: object = None
        self._taught_labels: frozenset[str] = frozenset()

    def embed(self, image: Image, load_full: Callable[[], Image] | None = None) -> EmbeddedView:
        """Embed the picture that decides. Raises EmbeddingError.

        `load_full` returns the region at the frame's full size, None where that is `image`: an object that
        has fewer pixels in `image` than the model's input is cut from it.
        """
        target, view = self._view(image)
        if target == "nothing":
            return NOT_EMBEDDED
        if target == "object":
            try:
                return EmbeddedView(object_embedding=self._embed_object(image, view, load_full))
            except EmbeddingError as exc:
                log.debug("the object can't be embedded: %s", exc)
        return EmbeddedView(embedding=self._embedder.embed(image))

    def predict(
        self,
        embedded: EmbeddedView,
        *,
        relaxed: bool = False,
        recent: RecentFrames | None = None,
    ) -> Prediction:
        """Classify an embedded picture; `recent` are the recent embeddings of the whole region."""
        if embedded.object_embedding is not None:
            return self._objects.predict_object(embedded.object_embedding, self.taught_here())
        if embedded.embedding is None:
            return UNKNOWN_PREDICTION
        return self._objects.predict(embedded.embedding, relaxed_threshold=relaxed, recent=recent)

    def taught_here(self) -> frozenset[str]:
        """Return the classes that were taught in this scene; kept until scene or examples change."""
        objects = self._objects
        key = (self._scene.reference, objects.version)
        if key != self._taught_key:
            self._taught_key = key
            self._taught_labels = objects.labels_taught_in(self._scene.matching(objects.taught_scenes))
        return self._taught_labels

    def taught_view(self, observation: Observation) -> TaughtView | None:
        """Return the view of an observation that is taught now; None where no scene is known or trusted."""
        image = observation.crop
        reference = self._scene.reference
        height, width = image.shape[:2]
        view = UNTRUSTED if reference is None else find_object(image, reference.scaled_to(width, height))
        self._scene.mark_taught(image, empty=view.state == "empty")
        if view.state == "untrusted" or self._scene.reference is None:
            return None
        try:
            vector = (
                self._embed_object(image, view, observation.load_full) if view.state == "object" else None
            )
        except EmbeddingError as exc:
            log.debug("the taught object can't be embedded: %s", exc)
            return None
        return TaughtView(vector, self._scene.stored_id, self._scene.discard_stored)

    def _view(self, image: Image) -> tuple[EmbedTarget, ObjectView]:
        """Return the part to embed, and the view; a mask is computed only if it can decide."""
        reference = self._scene.reference
        if reference is None or self._objects.embed_target("object") == "region":
            return "region", UNTRUSTED
        view = find_object(image, reference)
        return self._objects.embed_target(view.state), view

    def _embed_object(self, image: Image, view: ObjectView, load_full: Callable[[], Image] | None) -> Vector:
        if load_full is not None and object_side(image, view) < self._object_embedder.side:
            image = load_full()
        return self._object_embedder.embed(image, view)
