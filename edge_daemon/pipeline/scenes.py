"""Commands on the scenes of the regions: learn, show, forget, and undo of a press."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from edge_daemon.domain.commands import ForgetScene, LearnScene, ShowScene, Undo
from edge_daemon.domain.errors import EdgeError, RequestError
from edge_daemon.domain.events import CommandReply, Event, SceneLearned
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame
from edge_daemon.pipeline.region_scene import LearnedScene, RegionScene

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


class _Press(Struct):
    """A press that waits for frames of `waiting`; `former` holds the scenes before it."""

    command: LearnScene
    waiting: list[str]
    former: dict[str, LearnedScene | None] = {}


class Scenes:
    """The scenes of all regions, and the press in progress. Every call comes from one thread."""

    def __init__(self, scenes: Mapping[str, RegionScene], clock: Clock) -> None:
        self._scenes = scenes
        self._clock = clock
        self._press: _Press | None = None
        self._undoable: _Press | None = None

    def learn(self, command: LearnScene) -> None:
        """Begin a press. Raises RequestError while another one waits for frames."""
        if self._press is not None:
            raise RequestError("a scene is being learned; wait for its reply")
        chosen = self._chosen(command.region)
        self._press = _Press(command, [scene.region for scene in chosen])
        for scene in chosen:
            scene.begin_press(command.pressed_s)

    def show(self, command: ShowScene) -> Iterator[Event]:
        """Reply with the state of the scenes."""
        yield CommandReply(command, data={"regions": self._described(self._chosen(command.region))})

    def forget(self, command: ForgetScene) -> Iterator[Event]:
        """Forget the scenes; they are learned again. Raises StoreError."""
        chosen = self._chosen(command.region)
        for scene in chosen:
            scene.forget()
        self.expire_undo()
        yield CommandReply(command, data={"regions": self._described(chosen)})
        yield from (status for scene in chosen for status in scene.report())

    def observe(self, region: str, frame: Frame, image: Image, *, recognised: bool) -> Iterator[Event]:
        """Give a region's picture to its scene; finish a press once all its regions have their scenes."""
        scene = self._scenes[region]
        yield from scene.observe(frame, image, recognised=recognised)
        press = self._press
        if press is None or region not in press.waiting:
            return
        former = scene.learned
        try:
            learned = scene.continue_press(frame, image)
        except EdgeError as exc:
            yield from self._abandon(press, region, exc)
            return
        if learned is None:
            return
        press.former[region] = former
        press.waiting.remove(region)
        yield SceneLearned(region, frame.seq, automatic=False)
        yield from scene.report()
        if not press.waiting:
            self._press, self._undoable = None, press
            chosen = [self._scenes[name] for name in press.former]
            yield CommandReply(press.command, data={"regions": self._described(chosen), "seq": frame.seq})

    def expire(self, now: float) -> Iterator[Event]:
        """Reply to a press for which no frames come."""
        press = self._press
        for region in list(press.waiting) if press is not None else []:
            try:
                self._scenes[region].expire_press(now)
            except RequestError as exc:
                assert press is not None
                yield from self._abandon(press, region, exc)
                return

    def undo(self, command: Undo) -> Iterator[Event] | None:
        """Restore the scenes before the latest press; None if an undo is not for a scene.

        Raises StoreError.
        """
        press, self._undoable = self._undoable, None
        return None if press is None else self._restore(command, press)

    def shift_times(self, step: timedelta) -> Iterator[Event]:
        """Correct the times of the scenes of this run, after the wall clock was set forward by `step`."""
        for scene in self._scenes.values():
            scene.shift_time(step)
            yield from scene.report()

    def reset(self, region: str) -> None:
        """Learn the scene of a region again, because the region was moved."""
        self._scenes[region].reset()

    def expire_undo(self) -> None:
        """Make the next undo one of the examples, because they were changed since the press."""
        self._undoable = None

    def statuses(self) -> Iterator[Event]:
        """Return the state of every scene, for the start."""
        return (status for scene in self._scenes.values() for status in scene.report())

    def _restore(self, command: Undo, press: _Press) -> Iterator[Event]:
        for region, former in press.former.items():
            self._scenes[region].undo_press(former)
        chosen = [self._scenes[region] for region in press.former]
        yield CommandReply(command, data={"scenes": self._described(chosen)})
        yield from (status for scene in chosen for status in scene.report())

    def _abandon(self, press: _Press, region: str, exc: EdgeError) -> Iterator[Event]:
        """End a spoiled press; regions that have their new scene keep the former one."""
        self._press = None
        for name in press.waiting:
            self._scenes[name].cancel_press()
        for name, former in press.former.items():
            self._scenes[name].undo_press(former)
            yield from self._scenes[name].report()
        where = f"region '{region}': " if len(self._scenes) > 1 else ""
        yield CommandReply(press.command, error=f"{where}{exc}")

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
