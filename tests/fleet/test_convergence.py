"""Whatever the network does with the messages, in the end everybody holds what each owner stands for."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_daemon.domain.commands import Clear, Command, Relabel, Remove, Restore, Undo
from edge_daemon.domain.errors import NoExamplesError
from edge_daemon.fleet.live_set import NOBODY, LiveSet, from_gaps, gaps, later, pack, unpack
from tests.harness.fleet_harness import BY_HAND, Device

NAMES = ("a", "b", "c")
MOST_KEPT = 4
MEMORY = Path("/dev/shm")
"""Where many small stores are written without waiting for a disk."""

numbers = st.frozensets(st.integers(1, 40))
rolls = st.builds(lambda top, living: LiveSet(max(top, *living, 0), living), st.integers(1, 60), numbers)

actor = st.sampled_from(NAMES)
deeds = st.one_of(
    st.tuples(st.just("teach"), actor, st.integers(0, 2)),
    st.tuples(st.sampled_from(["undo", "clear", "remove", "restore", "relabel"]), actor, st.integers(0, 5)),
    st.tuples(st.just("restart"), actor, st.just(0)),
    # A message that stood at the broker at some time, now or long ago, comes to somebody (again).
    st.tuples(st.just("deliver"), actor, st.integers(0, 10_000)),
)


@given(numbers)
def test_gaps_and_packing_lose_nothing(living: frozenset[int]) -> None:
    assert from_gaps(gaps(living)) == living
    assert unpack(pack(living)) == living


@given(rolls, rolls, rolls)
def test_merging_rolls_is_idempotent_and_indifferent_to_order(
    one: LiveSet, two: LiveSet, three: LiveSet
) -> None:
    two, three = LiveSet(two.number + 100, two.living), LiveSet(three.number + 200, three.living)
    assert later(one, one) == one
    assert later(one, two) == later(two, one)
    assert later(later(one, two), three) == later(one, later(two, three)) == later(later(three, one), two)
    assert later(NOBODY, one) == one


class World:
    """Three devices, and every message that ever stood at the broker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.devices: dict[str, Device] = {name: self._make(name) for name in NAMES}
        self.history: list[tuple[str, str, bytes]] = []
        self._seed = 0
        self._note()

    def do(self, verb: str, name: str, value: int) -> None:
        """Let one thing happen."""
        device = self.devices[name]
        if verb == "deliver":
            owner, topic, payload = self.history[value % len(self.history)]
            if owner != name:
                device.take(topic, owner, payload)
                device.advance()
        elif verb == "restart":
            device.close()
            self.devices[name] = self._make(name)
        elif verb == "teach":
            self._seed += 1
            device.teach("xyz"[value], self._seed)
        else:
            self._edit(device, verb, value)
        self._note()

    def settle(self) -> None:
        """Let everybody hear what stands at the broker now, in the worst order, as after a connect."""
        for device in self.devices.values():
            again = True
            while again:
                for other in self.devices.values():
                    if other is not device:
                        device.hear(other, sorted(other.said))
                again = device.inbox.take_missed()

    def close(self) -> None:
        """Let go of the stores."""
        for device in self.devices.values():
            device.close()

    def _edit(self, device: Device, verb: str, value: int) -> None:
        ids = [one for one, _, _ in device.peers.own()][value : value + 1]
        removed = tuple(each.id for each in device.store.removed())[value : value + 1]
        commands: dict[str, Command] = {
            "undo": Undo(BY_HAND),
            "remove": Remove(tuple(ids), BY_HAND),
            "restore": Restore(removed, BY_HAND),
            "relabel": Relabel(tuple(ids), "z", BY_HAND),
            # A label that peers have too would be muted here.
            "clear": Clear(BY_HAND, f"only {device.name}"),
        }
        if verb == "clear":
            device.teach(f"only {device.name}", 1000 + value)
        try:
            device.execute(commands[verb])
        except NoExamplesError:
            assert verb == "undo"

    def _make(self, name: str) -> Device:
        return Device(self._folder, name, max_examples=MOST_KEPT)

    def _note(self) -> None:
        for device in self.devices.values():
            for topic, payload in device.said.items():
                if (device.name, topic, payload) not in self.history:
                    self.history.append((device.name, topic, payload))


def shared(device: Device) -> list[tuple[str, str, int]]:
    return [row for row in device.own() if row[2]]


@settings(max_examples=60)
@given(st.lists(deeds, max_size=25))
def test_devices_converge_after_any_loss_repetition_and_disorder(story: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.exists() else None) as folder:
        world = World(Path(folder))
        try:
            for deed in story:
                world.do(*deed)
            world.settle()
            should: Mapping[str, list[tuple[str, str, int]]] = {
                name: sorted(row for other in NAMES if other != name for row in shared(world.devices[other]))
                for name in NAMES
            }
            assert {name: world.devices[name].knows() for name in NAMES} == should
            assert all(len(shared(device)) <= MOST_KEPT for device in world.devices.values())
            for device in world.devices.values():
                assert device.inbox.refused.keys() <= {"removed", "replayed", "full"}
            for name, topic, payload in world.history:
                for device in world.devices.values():
                    if device.name != name:
                        device.take(topic, name, payload)
            for device in world.devices.values():
                device.advance()
            assert {name: world.devices[name].knows() for name in NAMES} == should
        finally:
            world.close()
