"""One region of the frame: crop, track, embed, classify, smooth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from edge_daemon.domain.commands import Trigger
from edge_daemon.domain.errors import EmbeddingError, ImageError, RequestError
from edge_daemon.domain.events import Classified, CommandReply, Event, LabelChanged, ObjectPassed
from edge_daemon.domain.interfaces import Clock, Embedder
from edge_daemon.domain.lazy_picture import LazyPicture
from edge_daemon.domain.types import (
    UNKNOWN,
    UNKNOWN_PREDICTION,
    Frame,
    LabelChange,
    Observation,
    Prediction,
)
from edge_daemon.imaging.regions import WHOLE, Box, crop_frame
from edge_daemon.imaging.static_scene import StaticSceneDetector
from edge_daemon.learning.open_set_classifier import OpenSetClassifier
from edge_daemon.learning.recent_frames import RecentFrames
from edge_daemon.pipeline.embedded_view import NOT_EMBEDDED, EmbeddedView
from edge_daemon.teaching.labelling import Labeller, WaitingPress
from edge_daemon.teaching.pending_changes import error_reply
from edge_daemon.tracking.label_smoother import LabelSmoother
from edge_daemon.tracking.region_text import RegionTextJoiner

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image
    from edge_daemon.pipeline.scenes import Scenes
    from edge_daemon.pipeline.view_classifier import ViewClassifier
    from edge_daemon.tracking.object_tracker import ObjectTracker

TrackerFactory: TypeAlias = "Callable[[str], ObjectTracker | None]"
"""Makes the object tracker of a region, by its name; None where every frame is classified."""

MinScale: TypeAlias = Callable[[int, int], float]
"""Returns the scale at which a crop of this width and height has enough pixels for the model."""


def full_scale(width: int, height: int) -> float:
    """Return 1: every crop is used at its full size."""
    return 1.0


class Region(Struct, frozen=True):
    """A region's box (None: the whole frame), its pool of examples and the parts that keep its state.

    With a `tracker`, only frames that show an object are embedded, and each object gives one event.
    Without a tracker, frames in which `static_scene` finds no change are skipped.
    """

    name: str
    box: Box | None
    pool: str
    smoother: LabelSmoother
    tracker: ObjectTracker | None = None
    static_scene: StaticSceneDetector | None = None


class RegionPipeline:
    """Turns frames into the events of one region. Owned by the pipeline thread.

    `text_joiner` receives each prediction where the labels of several regions are joined. `scenes` and
    `view_classifier` are given where objects are compared without their scene.
    """

    def __init__(
        self,
        region: Region,
        *,
        embedder: Embedder,
        classifier: OpenSetClassifier,
        labeller: Labeller,
        clock: Clock,
        text_joiner: RegionTextJoiner | None = None,
        scenes: Scenes | None = None,
        view_classifier: ViewClassifier | None = None,
        min_scale: MinScale = full_scale,
    ) -> None:
        self.name = region.name
        self._box = region.box
        self._smoother = region.smoother
        self._tracker = region.tracker
        self._static_scene = region.static_scene
        self._embedder = embedder
        self._classifier = classifier
        self._labeller = labeller
        self._clock = clock
        self._text_joiner = text_joiner
        self._scenes = scenes
        self._view_classifier = view_classifier
        self._min_scale_of_crop = min_scale
        self._scale: tuple[tuple[int, int], float] | None = None
        self._recognised = False
        self._recent = RecentFrames()

    def process(self, frame: Frame) -> Iterator[Event]:
        """Yield the events of a frame as they happen. Raises ImageError for a box outside the frame."""
        image = self._crop(frame)
        if self._tracker is None:
            yield from self._process_continuous(frame, image)
        else:
            yield from self._process_tracked(frame, image, self._tracker)
        if self._scenes is not None:
            yield from self._scenes.observe(self.name, frame, image, recognised=self._recognised)

    def _process_continuous(self, frame: Frame, image: Image) -> Iterator[Event]:
        """Classify every frame, except those in which nothing changed."""
        pending = self._labeller.pop_due(self.name, frame.captured_s)
        detector = self._static_scene
        if detector is not None and detector.is_static(image, frame.captured_s) and not pending:
            self._labeller.remember(self._observation(frame, image))
            return
        try:
            embedded = self._embed(frame, image)
        except EmbeddingError as exc:
            yield from self._emit_failure(frame, pending, exc)
            return
        observation = self._observation(frame, image, embedded)
        self._labeller.remember(observation)
        yield from self._labeller.label_pending(pending, observation)
        yield from self._emit_prediction(observation, self._predict(embedded), embedded)

    def _process_tracked(self, frame: Frame, image: Image, tracker: ObjectTracker) -> Iterator[Event]:
        """Classify the frames that show an object, and add each prediction to the object's vote."""
        visibility = tracker.update(image, frame)
        pending = self._labeller.pop_due(self.name, frame.captured_s)
        if not visibility and not pending:
            self._labeller.remember(self._observation(frame, image))
            yield from self._emit_result(frame, UNKNOWN_PREDICTION, NOT_EMBEDDED)
            return
        try:
            embedded = self._embed(frame, image)
        except EmbeddingError as exc:
            if visibility:
                tracker.add_vote(frame, UNKNOWN_PREDICTION, visibility)
            yield from self._emit_failure(frame, pending, exc)
            return
        observation = self._observation(frame, image, embedded)
        self._labeller.remember(observation)
        yield from self._labeller.label_pending(pending, observation)
        if not visibility:
            yield from self._emit_result(frame, UNKNOWN_PREDICTION, embedded)
            return
        prediction = self._predict(embedded, relaxed=True)
        tracker.add_vote(frame, prediction, visibility)
        yield from self._emit_prediction(observation, prediction, embedded)

    def _crop(self, frame: Frame) -> Image:
        """Return the region's picture at the smallest scale that the model needs."""
        try:
            if self._scale is None or self._scale[0] != frame.size:
                self._scale = frame.size, self.min_scale(frame.size)
            return crop_frame(frame, self._box, self._scale[1])
        except ImageError as exc:
            raise ImageError(f"region '{self.name}': {exc}") from exc

    def size_error(self, size: tuple[int, int]) -> str:
        """Return why the region has no picture in frames of this size; empty if it has one."""
        try:
            (self._box or WHOLE).pixels(*size)
        except ImageError as exc:
            return f"region '{self.name}': {exc}"
        return ""

    def min_scale(self, size: tuple[int, int]) -> float:
        """Return the smallest scale that the model needs of a frame of this size; 1 if the box exceeds it."""
        try:
            part = (self._box or WHOLE).pixels(*size)
        except ImageError:
            return 1.0
        return self._min_scale_of_crop(int(part.width), int(part.height))

    def _full_crop(self, frame: Frame) -> Callable[[], Image] | None:
        """Return a function that crops the frame at its full size; None where it has one size only."""
        return partial(crop_frame, frame, self._box) if isinstance(frame.pixels, LazyPicture) else None

    def _observation(self, frame: Frame, image: Image, embedded: EmbeddedView = NOT_EMBEDDED) -> Observation:
        return Observation(self.name, frame, image, embedded.embedding, self._full_crop(frame))

    def _embed(self, frame: Frame, image: Image) -> EmbeddedView:
        """Embed the region, or the object in it. Raises EmbeddingError."""
        if self._view_classifier is None:
            embedded = EmbeddedView(embedding=self._embedder.embed(image))
        else:
            embedded = self._view_classifier.embed(image, self._full_crop(frame))
        if embedded.embedding is not None:
            self._recent.add(embedded.embedding, frame.captured_s)
        return embedded

    def _predict(self, embedded: EmbeddedView, *, relaxed: bool = False) -> Prediction:
        if self._view_classifier is not None:
            return self._view_classifier.predict(embedded, relaxed=relaxed, recent=self._recent)
        assert embedded.embedding is not None
        return self._classifier.predict(embedded.embedding, relaxed_threshold=relaxed, recent=self._recent)

    def _emit_prediction(
        self, observation: Observation, prediction: Prediction, embedded: EmbeddedView
    ) -> Iterator[Event]:
        """Yield the events of a classified frame, and keep it as a sample if it is uncertain."""
        yield from self._emit_result(observation.frame, prediction, embedded)
        uncertain = self._labeller.offer_uncertain(observation, prediction)
        if uncertain is not None:
            yield uncertain

    def _emit_failure(
        self, frame: Frame, pending: list[WaitingPress], exc: EmbeddingError
    ) -> Iterator[Event]:
        """Yield error replies and `unknown` for a crop that the model can't embed, such as pure black."""
        yield from (error_reply(press.command, exc) for press in pending)
        yield from self._emit_result(frame, UNKNOWN_PREDICTION, NOT_EMBEDDED)

    def _emit_result(self, frame: Frame, prediction: Prediction, embedded: EmbeddedView) -> list[Event]:
        """Return the event of the prediction, and that of the label if it changed."""
        now = self._clock.monotonic()
        latency_ms = (now - frame.captured_s) * 1000
        self._recognised = prediction.label != UNKNOWN
        vectors = embedded.embedding, embedded.object_embedding
        result: list[Event] = [
            Classified(self.name, prediction, frame.seq, frame.captured_at, latency_ms, *vectors)
        ]
        change = self._smoother.update(prediction, now)
        if change is not None:
            result.append(label_changed_event(self.name, change, frame, latency_ms))
        if self._text_joiner is not None:
            self._text_joiner.add(self.name, prediction)
        return result

    def reset(self, now: float) -> list[ObjectPassed | CommandReply]:
        """Discard the label and the scene; return the events of an object in view at `now` (monotonic)."""
        self._smoother.reset()
        self._recent.reset()
        self.reset_static_scene()
        return self.finish_objects(now)

    def finish_objects(self, now: float) -> list[ObjectPassed | CommandReply]:
        """Return the events of the objects that have a frame, though they may still be in view."""
        return [] if self._tracker is None else self._tracker.abort(now)

    def reset_static_scene(self) -> None:
        """Classify the next frame even if nothing changed in it."""
        if self._static_scene is not None:
            self._static_scene.reset()

    def pop_finished(
        self, now: float, wait_s: float, *, idle: bool = False
    ) -> Sequence[ObjectPassed | CommandReply]:
        """Return the events of the objects that passed by `now`; see `ObjectTracker.pop_finished`."""
        return () if self._tracker is None else self._tracker.pop_finished(now, wait_s, idle=idle)

    def trigger(self, command: Trigger) -> None:
        """Start an object. Raises RequestError where objects are not triggered."""
        if self._tracker is None:
            raise RequestError(
                "this device classifies every frame; set `trigger: mqtt` or `gpio` to use triggers"
            )
        self._tracker.trigger(command)

    def pop_triggers(self) -> list[Trigger]:
        """Remove and return the triggers that wait for a frame."""
        return [] if self._tracker is None else self._tracker.pop_waiting()

    def move(self, box: Box, now: float) -> list[ObjectPassed | CommandReply]:
        """Move the box and discard what the old one showed, as `reset` does."""
        self._box, self._scale = box, None
        if self._scenes is not None:
            self._scenes.move(self.name, box)
        return self.reset(now)

    @property
    def smoother(self) -> LabelSmoother:
        """The smoother of the label."""
        return self._smoother

    def set_tracker(self, make: TrackerFactory, now: float) -> list[ObjectPassed | CommandReply]:
        """Replace the tracker; return the last events of the old one, with replies to all its triggers."""
        happened = [*self.reset(now), *self.pop_finished(math.inf, 0.0, idle=True)]
        self._tracker = make(self.name)
        return happened


def label_changed_event(region: str, change: LabelChange, frame: Frame, latency_ms: float) -> LabelChanged:
    """Make the event of a changed label."""
    return LabelChanged(
        region, change.label, change.previous, change.confidence, frame.seq, frame.captured_at, latency_ms
    )
