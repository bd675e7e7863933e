"""Classifier of a region with a known scene: objects are compared with objects, regions with regions.

Each example has the embedding of the whole region and, where its object was found, that of the object alone.
A query has one of the two: a frame costs one inference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.domain.types import UNKNOWN, Evaluation, Prediction
from edge_daemon.imaging.object_mask import ViewState
from edge_daemon.learning.example_classifier import make_example_classifier
from edge_daemon.learning.open_set.rejection_settings import OBJECTS_ALONE

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Vector
    from edge_daemon.learning.classifiers.knn import Metric, Vote
    from edge_daemon.learning.example_classifier import ExampleClassifier
    from edge_daemon.learning.open_set.cohort import Cohort
    from edge_daemon.learning.open_set_classifier import OpenSetClassifier
    from edge_daemon.learning.recent_frames import RecentFrames

EmbedTarget: TypeAlias = Literal["object", "region", "nothing"]
"""The part of a picture that is embedded: the object, the whole region, or nothing of an empty scene."""

MIN_OBJECTS = 3
"""Number of a class's examples that need an object vector, or all of them if there are fewer."""


class _Origin(Struct, frozen=True):
    """Label, burst, session and scene of an example, and whether its object was found."""

    label: str
    group: str
    session: int
    scene_id: int | None = None
    has_object: bool = False


