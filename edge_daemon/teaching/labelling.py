"""Labelling: pick the frame that a press or a request refers to, and store it as an example."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from edge_daemon.domain.commands import AddExample, AddPicture, LabelSample, Undo
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import AnotherSessionAdvised, CommandReply, Event, UncertainSampleKept
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import Observation, Prediction
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.learning.quality.evaluation import ONE_SESSION
from edge_daemon.learning.quality.uncertain_samples import UncertainSample, UncertainSamples
from edge_daemon.teaching.pending_changes import PendingChanges, reply_on_error
from edge_daemon.teaching.session_advice import SessionAdvice
from edge_daemon.teaching.trainer import Trainer

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector
    from edge_daemon.teaching.taught_view import FindView, TaughtView

MAX_PENDING = 64

RECENT_FRAMES = 4
"""Frames kept per region: debouncing a press takes longer than a fast camera's frame interval."""

PICTURE_EVALUATION_S = 2.0

UNCERTAIN_S = 15.0
"""Age limit of an uncertain sample that a request refers to without its number."""


class WaitingPress(Struct, frozen=True, eq=False):
    """A press that waits for a frame of its region; `number` is its number among presses and changes."""

    command: AddExample
    region: str
    number: int


class PendingLabels:
    """At most 64 presses that wait for a frame, in the order of their numbers; pure."""

    def __init__(self) -> None:
        self._pending: list[WaitingPress] = []

    @property
    def latest(self) -> int:
        """Number of the latest press; 0 without one."""
        return self._pending[-1].number if self._pending else 0

    def add(self, press: WaitingPress) -> None:
        """Queue a press. Raises RequestError when too many are pending."""
        if len(self._pending) >= MAX_PENDING:
            raise RequestError("too many presses are waiting for a frame")
        self._pending.append(press)

    def pop_due(self, region: str, captured_s: float) -> list[WaitingPress]:
        """Remove and return the region's presses made before `captured_s` (monotonic)."""
        if not self._pending:
            return []
        return self._pop(lambda each: each.region == region and each.command.pressed_s < captured_s)

    def pop_expired(self, pressed_s: float) -> list[WaitingPress]:
        """Remove and return the presses made before `pressed_s` (monotonic)."""
        return self._pop(lambda each: each.command.pressed_s < pressed_s)

    def pop_latest(self) -> list[WaitingPress]:
        """Remove and return the latest press, with the others of its burst that wait."""
        if not self._pending:
            return []
        latest = self._pending[-1]
        return self._pop(lambda each: each is latest or each.command.group == latest.command.group != "")

    def pop_all(self) -> list[WaitingPress]:
        """Remove and return all presses."""
        return self._pop(lambda each: True)

    def _pop(self, chosen: Callable[[WaitingPress], bool]) -> list[WaitingPress]:
        popped = [each for each in self._pending if chosen(each)]
        self._pending = [each for each in self._pending if not chosen(each)]
        return popped


