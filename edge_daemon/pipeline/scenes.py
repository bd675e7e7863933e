"""Commands on the scenes of the regions: learn, show, forget, and undo of a press."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from edge_daemon.domain.commands import ForgetScene, LearnScene, ShowScene, Undo
from edge_daemon.domain.errors import EdgeError, RequestError, StoreError
from edge_daemon.domain.events import CommandReply, Event, SceneChanged, SceneLearned
from edge_daemon.domain.frame_timing import FrameTiming
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame
from edge_daemon.imaging.regions import Box
from edge_daemon.pipeline.region_scene import LearnedScene, RegionScene
from edge_daemon.system.sqlite import LockedStoreError
from edge_daemon.teaching.lock_wait import LockWait

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


RESTORED = "scene learned; the former one is restored"
"""Text of the reply to the undo of a press, which keyboard and serial port show as that of any undo."""


class PendingScenePress(Struct, eq=False):
    """A press for the scenes of some regions: `waiting` for frames, or `learned` and not stored yet.

    `former` holds the scenes before the press once it is stored. `seq` is that of the last frame.
    `wait` is that for the store's lock, None before the scenes are learned. `number` is that of the press
    among presses and changes; it is not stored while an earlier change waits for the store.
    """

    command: LearnScene
    number: int
    timing: FrameTiming
    must_wait: Callable[[int], bool]
    waiting: list[str]
    learned: dict[str, LearnedScene] = {}
    former: dict[str, LearnedScene | None] = {}
    seq: int = 0
    wait: LockWait | None = None


class Scenes:
    """The scenes of all regions, and the press in progress. Every call comes from one thread."""

    def __init__(self, scenes: Mapping[str, RegionScene], clock: Clock) -> None:
        self._scenes = scenes
        self._clock = clock
        self._press: PendingScenePress | None = None
        self._undoable: PendingScenePress | None = None

    def learn(
        self, command: LearnScene, number: int, timing: FrameTiming, must_wait: Callable[[int], bool]
    ) -> None:
        """Begin a press with this number. Raises RequestError while another one waits for frames.

        `timing` is that of the camera. `must_wait` returns whether a change with a lower number waits for the
        store.
        """
        if self._press is not None:
            raise RequestError("a scene is being learned; wait for its reply")
        chosen = self._chosen(command.region)
        regions = [scene.region for scene in chosen]
        self._press = PendingScenePress(command, number, timing, must_wait, regions)
        for scene in chosen:
            scene.begin_press(command.pressed_s, timing)

    def show(self, command: ShowScene) -> Iterator[Event]:
        """Reply with the state of the scenes."""
        yield CommandReply(command, data={"regions": self._described(self._chosen(command.region))})

    def forget(self, command: ForgetScene) -> Iterator[Event]:
        """Forget the scenes; they are learned again. Raises StoreError and then forgets none."""
        chosen = self._chosen(command.region)
        with self._transaction():
            for scene in chosen:
                scene.remove_all_stored()
        for scene in chosen:
            scene.reset()
        self._undoable = None
        yield CommandReply(command, data={"regions": self._described(chosen)})
        yield from (status for scene in chosen for status in scene.report())

    def observe(self, region: str, frame: Frame, image: Image, *, recognised: bool) -> Iterator[Event]:
        """Give a region's picture to its scene; finish a press once all its regions have their scenes."""
        scene = self._scenes[region]
        for event in scene.observe(frame, image, recognised=recognised):
            if isinstance(event, SceneChanged):
                self._end_undo(region)
            yield event
        press = self._press
        if press is None:
            return
        if region in press.waiting:
            try:
                learned = scene.continue_press(frame, image)
            except RequestError as exc:
                yield self._abandon(press, exc, region)
                return
            if learned is None:
                return
            press.waiting.remove(region)
            press.learned[region] = learned
            press.seq = frame.seq
        yield from self._finish(press)

    def expire(self, now: float) -> Iterator[Event]:
        """Reply to a press for which no frames come."""
        press = self._press
        if press is None:
            return
        for region in press.waiting:
            try:
                self._scenes[region].expire_press(now)
            except RequestError as exc:
                yield self._abandon(press, exc, region)
                return
        yield from self._finish(press)

    def pop_press(self) -> list[LearnScene]:
        """End a press in progress without a result, and return it."""
        press, self._press = self._press, None
        return [] if press is None else [press.command]

    @property
    def press_number(self) -> int:
        """Number of the press in progress; 0 without one."""
        return 0 if self._press is None else self._press.number

    def withdraw(self, command: Undo) -> Iterator[Event]:
        """End the press in progress by an undo; every region keeps its scene."""
        press = self._press
        assert press is not None
        chosen = self._chosen(press.command.region)
        abandoned = self._abandon(press, RequestError("undone before the scene was learned"))
        yield replace(abandoned, withdrawn=True)
        yield CommandReply(command, data={"scenes": self._described(chosen), "text": RESTORED})

    @property
    def undoable(self) -> PendingScenePress | None:
        """The latest press whose scenes are in use; None if they were forgotten or changed since."""
        return self._undoable

    def undo(self, command: Undo, press: PendingScenePress) -> Iterator[Event]:
        """Restore the scenes before a press. Raises StoreError and then restores none."""
        chosen = [self._scenes[region] for region in press.former]
        with self._transaction():
            for scene in chosen:
                scene.remove_stored(press.learned[scene.region])
        self._undoable = None
        for scene in chosen:
            scene.use(press.former[scene.region])
        data = {"scenes": self._described(chosen), "text": RESTORED}
        yield CommandReply(command, data=data)
        yield from (status for scene in chosen for status in scene.report())

    def shift_times(self, step: timedelta) -> Iterator[Event]:
        """Correct the times of the scenes of this run, after the wall clock was set forward by `step`."""
        for scene in self._scenes.values():
            scene.shift_time(step)
            yield from scene.report()

    def move(self, region: str, box: Box) -> None:
        """Learn the scene of a region again, because its box was moved."""
        scene, press = self._scenes[region], self._press
        scene.move(box)
        self._end_undo(region)
        if press is not None and press.learned.pop(region, None) is not None:
            press.waiting.append(region)
            scene.begin_press(self._clock.monotonic(), press.timing)

    def _end_undo(self, region: str) -> None:
        """Leave a region out of the undo of the press: the camera or its box was moved since."""
        if self._undoable is not None:
            self._undoable.former.pop(region, None)
            if not self._undoable.former:
                self._undoable = None

    def _transaction(self) -> AbstractContextManager[None]:
        return next(iter(self._scenes.values())).transaction()

    def _finish(self, press: PendingScenePress) -> Iterator[Event]:
        """Store and use the scenes of a press that has them all; a locked store is tried again later."""
        if press.waiting:
            return
        press.wait = press.wait or LockWait(press.command, self._clock)
        if press.must_wait(press.number):
            return
        try:
            with self._transaction():
                stored = {name: self._scenes[name].store(each) for name, each in press.learned.items()}
        except StoreError as exc:
            if not isinstance(exc, LockedStoreError) or press.wait.is_over(exc):
                yield self._abandon(press, exc)
            return
        press.learned = stored
        press.former = {name: self._scenes[name].learned for name in stored}
        self._press, self._undoable = None, press
        for name, learned in stored.items():
            self._scenes[name].use(learned)
            yield SceneLearned(name, press.seq, automatic=False)
            yield from self._scenes[name].report()
        chosen = [self._scenes[name] for name in stored]
        yield CommandReply(press.command, data={"regions": self._described(chosen), "seq": press.seq})

    def _abandon(self, press: PendingScenePress, exc: EdgeError, region: str | None = None) -> CommandReply:
        """End a press without a result; every region keeps the scene that it had."""
        self._press = None
        for name in press.waiting:
            self._scenes[name].cancel_press()
        where = "" if region is None or len(self._scenes) == 1 else f"region '{region}': "
        return CommandReply(press.command, error=f"{where}{exc}")

    def _chosen(self, region: str | None) -> Sequence[RegionScene]:
        if region is None:
            return list(self._scenes.values())
        if region not in self._scenes:
            raise RequestError(f"no region '{region}'; regions are {', '.join(self._scenes)}")
        return [self._scenes[region]]

    def _described(self, scenes: Sequence[RegionScene]) -> dict[str, object]:
        return {scene.region: self._describe(scene) for scene in scenes}

    def _describe(self, scene: RegionScene) -> dict[str, object]:
        status = scene.status
        learned = scene.learned
        if status.learned_at is None or learned is None:
            return {"state": status.state}
        return {
            "state": status.state,
            "age_s": round(learned.age_s(self._clock)),
            "automatic": status.automatic,
        }
