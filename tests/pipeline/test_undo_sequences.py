"""Random sequences of presses, changes, imports, undos, locks and restarts, compared with a list."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from msgspec import Struct

from edge_daemon.domain.commands import AddExample, Clear, Command, Merge, Undo
from edge_daemon.example_store.store import ExampleStore
from tests.harness.locked_store import locked
from tests.harness.scene_harness import GPIO, Table

LABELS = ("nut", "bolt", "screw")
STEPS = 50
LOCKED_S = 2.5
"""Below the time after which a change that waits is refused."""


class Entry(Struct, eq=False):
    """A change that was accepted: `added` examples of a label, or all of it cleared or moved; or a scene."""

    label: str = ""
    added: int = 0
    moved_to: str | None = None
    scene: Command | None = None


class Sequence:
    """Random steps on a real pipeline and store; `entries` holds what is not undone, the latest last."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self._table = Table(ExampleStore(folder / "examples.sqlite"))
        self._entries: list[Entry] = []
        self._lock = ExitStack()
        self._locked_s = float("inf")
        self._bursts = 0
        self.steps: list[str] = []

    def step(self) -> None:
        """Do a random step."""
        choices: tuple[Callable[[], None], ...] = (
            *(self.press, self.press, self.burst, self.clear, self.merge, self.imported, self.scene),
            *(self.undo, self.undo, self.undo, self.lock, self.release_in_frame, self.wait, self.restart),
        )
        chosen = self._random.choice(choices)
        self.steps.append(chosen.__name__)
        chosen()
        if self._table.clock.monotonic() - self._locked_s > LOCKED_S:
            self.unlock()

    def check(self) -> None:
        """Wait for everything that waits, and compare the store with the list."""
        self.unlock()
        self._table.show(None, frames=12)
        assert self._table.store.counts == self._counts(), " ".join(self.steps)

    def press(self) -> None:
        self._press(self._label(), 1, "")

    def burst(self) -> None:
        self._bursts += 1
        self._press(self._label(), self._random.randint(2, 4), f"burst {self._bursts}")

    def clear(self) -> None:
        self._change(lambda label: Clear(GPIO, label), None)

    def merge(self) -> None:
        into = self._label()
        self._change(lambda label: Merge((label,), into, GPIO), into)

    def imported(self) -> None:
        self.unlock()
        label = self._label()
        with ExampleStore(self._table.store.path) as other, other.transaction():
            for vector in np.eye(27, dtype=np.float32)[:2]:
                other.add(vector, label, space=self._table.embedder.space)
        self._entries.append(Entry(label, added=2))

    def scene(self) -> None:
        if not self._table.scenes.press_number:
            command = self._table.press_scene()
            self._run(command)
            self._entries.append(Entry(scene=command))
            self._table.show(None, frames=self._random.choice((1, 9)))

    def undo(self) -> None:
        self._leave_out_former_scenes()
        self._run(Undo(GPIO))
        del self._entries[-1:]

    def lock(self) -> None:
        if self._locked_s == float("inf"):
            self._lock.enter_context(locked(self._table.store))
            self._locked_s = self._table.clock.monotonic()

    def release_in_frame(self) -> None:
        """Let the lock end after the changes were tried; half the time it is taken again after the frame."""
        was_locked = self._locked_s != float("inf")
        self._table.show_until_classified(self._lock.close)
        self._locked_s = float("inf")
        if was_locked and self._random.random() < 0.5:
            self.lock()

    def unlock(self) -> None:
        self._lock.close()
        self._locked_s = float("inf")
        self._table.show(None)

    def wait(self) -> None:
        self._table.show(None, frames=self._random.randint(1, 4))

    def restart(self) -> None:
        self.check()
        self._table.start()
        self._entries = [entry for entry in self._entries if entry.scene is None]
        self._table.show(None, frames=2)

    def _label(self) -> str:
        return self._random.choice(LABELS)

    def _run(self, command: Command) -> None:
        self._table.clock.advance(0.01)
        list(self._table.pipeline.process(None, (command,)))

    def _press(self, label: str, times: int, group: str) -> None:
        for left in reversed(range(times)):
            self._run(AddExample(label, self._table.clock.monotonic(), GPIO, group=group))
            if left or self._random.random() < 0.5:
                self._table.show(None)
        self._entries.append(Entry(label, added=times))

    def _change(self, make: Callable[[str], Command], moved_to: str | None) -> None:
        """Clear or move a label that has examples, once no press waits for a frame."""
        self._table.show(None)
        label = self._label()
        if self._counts()[label] and label != moved_to:
            self._run(make(label))
            self._entries.append(Entry(label, moved_to=moved_to))

    def _leave_out_former_scenes(self) -> None:
        """Only the latest scene that was learned can be undone."""
        scenes = self._table.scenes
        kept = scenes.undoable.command if scenes.undoable else None
        if not scenes.press_number:
            self._entries = [each for each in self._entries if each.scene is None or each.scene is kept]

    def _counts(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for entry in self._entries:
            if entry.added:
                counts[entry.label] += entry.added
            elif entry.scene is None:
                moved = counts.pop(entry.label, 0)
                counts.update({entry.moved_to: moved} if entry.moved_to else {})
        return counts


@pytest.mark.parametrize("seed", range(3))
def test_undos_take_back_what_was_accepted_last(tmp_path: Path, seed: int) -> None:
    sequence = Sequence(tmp_path, seed)
    for number in range(1, STEPS + 1):
        sequence.step()
        if number % 10 == 0:
            sequence.check()
