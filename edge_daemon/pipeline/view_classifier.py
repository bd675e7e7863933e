"""Classification of a region's picture: by its object before a known scene, else by the whole region."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.domain.types import Prediction
from edge_daemon.imaging.object_mask import UNTRUSTED, ObjectView, find_object, object_picture
from edge_daemon.learning.object_classifier import EMPTY_SCENE, Evidence, ObjectClassifier
from edge_daemon.pipeline.embedded_view import EmbeddedView
from edge_daemon.pipeline.region_scene import RegionScene
from edge_daemon.teaching.taught_view import TaughtView

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector
    from edge_daemon.learning.recent_frames import RecentFrames

log = logging.getLogger(__name__)

SHADOW_FRAMES = 8
"""In shadow mode one frame of this many is classified both ways."""

LOGGED_COMPARISONS = 500
"""Number of comparisons of shadow mode per log line."""


class ViewClassifier:
    """Chooses the picture that is embedded, and predicts. Owned by the pipeline thread.

    A frame costs one inference. With `shadow`, the whole region decides, and every eighth frame is classified
    by its object too; the differences are logged.
    """

    def __init__(
        self, embedder: Embedder, objects: ObjectClassifier, scene: RegionScene, side: int, *, shadow: bool
    ) -> None:
        self._embedder = embedder
        self._objects = objects
        self._scene = scene
        self._side = side
        self._shadow = shadow
        self._frames = 0
        self._compared = 0
        self._different = 0
        self._taught_key: object = None
        self._taught_labels: frozenset[str] = frozenset()

    def embed(self, image: Image) -> EmbeddedView:
        """Embed the picture that decides. Raises EmbeddingError."""
        if self._shadow:
            return EmbeddedView(embedding=self._embedder.embed(image))
        evidence, view = self._view(image)
        if evidence == "nothing":
            return EmbeddedView()
        if evidence == "object":
            try:
                return EmbeddedView(object_embedding=self._embed_object(image, view))
            except EmbeddingError as exc:
                log.debug("the object can't be embedded: %s", exc)
        return EmbeddedView(embedding=self._embedder.embed(image))

    def predict(
        self,
        embedded: EmbeddedView,
        image: Image,
        *,
        relaxed: bool = False,
        recent: RecentFrames | None = None,
    ) -> Prediction:
        """Classify an embedded picture; `recent` are the recent embeddings of the whole region."""
        prediction = self._predict(embedded, relaxed=relaxed, recent=recent)
        if self._shadow:
            self._frames += 1
            if self._frames % SHADOW_FRAMES == 0:
                self._compare(image, prediction, relaxed=relaxed)
        return prediction

    def taught_view(self, image: Image) -> TaughtView | None:
        """Return the view of a picture that is taught now; None where no scene is known or trusted.

        The picture may be reduced. Raises EmbeddingError.
        """
        reference = self._scene.reference
        height, width = image.shape[:2]
        view = UNTRUSTED if reference is None else find_object(image, reference.scaled_to(width, height))
        self._scene.mark_taught(image, empty=view.state == "empty")
        if view.state == "untrusted" or self._scene.reference is None:
            return None
        vector = self._embed_object(image, view) if view.state == "object" else None
        return TaughtView(vector, self._scene.stored_id, self._scene.discard_stored)

    def _predict(
        self, embedded: EmbeddedView, *, relaxed: bool, recent: RecentFrames | None = None
    ) -> Prediction:
        if embedded.object_embedding is not None:
            return self._objects.predict_object(embedded.object_embedding, self._taught_here())
        if embedded.embedding is None:
            return EMPTY_SCENE
        return self._objects.predict(embedded.embedding, relaxed_threshold=relaxed, recent=recent)

    def _view(self, image: Image) -> tuple[Evidence, ObjectView]:
        """Return the picture to embed, and the view; a mask is computed only if it can decide."""
        reference = self._scene.reference
        if reference is None or self._objects.evidence("object") == "region":
            return "region", UNTRUSTED
        view = find_object(image, reference)
        return self._objects.evidence(view.state), view

    def _embed_object(self, image: Image, view: ObjectView) -> Vector:
        return self._embedder.embed(object_picture(image, view, self._side))

    def _compare(self, image: Image, prediction: Prediction, *, relaxed: bool) -> None:
        """Classify the picture by its object too, and count the different labels."""
        evidence, view = self._view(image)
        if evidence == "region":
            return
        try:
            vector = self._embed_object(image, view) if evidence == "object" else None
        except EmbeddingError:
            return
        other = self._predict(EmbeddedView(object_embedding=vector), relaxed=relaxed)
        self._compared += 1
        self._different += other.label != prediction.label
        if self._compared == LOGGED_COMPARISONS:
            log.info(
                "scene: of %d frames of region '%s', the object alone gives another label in %d; "
                "`scene: on` uses it",
                self._compared,
                self._scene.region,
                self._different,
            )
            self._compared = self._different = 0

    def _taught_here(self) -> frozenset[str]:
        """Return the classes that were taught in this scene; kept until scene or examples change."""
        objects = self._objects
        key = (self._scene.reference, objects.taught_scenes, tuple(objects.counts.items()))
        if key != self._taught_key:
            self._taught_key = key
            self._taught_labels = objects.labels_taught_in(self._scene.matching(objects.taught_scenes))
        return self._taught_labels
