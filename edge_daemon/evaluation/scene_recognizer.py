"""The daemon's path with a known scene: the object's embedding instead of that of the whole region."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.errors import EmbeddingError, ImageError
from edge_daemon.domain.types import UNKNOWN_PREDICTION
from edge_daemon.evaluation.across_sessions import CopySource, EmbeddingRecognizer
from edge_daemon.imaging.image_io import read_image
from edge_daemon.imaging.object_embedder import ObjectEmbedder
from edge_daemon.imaging.object_mask import UNTRUSTED, ObjectView, find_object
from edge_daemon.imaging.scene_reference import MAX_FRAMES, SceneReference
from edge_daemon.learning.object_classifier import ObjectClassifier
from edge_daemon.learning.open_set.augmented_copies import COPIES

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Prediction, Vector
    from edge_daemon.evaluation.session_set import SessionFrame


@dataclass(frozen=True, slots=True)
class View:
    """A frame with a known scene: its state and the embedding of its object, None without one."""

    view: ObjectView
    vector: Vector | None


class ObjectEmbeddings:
    """Reads the frames again and embeds their objects, each once per scene.

    A scene is named by the files of its frames.
    """

    def __init__(self, embedder: ObjectEmbedder) -> None:
        self._embedder = embedder
        self._references: dict[tuple[Path, ...], SceneReference] = {}
        self._views: dict[tuple[Path, int], View] = {}
        self._copies: dict[tuple[Path, int], Sequence[Vector]] = {}

    def reference(self, frames: Sequence[SessionFrame]) -> SceneReference:
        """Return the reference of a scene's frames. Raises ImageError if they differ in size."""
        key = tuple(frame.path for frame in frames)
        if key not in self._references:
            images = [read_image(path) for path in key]
            if len({image.shape for image in images}) > 1:
                raise ImageError(f"{key[0].parent}: its pictures differ in size; bring them to one size")
            self._references[key] = SceneReference.from_frames(images)
        return self._references[key]

    def view(self, frame: SessionFrame, reference: SceneReference) -> View:
        """Return a frame with a known scene, which `reference` returned."""
        key = (frame.path, id(reference))
        if key not in self._views:
            image = read_image(frame.path)
            self._views[key] = self._look(image, find_object(image, reference))
        return self._views[key]

    def copies(self, frame: SessionFrame, reference: SceneReference) -> Sequence[Vector]:
        """Return the embeddings of the copies of a frame's object in other scenes.

        A copy that the model can't embed is left out, as on a device.
        """
        key = (frame.path, id(reference))
        if key not in self._copies:
            image, view = read_image(frame.path), self.view(frame, reference).view
            rng = np.random.default_rng(0)
            embeddings = []
            for _ in range(COPIES):
                with suppress(EmbeddingError):
                    embeddings.append(self._embedder.embed_copy(image, view, rng))
            self._copies[key] = embeddings
        return self._copies[key]

    def _look(self, image: Image, view: ObjectView) -> View:
        if view.state != "object":
            return View(view, None)
        try:
            return View(view, self._embedder.embed(image, view))
        except EmbeddingError:  # a picture of one colour
            return View(UNTRUSTED, None)


class SceneRecognizer:
    """Recognizes objects in front of the scene of a session's first frames; without them, whole regions."""

    def __init__(
        self, classifier: ObjectClassifier, embeddings: ObjectEmbeddings, copies: CopySource | None = None
    ) -> None:
        """`copies` makes the augmented copies of whole regions, see `EmbeddingRecognizer`."""
        self._classifier = classifier
        self._regions = EmbeddingRecognizer(classifier, copies)
        self._embeddings = embeddings
        self._scenes: dict[int, SceneReference] = {}
        self._taught: dict[int, tuple[SessionFrame, SceneReference]] = {}
        self._presses = 0
        self._session = 0
        self._converged_at = 0
        self._scene_frames: list[SessionFrame] = []
        self._reference: SceneReference | None = None
        self._taught_here: frozenset[str] = frozenset()

    def start_session(self) -> None:
        """Forget the scene: it is that of another place, day or light."""
        self._regions.start_session()
        self._session += 1
        self._scene_frames = []
        self._reference = None

    def observe(self, frame: SessionFrame) -> None:
        """Take a frame without an object as the scene, while no other frame was seen."""
        self._regions.observe(frame)
        if frame.is_scene and self._reference is None:
            self._scene_frames.append(frame)

    def teach(self, frame: SessionFrame, label: str) -> None:
        """Add an example with both vectors."""
        view = self._view(frame)
        self._presses += 1
        self._regions.teach(frame, label)
        if self._reference is not None and view.view.state != "untrusted":
            self._scenes[self._session] = self._reference
            self._taught[self._presses] = (frame, self._reference)
            self._classifier.add_view(self._presses, view.vector, self._session)
            self._taught_here |= {label}

    def predict(self, frame: SessionFrame) -> Prediction:
        """Classify the object, or the whole region where the mask is not trusted."""
        view = self._view(frame)
        target = self._classifier.embed_target(view.view.state)
        if target == "nothing":
            return UNKNOWN_PREDICTION
        if target == "region" or view.vector is None:
            return self._regions.predict(frame)
        if self._converged_at != self._presses:
            self._complete(view.vector)
        return self._classifier.predict_object(view.vector, self._taught_here)

    def _view(self, frame: SessionFrame) -> View:
        if self._reference is None and self._scene_frames:
            self._reference = self._embeddings.reference(self._scene_frames[:MAX_FRAMES])
            same = {
                scene_id
                for scene_id in self._classifier.taught_scenes
                if self._reference.is_same_scene(self._scenes[scene_id])
            }
            self._taught_here = self._classifier.labels_taught_in(same)
        if self._reference is None:
            return View(UNTRUSTED, None)
        return self._embeddings.view(frame, self._reference)

    def _complete(self, vector: Vector) -> None:
        """Complete the fit and the copies; a device spreads both over frames."""
        self._classifier.run_objects_to_convergence(vector)
        objects = self._classifier.objects
        for example_id in tuple(objects.missing_copies):
            objects.add_copies(example_id, self._embeddings.copies(*self._taught[example_id]))
        self._converged_at = self._presses
