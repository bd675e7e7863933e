"""What the device does with each frame and each command: values in, events out, no threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edge_daemon.domain import commands, events
from edge_daemon.domain.commands import (
    AddExample,
    ClockSet,
    Command,
    Instruction,
    LabelSample,
    CameraFailed,
)
from edge_daemon.domain.errors import EdgeError, EmbeddingError, ImageError, RequestError
from edge_daemon.domain.interfaces import Clock, Embedder
from edge_daemon.domain.types import UNKNOWN, WHOLE_FRAME, Frame, Glance, LabelChange, Prediction, Sight
from edge_daemon.imaging.regions import Box, crop
from edge_daemon.pipeline.region import View
from edge_daemon.pipeline.runtime_settings import RuntimeSettings
from edge_daemon.teaching.labelling import MAX_WAITING, Labeller
from edge_daemon.teaching.pending_changes import PendingChanges
from edge_daemon.teaching.replies import error_reply, reply_on_error
from edge_daemon.teaching.trainer import Trainer
from edge_daemon.tracking.region_text import RegionTextJoiner

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector
    from edge_daemon.fleet.sync import FleetSync

log = logging.getLogger(__name__)

STORE_LOOK_S = 2.0

NOTHING = Prediction(UNKNOWN, {}, 0.0)
"""What is said of a picture that the model can't embed, and of one without an object."""


