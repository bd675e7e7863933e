"""All devices converge to the same examples after loss, repetition and reordering of messages."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_daemon.domain.commands import Clear, Command, Merge, Redo, Relabel, Remove, Rename, Restore, Undo
from edge_daemon.domain.errors import NoExamplesError
from edge_daemon.fleet.live_set import EMPTY, LiveSet, delta_decode, delta_encode, newer, pack, unpack
from tests.harness.fleet_harness import BY_HAND, Device

NAMES = ("a", "b", "c")
MAX_EXAMPLES = 4
MEMORY = Path("/dev/shm")
"""A RAM disk, so that many small stores are written without disk waits."""

numbers = st.frozensets(st.integers(1, 40))
live_sets = st.builds(lambda top, live: LiveSet(max(top, *live, 0), live), st.integers(1, 60), numbers)

device_names = st.sampled_from(NAMES)
actions = st.one_of(
    st.tuples(st.just("teach"), device_names, st.integers(0, 2)),
    st.tuples(
        st.sampled_from(["undo", "redo", "clear", "rename", "merge", "remove", "restore", "relabel"]),
        device_names,
        st.integers(0, 5),
    ),
    st.tuples(st.just("restart"), device_names, st.just(0)),
    # A message published at any earlier time is delivered, possibly again.
    st.tuples(st.just("deliver"), device_names, st.integers(0, 10_000)),
)


@given(numbers)
def test_delta_encoding_and_packing_are_lossless(live: frozenset[int]) -> None:
    assert delta_decode(delta_encode(live)) == live
    assert unpack(pack(live)) == live


@given(live_sets, live_sets, live_sets)
def test_merging_live_sets_is_idempotent_commutative_and_associative(
    one: LiveSet, two: LiveSet, three: LiveSet
) -> None:
    two, three = LiveSet(two.number + 100, two.live), LiveSet(three.number + 200, three.live)
    assert newer(one, one) == one
    assert newer(one, two) == newer(two, one)
    assert newer(newer(one, two), three) == newer(one, newer(two, three)) == newer(newer(three, one), two)
    assert newer(EMPTY, one) == one


class World:
    """Three devices, and every message ever published."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.devices: dict[str, Device] = {name: self._make(name) for name in NAMES}
        self.history: list[tuple[str, str, bytes]] = []
        self._seed = 0
        self._record_published()

    def do(self, verb: str, name: str, value: int) -> None:
        """Execute one action."""
        device = self.devices[name]
        if verb == "deliver":
            owner, topic, payload = self.history[value % len(self.history)]
            if owner != name:
                device.receive(topic, owner, payload)
                device.advance()
        elif verb == "restart":
            device.close()
            self.devices[name] = self._make(name)
        elif verb == "teach":
            self._seed += 1
            device.teach("xyz"[value], self._seed)
        else:
            self._edit(device, verb, value)
        self._record_published()

    def synchronise(self) -> None:
        """Deliver all retained messages to all devices in the worst order, as after a connect."""
        for device in self.devices.values():
            again = True
            while again:
                for other in self.devices.values():
                    if other is not device:
                        device.receive_all(other, sorted(other.published))
                again = device.receive_queue.pop_overflow()

    def close(self) -> None:
        """Close the stores."""
        for device in self.devices.values():
            device.close()

    def _edit(self, device: Device, verb: str, value: int) -> None:
        ids = [one for one, _, _ in device.peers.own_numbers()][value : value + 1]
        removed = tuple(each.id for each in device.store.removed())[value : value + 1]
        commands: dict[str, Command] = {
            "undo": Undo(BY_HAND),
            "redo": Redo(BY_HAND),
            "rename": Rename(f"only {device.name}", f"another {device.name} {value}", BY_HAND),
            "merge": Merge((f"only {device.name}",), f"another {device.name} {value}", BY_HAND),
            "remove": Remove(tuple(ids), BY_HAND),
            "restore": Restore(removed, BY_HAND),
            "relabel": Relabel(tuple(ids), "z", BY_HAND),
            # A label of the peers would be muted here as well.
            "clear": Clear(BY_HAND, f"only {device.name}"),
        }
        if verb in ("clear", "rename", "merge"):
            device.teach(f"only {device.name}", 1000 + value)
        try:
            device.execute(commands[verb])
        except NoExamplesError:
            assert verb in ("undo", "redo", "rename")

    def _make(self, name: str) -> Device:
        return Device(self._folder, name, max_examples=MAX_EXAMPLES)

    def _record_published(self) -> None:
        for device in self.devices.values():
            for topic, payload in device.published.items():
                if (device.name, topic, payload) not in self.history:
                    self.history.append((device.name, topic, payload))


def shared(device: Device) -> list[tuple[str, str, int]]:
    return [row for row in device.own() if row[2]]


@settings(max_examples=60)
@given(st.lists(actions, max_size=25))
def test_devices_converge_after_any_loss_repetition_and_disorder(
    taken: list[tuple[str, str, int]],
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.exists() else None) as folder:
        world = World(Path(folder))
        try:
            for action in taken:
                world.do(*action)
            world.synchronise()
            expected: Mapping[str, list[tuple[str, str, int]]] = {
                name: sorted(row for other in NAMES if other != name for row in shared(world.devices[other]))
                for name in NAMES
            }
            assert {name: world.devices[name].peer_examples() for name in NAMES} == expected
            assert all(len(shared(device)) <= MAX_EXAMPLES for device in world.devices.values())
            for device in world.devices.values():
                assert device.receive_queue.rejected.keys() <= {"removed", "replayed", "full"}
            for name, topic, payload in world.history:
                for device in world.devices.values():
                    if device.name != name:
                        device.receive(topic, name, payload)
            for device in world.devices.values():
                device.advance()
            assert {name: world.devices[name].peer_examples() for name in NAMES} == expected
        finally:
            world.close()
