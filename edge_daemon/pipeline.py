"""What the device does with each frame and each command: values in, events out, no threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_daemon import commands, events
from edge_daemon.commands import AddExample, Command, Instruction, ReportOutage
from edge_daemon.errors import EdgeError, EmbeddingError, ImageError, RequestError
from edge_daemon.examples.store import ExampleStore
from edge_daemon.labels import check_label
from edge_daemon.learning.learner import Learner
from edge_daemon.learning.smoothing import Smoother
from edge_daemon.ports import Clock, Embedder
from edge_daemon.types import UNKNOWN, Frame, Prediction
from edge_daemon.vision.regions import Box, crop

if TYPE_CHECKING:
    from edge_daemon.types import Image, Vector

log = logging.getLogger(__name__)

MAX_WAITING = 64
PRESS_LASTS_S = 5.0


@dataclass(frozen=True, slots=True)
class View:
    """One region as the pipeline sees it. `pool` names the learner whose examples it uses."""

    name: str
    box: Box | None
    pool: str
    smoother: Smoother


class Pipeline:
    """Owns the embedder, the learners and the store. Every call comes from one thread.

    `learners` are keyed by pool; `stale_s` is the age at which the last frame no longer counts as
    what the camera sees. Store and image faults answer the command that met them; they never end
    the pipeline.
    """

    def __init__(
        self,
        *,
        embedder: Embedder,
        views: Sequence[View],
        learners: Mapping[str, Learner],
        store: ExampleStore,
        clock: Clock,
        encode: Callable[[Image], bytes],
        max_per_label: int | None = None,
        stale_s: float = 5.0,
    ) -> None:
        self._embedder = embedder
        self._views = {view.name: view for view in views}
        self._learners = learners
        self._store = store
        self._clock = clock
        self._encode = encode
        self._max_per_label = max_per_label
        self._stale_s = stale_s
        self._waiting: list[AddExample] = []
        self._snapshots: list[commands.TakeSnapshot] = []
        self._last_frame_s: float | None = None
        self._lost_s: float | None = None
        self._ready = False

    @property
    def camera_lost(self) -> bool:
        """True between CameraLost and CameraRestored."""
        return self._lost_s is not None

    def step(self, frame: Frame | None, instructions: Sequence[Instruction]) -> list[events.Event]:
        """Take what came since the last step and say what happened, in order."""
        happened: list[events.Event] = []
        for instruction in instructions:
            happened += self._obey(instruction)
        happened += self._see(frame) if frame is not None else self._check_age()
        return happened

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def examples(self) -> events.ExamplesChanged:
        """Return the counts and the exam of what is taught, for the start and after each change."""
        exams = [learner.exam() for learner in self._learners.values()]
        return events.ExamplesChanged(dict(self._store.counts), exams[0] if len(exams) == 1 else None)

    # Frames

    def _see(self, frame: Frame) -> Iterator[events.Event]:
        yield from self._notice_camera(frame)
        for view in self._views.values():
            try:
                image = crop(frame.image, view.box) if view.box else frame.image
            except ImageError as exc:
                raise ImageError(f"region '{view.name}': {exc}") from exc
            try:
                embedding = self._embedder.embed(image)
            except EmbeddingError as exc:
                # A picture the model has no answer for, such as pure black: nothing taught looks like it.
                yield from (self._failed(press, exc) for press in self._take_due(view, frame))
                yield from self._publish(view, frame, Prediction(UNKNOWN, {}, 0.0))
                continue
            yield from self._teach(view, frame, image, embedding)
            yield from self._publish(view, frame, self._learners[view.pool].predict(embedding))
        if not self._ready:
            self._ready = True
            yield events.Ready()
        for request in self._snapshots:
            yield events.Snapshot(self._encode(frame.image), request)
            yield events.Replied(request, data={"seq": frame.seq})
        self._snapshots.clear()

    def _publish(self, view: View, frame: Frame, prediction: Prediction) -> Iterator[events.Event]:
        now = self._clock.monotonic()
        latency_ms = (now - frame.captured_s) * 1000
        yield events.Classified(view.name, prediction, frame.seq, frame.captured_at, latency_ms)
        change = view.smoother.update(prediction, now)
        if change is not None:
            yield events.LabelChanged(
                view.name,
                change.label,
                change.previous,
                change.confidence,
                frame.seq,
                frame.captured_at,
                latency_ms,
            )

    def _notice_camera(self, frame: Frame) -> Iterator[events.Event]:
        self._last_frame_s = frame.captured_s
        if self._lost_s is not None:
            outage_s = self._clock.monotonic() - self._lost_s
            self._lost_s = None
            log.info("camera restored after %.1f s", outage_s)
            yield events.CameraRestored(outage_s)

    def _check_age(self) -> Iterator[events.Event]:
        now = self._clock.monotonic()
        if self._last_frame_s is not None and now - self._last_frame_s > self._stale_s:
            yield from self._lose_camera(f"no frame for {self._stale_s:g} s")
        overdue = [press for press in self._waiting if now - press.pressed_s > PRESS_LASTS_S]
        for press in overdue:
            self._waiting.remove(press)
            yield events.Replied(press, error=f"no frame came within {PRESS_LASTS_S:g} s of the press")

    def _lose_camera(self, reason: str) -> Iterator[events.Event]:
        """Forget what was seen, so that no stale label stays; once per outage."""
        if self._lost_s is not None:
            return
        self._lost_s = self._clock.monotonic()
        for view in self._views.values():
            view.smoother.reset()
        yield events.CameraLost(reason)

    # Commands

    def _obey(self, instruction: Instruction) -> list[events.Event]:
        if isinstance(instruction, ReportOutage):
            return list(self._lose_camera(instruction.reason))
        try:
            return list(self._execute(instruction))
        except EdgeError as exc:
            return [self._failed(instruction, exc)]

    def _failed(self, command: Command, exc: EdgeError) -> events.Replied:
        log.warning("%s refused: %s", type(command).__name__, exc)
        return events.Replied(command, error=str(exc))

    def _execute(self, command: Command) -> Iterator[events.Event]:
        match command:
            case commands.AddExample():
                self._await_frame(command)
            case commands.Undo():
                yield from self._undo(command)
            case commands.Clear():
                yield from self._clear(command)
            case commands.ListExamples():
                yield events.Replied(command, data={"counts": dict(self._store.counts)})
                yield self.examples()
            case commands.TakeSnapshot():
                if len(self._snapshots) >= MAX_WAITING:
                    raise RequestError("too many snapshots are waiting for a frame")
                self._snapshots.append(command)
            case commands.SetThreshold():
                for learner in self._learners.values():
                    learner.set_unknown(command.unknown)
                yield events.Replied(command, data={"unknown": command.unknown})

    def _await_frame(self, command: AddExample) -> None:
        check_label(command.label)
        if command.region is not None and command.region not in self._views:
            raise RequestError(f"no region '{command.region}'; regions are {', '.join(self._views)}")
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError("too many presses are waiting for a frame")
        self._waiting.append(command)

    def _teach(self, view: View, frame: Frame, image: Image, embedding: Vector) -> Iterator[events.Event]:
        """Label this frame with every press that was made before it was captured."""
        due = self._take_due(view, frame)
        for press in due:
            try:
                yield from self._add(press, view, frame, image, embedding)
            except EdgeError as exc:
                yield self._failed(press, exc)
        if due:
            yield self.examples()

    def _take_due(self, view: View, frame: Frame) -> list[AddExample]:
        first = next(iter(self._views))
        due = [
            press
            for press in self._waiting
            if (press.region or first) == view.name and press.pressed_s < frame.captured_s
        ]
        self._waiting = [press for press in self._waiting if press not in due]
        return due

    def _add(
        self, press: AddExample, view: View, frame: Frame, image: Image, embedding: Vector
    ) -> Iterator[events.Event]:
        label = check_label(press.label)
        example = self._store.add(
            embedding,
            label,
            space=self._embedder.space,
            region=view.name,
            group=press.group,
            source=press.origin.via,
            thumbnail=self._encode(image),
            created_at=frame.captured_at,
        )
        learner = self._learners[view.pool]
        learner.add(embedding, label, example.id, press.group)
        self._evict(learner, label)
        count = self._store.counts[label]
        yield events.ExampleAdded(example.id, label, view.name, count, frame.seq, press)
        yield events.Replied(press, data={"id": example.id, "label": label, "count": count, "seq": frame.seq})

    def _evict(self, learner: Learner, label: str) -> None:
        if self._max_per_label is not None and learner.counts[label] > self._max_per_label:
            redundant = [learner.most_redundant(label)]
            self._store.remove(redundant)
            learner.remove(redundant)

    def _undo(self, command: commands.Undo) -> Iterator[events.Event]:
        example = self._store.undo()
        for learner in self._learners.values():
            learner.remove([example.id])
        count = self._store.counts.get(example.label, 0)
        yield events.ExampleUndone(example.id, example.label, count, command)
        yield events.Replied(command, data={"id": example.id, "label": example.label, "count": count})
        yield self.examples()

    def _clear(self, command: commands.Clear) -> Iterator[events.Event]:
        ids = self._store.clear(command.label)
        for learner in self._learners.values():
            learner.remove(ids)
        yield events.Cleared(command.label, len(ids), command)
        yield events.Replied(command, data={"removed": len(ids)})
        yield self.examples()