class Pipeline:
    """Owns the embedder and the teacher. Every call comes from one thread.

    `reading` joins the regions' labels into one text, told as the whole frame's label.
    `stale_s` is the age at which the last frame no longer counts as what the camera sees. `encode`
    makes thumbnails and snapshots, `shrink` what is kept of a picture that may yet become a thumbnail.
    Faults of the store or a picture answer the command that met them; they never end the pipeline.
    """

    def __init__(
        self,
        *,
        embedder: Embedder,
        views: Sequence[View],
        teacher: Trainer,
        clock: Clock,
        encode: Callable[[Image], bytes],
        shrink: Callable[[Image], Image] = lambda image: image,
        reading: RegionTextJoiner | None = None,
        stale_s: float = 5.0,
        settings: RuntimeSettings | None = None,
        fleet: FleetSync | None = None,
    ) -> None:
        self._embedder = embedder
        self._views = {view.name: view for view in views}
        self._teacher = teacher
        self._clock = clock
        self._encode = encode
        self._reading = reading
        self._stale_s = stale_s
        self._settings = settings or RuntimeSettings()
        self._fleet = fleet
        self._changes = PendingChanges(clock)
        self._lessons = Labeller(teacher, self._changes, embedder.embed, encode, shrink, len(self._views))
        self._snapshots: list[commands.TakeSnapshot] = []
        self._last_frame_s: float | None = None
        self._lost_s: float | None = None
        self._ready = False
        self._looked_s = clock.monotonic()
        self._store_lost = False

    @property
    def space(self) -> str:
        """The embedding space in use; any thread may ask."""
        return self._embedder.space

    def step(self, frame: Frame | None, instructions: Sequence[Instruction]) -> list[events.Event]:
        """Take what came since the last step and say what happened, in order."""
        return list(self.proceed(frame, instructions))

    def proceed(self, frame: Frame | None, instructions: Sequence[Instruction]) -> Iterator[events.Event]:
        """Do as `step` does, yielding each event as it happens: a press is acknowledged before the next
        inference. Must be exhausted.
        """
        changed = False
        for event in self._changes.retry():
            changed = True
            yield event
        for instruction in instructions:
            yield from self._obey(instruction)
        if instructions or changed:
            self._wake()  # what was taught or set may give a picture at rest another label
        yield from self._see(frame) if frame is not None else self._check_age()
        yield from self._lessons.examine()  # after the label, which is waited for
        yield from self._finish_objects()
        yield from self._look_at_store()
        if self._fleet is not None:
            yield from self._fleet.advance()

    def examples(self) -> events.ExamplesChanged:
        """Return the counts and the exam of what is taught."""
        return self._teacher.examples()

    def settings(self) -> events.SettingsChanged:
        """Return what can be set while the device runs."""
        return self._settings.told()

    def close(self) -> None:
        """Close the store."""
        self._teacher.close()

    # Frames

    def _see(self, frame: Frame) -> Iterator[events.Event]:
        yield from self._notice_camera(frame)
        for view in self._views.values():
            yield from self._look(view, frame)
        yield from self._finish_text(frame)
        for request in self._snapshots:
            yield events.Snapshot(self._encode(frame.image), request)
            yield events.CommandReply(request, data={"seq": frame.seq})
        self._snapshots.clear()

    def _look(self, view: View, frame: Frame) -> Iterator[events.Event]:
        try:
            image = crop(frame.image, view.box) if view.box else frame.image
        except ImageError as exc:
            raise ImageError(f"region '{view.name}': {exc}") from exc
        clarity = 1.0 if view.passage is None else view.passage.look(image, frame)
        presses = self._lessons.take_due(view.name, frame.captured_s)
        rests = view.rests(image, frame.captured_s)
        if (rests or not clarity) and not presses:
            self._lessons.see(Glance(view.name, frame, image))
            if not rests:
                yield from self._publish(view, frame, NOTHING, None)
            return
        try:
            embedding = self._embedder.embed(image)
        except EmbeddingError as exc:
            # A picture the model has no answer for, such as pure black: nothing taught looks like it.
            yield from (error_reply(press, exc) for press in presses)
            yield from self._judge(view, frame, NOTHING, None, clarity)
            return
        sight = Sight(view.name, frame, image, embedding)
        self._lessons.see(sight)
        yield from self._lessons.teach_due(presses, sight)
        voting = view.passage is not None
        prediction = self._teacher.predict(view.name, embedding, lenient=voting) if clarity else NOTHING
        yield from self._judge(view, frame, prediction, embedding, clarity)
        moment = self._lessons.consider(sight, prediction) if clarity else None
        if moment is not None:
            yield events.UncertainSampleKept(
                moment.number, view.name, moment.reason, prediction, frame.seq, frame.captured_at, image
            )

    def _judge(
        self, view: View, frame: Frame, prediction: Prediction, embedding: Vector | None, clarity: float
    ) -> Iterator[events.Event]:
        if view.passage is not None and clarity:
            view.passage.vote(frame, prediction, clarity)
        yield from self._publish(view, frame, prediction, embedding)

    def _publish(
        self, view: View, frame: Frame, prediction: Prediction, embedding: Vector | None
    ) -> Iterator[events.Event]:
        now = self._clock.monotonic()
        latency_ms = (now - frame.captured_s) * 1000
        yield events.Classified(view.name, prediction, frame.seq, frame.captured_at, latency_ms, embedding)
        change = view.smoother.update(prediction, now)
        if change is not None:
            yield _changed(view.name, change, frame, latency_ms)
        if self._reading is not None:
            self._reading.add(view.name, prediction)
        if not self._ready:
            self._ready = True
            yield events.Ready()
            self._encode(frame.image[:8, :8])  # loads what the first press would have to wait for

    def _finish_text(self, frame: Frame) -> Iterator[events.Event]:
        """Publish the text of all regions, once a frame and after the last of them."""
        now = self._clock.monotonic()
        change = self._reading.finish_frame(now) if self._reading is not None else None
        if change is not None:
            yield _changed(WHOLE_FRAME, change, frame, (now - frame.captured_s) * 1000)

    def _wake(self) -> None:
        for view in self._views.values():
            view.wake()

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
        yield from self._lessons.answer_overdue(now)

    def _finish_objects(self) -> Iterator[events.Event]:
        now = self._clock.monotonic()
        for view in self._views.values():
            if view.passage is not None:
                yield from view.passage.finished(now)

    def _look_at_store(self) -> list[events.Event]:
        now = self._clock.monotonic()
        if now - self._looked_s < STORE_LOOK_S:
            return []
        self._looked_s = now
        try:
            self._teacher.checkpoint(now)
            happened = list(self._teacher.refresh())
        except EdgeError as exc:
            log.log(
                logging.DEBUG if self._store_lost else logging.WARNING, "the store can't be read: %s", exc
            )
            self._store_lost = True
            return []
        self._store_lost = False
        return happened

    def _lose_camera(self, reason: str) -> Iterator[events.Event]:
        """Forget what was seen, so that no stale label stays; once per outage."""
        if self._lost_s is not None:
            return
        self._lost_s = self._clock.monotonic()
        for view in self._views.values():
            yield from view.start_afresh(self._clock.monotonic())
        if self._reading is not None:
            self._reading.reset()
        yield events.CameraLost(reason)

    # Commands

    def _obey(self, instruction: Instruction) -> Iterator[events.Event]:
        if isinstance(instruction, CameraFailed):
            yield from self._lose_camera(instruction.reason)
        elif isinstance(instruction, ClockSet):
            self._teacher.set_clock(instruction)
        else:
            yield from reply_on_error(instruction, self._execute(instruction))

    def _execute(self, command: Command) -> Iterator[events.Event]:
        match command:
            case AddExample():
                yield from self._lessons.press(command, self._region(command.region))
            case LabelSample():
                yield from self._lessons.label_moment(command, self._region(command.region))
            case commands.TakeSnapshot():
                if len(self._snapshots) >= MAX_WAITING:
                    raise RequestError("too many snapshots are waiting for a frame")
                self._snapshots.append(command)
            case commands.MoveRegion():
                yield from self._move(command)
            case commands.Trigger():
                self._trigger(command)
            case commands.SetTrigger():
                yield from self._settings.set_trigger(command, self._views, self._clock.monotonic())
            case commands.SetThreshold():
                yield from self._teacher.execute(command)
                yield self._settings.set_threshold(command)
            case commands.ListExamples():
                yield from self._teacher.execute(command)
            case _:
                yield from self._changes.make(command, partial(self._teacher.execute, command))

    def _trigger(self, command: commands.Trigger) -> None:
        view = self._views[self._region(command.region)]
        if view.passage is None:
            raise RequestError(
                "this device classifies every frame; `trigger: mqtt` or `gpio` lets it be told"
            )
        view.passage.trigger(command)

    def _move(self, command: commands.MoveRegion) -> Iterator[events.Event]:
        view = self._views[self._region(command.region)]
        seen = self._lessons.last_seen
        if seen is None:
            raise RequestError("no frame was seen yet that the region could be checked against")
        box = Box(*command.box)
        height, width = seen.frame.image.shape[:2]
        box.pixels(width, height)
        yield from view.start_afresh(self._clock.monotonic())
        self._views[view.name] = replace(view, box=box)
        yield events.CommandReply(command, data={"region": view.name, "box": list(command.box)})

    def _region(self, name: str | None) -> str:
        """Return the region that a command means: the first when it names none."""
        if name is not None and name not in self._views:
            raise RequestError(f"no region '{name}'; regions are {', '.join(self._views)}")
        return name or next(iter(self._views))


def _changed(region: str, change: LabelChange, frame: Frame, latency_ms: float) -> events.LabelChanged:
    return events.LabelChanged(
        region, change.label, change.previous, change.confidence, frame.seq, frame.captured_at, latency_ms
    )