class Labeller:
    """Keeps the latest observations and the pending presses. Every call comes from one thread.

    `embed` embeds a crop that was not classified. `encode` makes thumbnails; `shrink` reduces the crops of
    uncertain samples. `changes` queues examples while the store is locked. `find_view` finds the object of a
    taught picture where scenes are used.
    """

    def __init__(
        self,
        trainer: Trainer,
        changes: PendingChanges,
        embed: Callable[[Image], Vector],
        encode: Callable[[Image], bytes],
        shrink: Callable[[Image], Image],
        regions: int,
        find_view: FindView | None = None,
    ) -> None:
        self._trainer = trainer
        self._changes = changes
        self._embed = embed
        self._encode = encode
        self._find_view = find_view
        self._uncertain = UncertainSamples(shrink)
        self._recent: deque[Observation] = deque(maxlen=RECENT_FRAMES * regions)
        self._pending = PendingLabels()
        self._evaluation_due = True
        self._pictures_added = False
        self._evaluated_s = -math.inf
        self._advice = SessionAdvice()
        self._taught: dict[tuple[str, str], None] = {}
        """Regions and labels of the examples that were added since the last evaluation."""

    def remember(self, observation: Observation) -> None:
        """Keep an observation for presses that refer to it later."""
        self._recent.append(observation)

    def offer_uncertain(self, observation: Observation, prediction: Prediction) -> UncertainSampleKept | None:
        """Keep an observation whose prediction is uncertain, see `UncertainSamples`; return the event."""
        sample = self._uncertain.offer(observation, prediction)
        if sample is None:
            return None
        region, frame = observation.region, observation.frame
        # The page holds the pictures of eight samples: as crops of whole frames of 640 x 480 they took 7 MB.
        picture = sample.observation.crop
        return UncertainSampleKept(
            sample.number, region, sample.reason, prediction, frame.seq, frame.captured_at, picture
        )

    def pop_due(self, region: str, captured_s: float) -> list[WaitingPress]:
        """Remove and return the pending presses that a frame captured at `captured_s` belongs to."""
        return self._pending.pop_due(region, captured_s)

    def label_pending(self, presses: list[WaitingPress], observation: Observation) -> Iterator[Event]:
        """Label an observation as each press says; an error becomes the reply to its press."""
        for press in presses:
            labelled = self._label(press.command, observation, number=press.number)
            yield from reply_on_error(press.command, labelled)

    def expire_pending(self, now: float, wait_s: float) -> Iterator[Event]:
        """Reply to the presses that no frame followed within `wait_s`."""
        for press in self._pending.pop_expired(now - wait_s):
            error = f"no frame came within {wait_s:.3g} s of the press"
            yield CommandReply(press.command, error=error)

    @property
    def latest_waiting(self) -> int:
        """Number of the latest press that waits for a frame; 0 without one."""
        return self._pending.latest

    def withdraw_latest(self, command: Undo) -> Generator[Event, None, bool]:
        """Undo the latest press or burst that waits for a frame; return whether that is all of it.

        It is not where a part of the burst is stored already: that part is to be undone, with the reply.
        """
        presses = [each.command for each in self._pending.pop_latest()]
        for press in presses:
            yield CommandReply(press, error="undone before a frame followed the press", withdrawn=True)
        if self._changes.next_undo_includes(presses[0].group):
            return False
        text = f"{counted(len(presses), 'press', 'presses')} of '{presses[0].label}' withdrawn"
        yield CommandReply(command, data={"text": text})
        return True

    def pop_pending(self) -> list[AddExample]:
        """Remove and return the presses that wait for a frame."""
        return [each.command for each in self._pending.pop_all()]

    def add_example(self, command: AddExample, region: str) -> Iterator[Event]:
        """Label a recent uncertain sample if the command asks for one, else the first frame after the press.

        That frame may already be processed: debouncing takes longer than a fast camera's frame interval.
        """
        check_label(command.label)
        if command.uncertain_s:
            sample = self._uncertain.latest(region, command.pressed_s - command.uncertain_s)
            if sample is not None:
                yield from self._label(command, sample.observation, sample)
                return
        for observation in self._recent:
            if observation.region == region and observation.frame.captured_s > command.pressed_s:
                yield from self._label(command, observation)
                return
        self._pending.add(WaitingPress(command, region, self._changes.next_number()))

    def add_picture(self, command: AddPicture, region: str, now: float) -> Iterator[Event]:
        """Embed a picture file and store it as an example; a known picture is left out.

        Its session is that of the presses at `now` (monotonic): when it was taken is not known.
        """
        record = ExampleRecord(
            self._embed(command.image),
            check_label(command.label),
            self._trainer.space,
            region,
            source=command.name,
            thumbnail=command.thumbnail,
            boot_id=self._trainer.boot_id,
            uptime_s=now,
        )
        yield from self._changes.make(command, partial(self._add_picture, command, record))

    def _add_picture(self, command: AddPicture, record: ExampleRecord) -> Iterator[Event]:
        known_label = self._trainer.find_duplicate(record)
        if known_label is not None:
            yield CommandReply(command, data={"duplicate": known_label})
            return
        yield from self._trainer.add(command, record, 0, batch=command.batch)
        self._pictures_added = True

    def label_sample(self, command: LabelSample, region: str) -> Iterator[Event]:
        """Label an uncertain sample: the numbered one, or the region's latest. Raises RequestError."""
        if command.sample is not None:
            sample = self._uncertain.get(command.sample)
            missing = f"uncertain sample {command.sample} is no longer kept; only the latest ones are"
        else:
            sample = self._uncertain.latest(region, command.pressed_s - UNCERTAIN_S)
            missing = f"no frame was uncertain in the last {UNCERTAIN_S:g} s"
        if sample is None:
            raise RequestError(missing)
        yield from self._label(command, sample.observation, sample)

    def evaluate_if_due(self, now: float) -> Iterator[Event]:
        """Yield counts and evaluation at the first call, and if an example was added since the last one.

        Advice on the added examples follows. Picture files, which may be thousands, are evaluated at most
        every PICTURE_EVALUATION_S seconds.
        """
        pictures_due = self._pictures_added and now - self._evaluated_s >= PICTURE_EVALUATION_S
        if not (self._evaluation_due or pictures_due):
            return
        self._evaluation_due = self._pictures_added = False
        self._evaluated_s = now
        taught, self._taught = self._taught, {}
        yield self._trainer.examples()
        for region, label in taught:
            report = self._trainer.class_report(region, label)
            if report is not None and self._advice.is_due(label, report, now):
                yield AnotherSessionAdvised(label, ONE_SESSION)

    def _label(
        self,
        command: AddExample | LabelSample,
        observation: Observation,
        sample: UncertainSample | None = None,
        number: int | None = None,
    ) -> Iterator[Event]:
        embedding = observation.embedding
        find_view = self._find_view
        view = None if find_view is None else find_view(observation)
        record = ExampleRecord(
            self._embed(observation.crop) if embedding is None else embedding,
            check_label(command.label),
            self._trainer.space,
            observation.region,
            group=command.group if isinstance(command, AddExample) else "",
            source=command.origin.via,
            thumbnail=self._encode(observation.full_crop()),
            created_at=observation.frame.captured_at,
            boot_id=self._trainer.boot_id,
            uptime_s=observation.frame.captured_s,
            object_embedding=None if view is None else view.object_embedding,
        )
        # The attempt holds no frame: 64 pending frames take 59 MB.
        attempt = partial(self._add, command, record, observation.frame.seq, view)
        yield from self._changes.make(command, attempt, number)
        if sample is not None:
            self._uncertain.drop(sample)  # also while the example waits for the store

    def _add(
        self,
        command: AddExample | LabelSample,
        record: ExampleRecord,
        seq: int,
        view: TaughtView | None,
    ) -> Iterator[Event]:
        yield from self._trainer.add(command, record, seq, view)
        self._evaluation_due = True
        self._taught[record.region, record.label] = None