class ObjectClassifier:
    """Open-set classifier on whole regions, with another one on objects. One owning thread.

    As an `OpenSetClassifier` it is the classifier of whole regions. The classifier of objects decides where a
    view shows an object and every class has object vectors. A class whose examples were all taught in known
    scenes, none with an object, is one of the empty scene; it needs no object vectors. `version` changes with
    the examples and their views.
    """

    def __init__(self, regions: OpenSetClassifier, objects: ExampleClassifier) -> None:
        """Both are empty and of one kind."""
        self.version = 0
        self._regions = regions
        self._objects = objects
        self._origins: dict[int, _Origin] = {}
        self._embed_targets: Mapping[ViewState, EmbedTarget] | None = None
        self._taught_scenes: frozenset[int] = frozenset()

    @property
    def counts(self) -> Mapping[str, int]:
        """Examples per label, in class order."""
        return self._regions.counts

    def check(self, label: str) -> None:
        """Raise LabelError for a label that is not allowed. Call it before an example is stored."""
        self._regions.check(label)

    def add(
        self,
        embedding: npt.ArrayLike,
        label: str,
        example_id: int,
        group: str = "",
        session: int = 0,
        *,
        object_embedding: npt.ArrayLike | None = None,
        scene_id: int | None = None,
    ) -> None:
        """Add an example of a teaching session, and its view (see `add_view`) if `scene_id` is given.

        Examples of one burst share a `group`. Raises EmbeddingError, LabelError.
        """
        self._regions.add(embedding, label, example_id, group, session)
        self._origins[example_id] = _Origin(label, group, session)
        self._examples_changed()
        if scene_id is None:
            return
        try:
            self.add_view(example_id, object_embedding, scene_id)
        except EmbeddingError:
            self.remove([example_id])
            raise

    def add_view(self, example_id: int, object_embedding: npt.ArrayLike | None, scene_id: int) -> None:
        """Add the view of an example in a known scene, unless the view was not trusted.

        `object_embedding` is the embedding of the object alone, None for the empty scene. An example that
        is not known is ignored. Raises EmbeddingError.
        """
        origin = self._origins.get(example_id)
        if origin is None:
            return
        if object_embedding is not None:
            self._objects.add(object_embedding, origin.label, example_id, origin.group, origin.session)
        self._origins[example_id] = replace(
            origin, scene_id=scene_id, has_object=object_embedding is not None
        )
        self._examples_changed()

    def remove(self, example_ids: Collection[int]) -> int:
        """Remove the examples with these ids. Returns the number removed."""
        for example_id in example_ids:
            self._origins.pop(example_id, None)
        self._examples_changed()
        self._objects.remove(example_ids)
        return self._regions.remove(example_ids)

    def clear(self) -> int:
        """Remove all examples. Returns their number."""
        self._origins.clear()
        self._examples_changed()
        self._objects.clear()
        return self._regions.clear()

    def most_redundant(self, label: str) -> int:
        """Return the id of the most redundant example of `label`."""
        return self._regions.most_redundant(label)

    @property
    def taught_scenes(self) -> frozenset[int]:
        """Ids of the scenes in which the examples with an object were taught."""
        self._update()
        return self._taught_scenes

    def embed_target(self, state: ViewState) -> EmbedTarget:
        """Return the part of the picture to embed for a view in this state."""
        return self._update()[state]

    def predict(
        self,
        embedding: npt.ArrayLike,
        *,
        relaxed_threshold: bool = False,
        recent: RecentFrames | None = None,
    ) -> Prediction:
        """Classify a whole region; `recent` are its recent whole frames. Raises EmbeddingError."""
        return self._regions.predict(embedding, relaxed_threshold=relaxed_threshold, recent=recent)

    def labels_taught_in(self, scene_ids: Collection[int]) -> frozenset[str]:
        """Return the classes with objects that were taught in one of these scenes."""
        return frozenset(
            each.label for each in self._origins.values() if each.has_object and each.scene_id in scene_ids
        )

    def predict_object(self, embedding: npt.ArrayLike, taught_here: Collection[str]) -> Prediction:
        """Classify the embedding of an object. Raises EmbeddingError.

        `taught_here` are the classes that were taught in this scene. Their threshold is that of their
        examples; that of the others is the lower one of the copies.
        """
        prediction = self._objects.predict(embedding, relaxed_threshold=True)
        if prediction.label != UNKNOWN or not prediction.confidences:
            return prediction
        label = prediction.ranking[0].label
        if label in taught_here or not self._objects.is_known_in_other_scene(embedding):
            return prediction
        return replace(prediction, label=label)

    def run_to_convergence(self, embedding: npt.ArrayLike) -> None:
        """Complete an incremental fit on whole regions at once. Raises EmbeddingError."""
        self._regions.run_to_convergence(embedding)

    def run_objects_to_convergence(self, embedding: npt.ArrayLike) -> None:
        """Complete an incremental fit on objects at once. Raises EmbeddingError."""
        self._objects.run_to_convergence(embedding)

    @property
    def missing_copies(self) -> Sequence[int]:
        """Ids of the examples that need augmented copies of the whole region."""
        return self._regions.missing_copies

    def add_copies(self, example_id: int, embeddings: Sequence[Vector]) -> None:
        """Add the embeddings of the augmented copies of an example's whole region."""
        self._regions.add_copies(example_id, embeddings)

    @property
    def objects(self) -> ExampleClassifier:
        """The classifier of objects, whose examples need copies of their object in other scenes."""
        return self._objects

    def evaluate(self) -> Evaluation:
        """Evaluate the examples by leave-one-out, on the vectors that decide if all have them."""
        if self._origins and all(each.has_object for each in self._origins.values()):
            return self._objects.evaluate()
        return self._regions.evaluate()

    def set_unknown(self, value: float | str) -> None:
        """Set the rejection: a similarity from -1 to 1, `auto` or `off`. Raises ConfigError."""
        self._regions.set_unknown(value)
        self._objects.set_unknown(value)

    def _examples_changed(self) -> None:
        self.version += 1
        self._embed_targets = None

    def _update(self) -> Mapping[ViewState, EmbedTarget]:
        """Return the part to embed by state, cached until the examples change."""
        if self._embed_targets is None:
            origins = self._origins.values()
            empty = self.counts.keys() - {
                each.label for each in origins if each.has_object or each.scene_id is None
            }
            self._taught_scenes = frozenset(
                each.scene_id for each in origins if each.has_object and each.scene_id is not None
            )
            self._embed_targets = self._choose_embed_targets(empty)
        return self._embed_targets

    def _choose_embed_targets(self, empty: Collection[str]) -> Mapping[ViewState, EmbedTarget]:
        """Return the part to embed by state; `empty` are the classes of the empty scene.

        Without such a class, a view of the empty scene is no class once each has an example with an object.
        """
        with_objects = self._objects.counts
        others = [label for label in self.counts if label not in empty]
        if not with_objects or any(label not in with_objects for label in others):
            return _BY_REGION
        if any(with_objects[label] < min(self.counts[label], MIN_OBJECTS) for label in others):
            return _BY_REGION if empty else _BY_REGION_OR_NOTHING
        return _BY_OBJECT_OR_REGION if empty else _BY_OBJECT


def make_object_classifier(
    kind: str = "auto",
    k: int = 3,
    metric: Metric = "cosine",
    vote: Vote = "padded",
    unknown: float | str = "auto",
    cohort: Cohort | None = None,
) -> ObjectClassifier:
    """Return a classifier without examples; the defaults are those of the configuration.

    Raises ConfigError for an invalid value. `cohort` is of whole photos, so it is for regions.
    """
    regions = make_example_classifier(kind, k, metric, vote, unknown, cohort=cohort)
    objects = make_example_classifier(kind, k, metric, vote, unknown, settings=OBJECTS_ALONE)
    return ObjectClassifier(regions, objects)


_BY_REGION: Mapping[ViewState, EmbedTarget] = {"object": "region", "empty": "region", "untrusted": "region"}
_BY_REGION_OR_NOTHING: Mapping[ViewState, EmbedTarget] = {
    "object": "region",
    "empty": "nothing",
    "untrusted": "region",
}
_BY_OBJECT: Mapping[ViewState, EmbedTarget] = {"object": "object", "empty": "nothing", "untrusted": "region"}
_BY_OBJECT_OR_REGION: Mapping[ViewState, EmbedTarget] = {
    "object": "object",
    "empty": "region",
    "untrusted": "region",
}
