"""The pipeline: frames and commands in, events out, without threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from edge_daemon.domain import commands, events
from edge_daemon.domain.commands import (
    AddExample,
    AddPicture,
    CameraFailed,
    ClockSet,
    Command,
    Instruction,
    LabelSample,
)
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.frame_timing import FrameTiming
from edge_daemon.domain.interfaces import Clock, Embedder
from edge_daemon.domain.types import WHOLE_FRAME, Frame
from edge_daemon.imaging.regions import Box
from edge_daemon.pipeline.camera_outage import CameraOutage
from edge_daemon.pipeline.region import MinScale, Region, RegionPipeline, full_scale, label_changed_event
from edge_daemon.pipeline.runtime_settings import RuntimeSettings
from edge_daemon.pipeline.snapshots import Snapshots
from edge_daemon.pipeline.store_poll import StorePoll
from edge_daemon.teaching.labelling import Labeller
from edge_daemon.teaching.pending_changes import PendingChanges, reply_on_error
from edge_daemon.teaching.trainer import Trainer
from edge_daemon.tracking.region_text import RegionTextJoiner

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image
    from edge_daemon.fleet.sync import FleetSync
    from edge_daemon.pipeline.scene_parts import SceneParts
    from edge_daemon.pipeline.scenes import Scenes

FIRST_LABEL_S = 1.0
"""Longest time that the first evaluation waits for the first label."""


class Pipeline:
    """Owns embedder, trainer and regions; runs the commands. Every call comes from one thread.

    `text_joiner` joins the regions' labels into one text, reported as the label of the whole frame.
    `min_scale` returns the scale at which a crop of a width and height has enough pixels for the model.
    `encode` makes thumbnails and snapshots; `shrink` reduces the crops of uncertain samples. A fault of the
    store or of a picture becomes an error reply to the command; it never ends the pipeline.
    """

    def __init__(
        self,
        *,
        embedder: Embedder,
        regions: Sequence[Region],
        trainer: Trainer,
        clock: Clock,
        encode: Callable[[Image], bytes],
        shrink: Callable[[Image], Image] = lambda image: image,
        text_joiner: RegionTextJoiner | None = None,
        settings: RuntimeSettings | None = None,
        fleet: FleetSync | None = None,
        scenes: SceneParts | None = None,
        min_scale: MinScale = full_scale,
    ) -> None:
        self._trainer = trainer
        self._clock = clock
        self._encode = encode
        self._text_joiner = text_joiner
        self._settings = settings or RuntimeSettings()
        self._fleet = fleet
        self.space = embedder.space
        """The embedding space in use; any thread may ask."""
        self._changes = PendingChanges(clock, trainer.live_changes)
        self._scenes = None if scenes is None else scenes.scenes
        self._view_classifiers = {} if scenes is None else scenes.view_classifiers
        classifiers = self._view_classifiers
        find_view = (lambda seen: classifiers[seen.region].taught_view(seen)) if classifiers else None
        self._labeller = Labeller(
            trainer, self._changes, embedder.embed, encode, shrink, len(regions), find_view
        )
        self._copy_maker = trainer.copy_maker(embedder.embed)
        self._object_copy_maker = None if scenes is None else scenes.object_copy_maker
        make = partial(
            RegionPipeline,
            embedder=embedder,
            labeller=self._labeller,
            clock=clock,
            text_joiner=text_joiner,
            scenes=self._scenes,
            min_scale=min_scale,
        )
        self._regions = {
            region.name: make(
                region,
                classifier=trainer.classifier(region.name),
                view_classifier=self._view_classifiers.get(region.name),
            )
            for region in regions
        }
        self._snapshots = Snapshots(encode)
        self._camera = CameraOutage(clock)
        self._timing = FrameTiming()
        self._ready = False
        self._frame_size: tuple[int, int] | None = None
        self._store_poll = StorePoll(trainer, clock.monotonic())
        self._evaluate_s = clock.monotonic() + FIRST_LABEL_S

    def process(self, frame: Frame | None, instructions: Sequence[Instruction]) -> Iterator[events.Event]:
        """Run the instructions and classify the frame, if any; yield each event as it happens.

        A press is acknowledged before the next inference. One augmented copy of an example is embedded after
        the frame. The iterator must be exhausted.
        """
        changed = bool(instructions)
        for event in self._changes.retry():
            changed = True
            yield event
        for instruction in instructions:
            yield from self._handle_instruction(instruction)
        if changed:
            self._reset_static_scenes()  # new examples or settings may change the label of an idle region
        yield from self._check_camera() if frame is None else self._process_frame(frame)
        # After the label, which users wait for.
        if self._ready or self._clock.monotonic() >= self._evaluate_s:
            yield from self._labeller.evaluate_if_due(self._clock.monotonic())
        if frame is not None:
            self._make_copy()
        now = self._clock.monotonic()
        for region in self._regions.values():
            yield from region.pop_finished(now, self._timing.frame_wait_s, idle=frame is None)
        yield from self._store_poll.advance(now)
        if self._fleet is not None:
            yield from self._fleet.advance()

    def settings(self) -> events.SettingsChanged:
        """Return the settings that can change while the device runs."""
        return self._settings.current

    def min_scale(self, size: tuple[int, int]) -> float:
        """Return the smallest scale that the regions need of a frame of this width and height."""
        return max(region.min_scale(size) for region in self._regions.values())

    def reject_waiting(self, others: Iterable[Instruction], error: str) -> Iterator[events.Event]:
        """Reply with an error to the commands that wait for a frame or the store, and to `others`."""
        waiting: list[Instruction] = [*self._labeller.pop_pending(), *self._snapshots.pop_all(), *others]
        waiting += self._changes.pop_all()
        if self._scenes is not None:
            waiting += self._scenes.pop_press()
        for region in self._regions.values():
            yield from region.finish_objects(self._clock.monotonic())
            waiting += region.pop_triggers()
        commands = (each for each in waiting if not isinstance(each, CameraFailed | ClockSet))
        yield from (events.CommandReply(command, error=error) for command in commands)

    def close(self) -> None:
        """Close the store."""
        self._trainer.close()

    # Frames

    def _process_frame(self, frame: Frame) -> Iterator[events.Event]:
        self._frame_size = frame.size
        self._timing.add(frame.captured_s, self._clock.monotonic())
        if self._ready and (fault := self._size_error(frame.size)):
            yield from self._check_camera(fault)
            return
        if (restored := self._camera.record_frame()) is not None:
            yield restored
        for region in self._regions.values():
            for event in region.process(frame):
                yield event
                if not self._ready:
                    self._ready = True
                    yield events.Ready()
                    # Load the encoder before the first press needs it.
                    self._encode(frame.smallest_loaded()[:8, :8])
        if self._text_joiner is not None:
            yield from self._emit_text(frame, self._text_joiner)
        yield from self._snapshots.fulfil(frame)

    def _size_error(self, size: tuple[int, int]) -> str:
        """Return why the regions have no pictures in frames of this size; empty if they have some."""
        return next(filter(None, (region.size_error(size) for region in self._regions.values())), "")

    def _emit_text(self, frame: Frame, joiner: RegionTextJoiner) -> list[events.LabelChanged]:
        now = self._clock.monotonic()
        if (change := joiner.finish_frame(now)) is None:
            return []
        return [label_changed_event(WHOLE_FRAME, change, frame, (now - frame.captured_s) * 1000)]

    def _reset_static_scenes(self) -> None:
        for region in self._regions.values():
            region.reset_static_scene()

    def _make_copy(self) -> None:
        """Embed one copy of an example, if one is missing: of the whole region first, then of the object."""
        if not self._copy_maker.advance() and self._object_copy_maker is not None:
            self._object_copy_maker.advance()

    # Camera

    def _check_camera(self, fault: str = "") -> Iterator[events.Event]:
        """Report an outage, by default that of frames, and reply to the commands that wait for frames."""
        now = self._clock.monotonic()
        if reason := fault or self._camera.stale_reason(now, self._timing.lost_after_s):
            yield from self._lose_camera(reason)
        yield from self._labeller.expire_pending(now, self._timing.frame_wait_s)
        yield from self._snapshots.expire(now, self._timing.frame_wait_s)
        if self._scenes is not None:
            yield from self._scenes.expire(now)

    def _lose_camera(self, reason: str) -> Iterator[events.Event]:
        """Report an outage; at its begin reset every region, so that no stale label remains."""
        begins = self._camera.began_s is None
        lost = self._camera.begin(reason)
        if begins:
            now = self._clock.monotonic()
            for region in self._regions.values():
                yield from region.reset(now)
            if self._text_joiner is not None:
                self._text_joiner.reset()
        if lost is not None:
            yield lost

    # Commands

    def _handle_instruction(self, instruction: Instruction) -> Iterator[events.Event]:
        if isinstance(instruction, CameraFailed):
            return self._lose_camera(instruction.reason)
        if isinstance(instruction, ClockSet):
            self._trainer.set_clock(instruction)
            step = timedelta(seconds=instruction.step_s)
            return iter(()) if self._scenes is None else self._scenes.shift_times(step)
        return reply_on_error(instruction, self._handle_command(instruction))

    def _handle_command(self, command: Command) -> Iterator[events.Event]:
        match command:
            case commands.LearnScene():
                number = self._changes.next_number()
                self._required_scenes().learn(command, number, self._timing, self._changes.waits_before)
            case commands.ShowScene():
                yield from self._required_scenes().show(command)
            case commands.ForgetScene():
                yield from self._changes.make(command, partial(self._required_scenes().forget, command))
            case commands.Undo():
                yield from self._undo(command)
            case AddExample():
                yield from self._labeller.add_example(command, self._region(command.region).name)
            case AddPicture():
                region = self._region(command.region).name
                yield from self._labeller.add_picture(command, region, self._clock.monotonic())
            case LabelSample():
                yield from self._labeller.label_sample(command, self._region(command.region).name)
            case commands.TakeSnapshot():
                self._snapshots.add(command, self._clock.monotonic())
            case commands.MoveRegion():
                yield from self._move(command)
            case commands.Trigger():
                self._region(command.region).trigger(command)
            case commands.SetTrigger():
                now = self._clock.monotonic()
                yield from self._settings.set_trigger(command, self._regions.values(), now)
            case commands.SetThreshold():
                yield from self._trainer.execute(command)
                yield self._settings.set_threshold(command)
            case commands.SetSmoothing():
                yield from self._set_smoothing(command)
            case commands.ListExamples():
                yield from self._trainer.execute(command)
            case _:
                yield from self._changes.make(command, partial(self._trainer.execute, command))

    def _undo(self, command: commands.Undo) -> Iterator[events.Event]:
        """Withdraw the latest press that waits for frames, if no change followed it, else undo a change."""
        execute = partial(self._trainer.execute, command)
        if command.change is not None:
            yield from self._changes.make(command, execute)
            return
        learned = None if self._scenes is None else self._scenes.undoable
        changed = self._changes.latest_undoable(0 if learned is None else learned.number)
        pressed = self._labeller.latest_waiting
        if self._scenes is not None and self._scenes.press_number > max(pressed, changed):
            yield from self._scenes.withdraw(command)
        elif pressed > changed:
            if not (yield from self._labeller.withdraw_latest(command)):
                yield from self._changes.make(command, execute)
        else:
            number = self._changes.next_number()
            yield from self._changes.make(command, partial(self._undo_latest, command, number), number)

    def _undo_latest(self, command: commands.Undo, number: int) -> Iterator[events.Event]:
        """Undo the scene press if it was the latest change before `number`, else a change of the examples."""
        press = None if self._scenes is None else self._scenes.undoable
        if press is None or not self._changes.latest_made < press.number < number:
            return self._trainer.execute(command)
        return self._required_scenes().undo(command, press)

    def _required_scenes(self) -> Scenes:
        if self._scenes is None:
            raise RequestError(
                "this device uses no scene; set `scene: auto`, `model.features: embedding` and a classifier "
                "other than pretrained"
            )
        return self._scenes

    def _set_smoothing(self, command: commands.SetSmoothing) -> Iterator[events.Event]:
        smoothers = [region.smoother for region in self._regions.values()]
        if self._text_joiner is not None:
            smoothers.append(self._text_joiner.smoother)
        for smoother in smoothers:
            smoother.configure(command.window, command.hysteresis, command.min_hold_s)
        yield events.CommandReply(command)

    def _move(self, command: commands.MoveRegion) -> Iterator[events.Event]:
        region = self._region(command.region)
        if self._frame_size is None:
            raise RequestError("the region can't be checked before the first frame; try again")
        box = Box(*command.box)
        box.pixels(*self._frame_size)
        yield from region.move(box, self._clock.monotonic())
        yield events.CommandReply(command, data={"region": region.name, "box": list(command.box)})

    def _region(self, name: str | None) -> RegionPipeline:
        """Return the region of a command: the first when `name` is None. Raises RequestError."""
        if name is None:
            return next(iter(self._regions.values()))
        if name not in self._regions:
            raise RequestError(f"no region '{name}'; regions are {', '.join(self._regions)}")
        return self._regions[name]
