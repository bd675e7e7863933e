from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_daemon.commands import Clear, Relabel, Remove, Restore, Undo
from edge_daemon.errors import NoExamplesError
from tests.fleet.camp import BY_HAND, Device, vector

Make = Callable[..., Device]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Device] = []

    def new(name: str, **settings: object) -> Device:
        made.append(Device(tmp_path, name, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield new
    for device in made:
        device.close()


def test_a_new_device_knows_what_its_peer_was_taught(make: Make) -> None:
    teacher, pupil = make("a"), make("b")
    for seed in range(6):
        teacher.teach("cat", seed, around=0)
        teacher.teach("dog", 100 + seed, around=1)
    pupil.hear(teacher)
    assert pupil.knows() == teacher.own()
    assert pupil.teacher.predict("frame", vector(7, around=0)).label == "cat"
    assert pupil.teacher.predict("frame", vector(8, around=1)).label == "dog"
    assert pupil.figures.peers["a"].counting == 12
    assert pupil.store.counts == {}
    assert pupil.said["roll"]


def test_undo_takes_back_our_own_and_reaches_the_peers(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1, around=0)
    second.hear(first)
    with pytest.raises(NoExamplesError):
        second.execute(Undo(BY_HAND))
    second.teach("dog", 2, around=1)
    first.hear(second)
    assert first.teacher.examples().counts == {"cat": 1, "dog": 1}
    second.execute(Undo(BY_HAND))
    first.hear(second)
    assert first.teacher.examples().counts == {"cat": 1}
    assert second.teacher.examples().counts == {"cat": 1}


def test_relabelled_and_restored_examples_reach_the_peers(make: Make) -> None:
    first, second = make("a"), make("b")
    example = first.teach("cat", 1)
    second.hear(first)
    first.execute(Relabel((example.id,), "dog", BY_HAND))
    second.hear(first)
    assert second.teacher.examples().counts == {"dog": 1}
    first.execute(Remove((example.id,), BY_HAND))
    second.hear(first)
    assert second.teacher.examples().counts == {}
    first.execute(Restore((example.id,), BY_HAND))
    second.hear(first)
    assert second.knows() == first.own() != []


def test_a_label_cleared_here_stays_at_the_peers_and_comes_back_by_restoring(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1)
    second.hear(first)
    second.execute(Clear(BY_HAND, "cat"))
    second.hear(first)
    assert second.teacher.examples().counts == {}
    assert first.teacher.examples().counts == {"cat": 1}
    second.execute(Restore(tuple(second.store.recover()), BY_HAND))
    assert second.teacher.examples().counts == {"cat": 1}
