from __future__ import annotations

from dataclasses import replace

from edge_daemon.domain.types import Example
from edge_daemon.fleet.quarantine import ImpactCheck
from tests.harness.fleet_harness import example, vector


def near(number: int, label: str, around: int, **changes: str) -> Example:
    """Return an example whose embedding lies near an axis."""
    made = replace(example(number, label), embedding=vector(number, around))
    return replace(made, **changes)  # type: ignore[arg-type]


def pool_of(region: str) -> str:
    return region


CATS = [near(number, "cat", 0) for number in range(1, 6)]
DOGS = [near(number, "dog", 1) for number in range(11, 16)]


def impact_check() -> ImpactCheck:
    check = ImpactCheck([*CATS, *DOGS], pool_of)
    check.add_accepted([*CATS, *DOGS])
    return check


def test_an_example_is_not_its_own_neighbour() -> None:
    assert impact_check().correct_count == 10
    alone = ImpactCheck(CATS[:1], pool_of)
    alone.add_accepted(CATS[:1])
    assert alone.correct_count == 0


def test_accepted_examples_become_neighbours() -> None:
    lonely = ImpactCheck([CATS[0], DOGS[0]], pool_of)
    lonely.add_accepted([CATS[0], DOGS[0]])
    assert lonely.correct_count == 0
    assert lonely.accepts([near(100 + number, "cat", 0) for number in range(3)])
    assert lonely.correct_count == 1


def test_swapped_labels_are_rejected_and_change_nothing() -> None:
    check = impact_check()
    swapped = [near(100 + number, "dog", 0) for number in range(8)]
    assert not check.accepts(swapped)
    assert check.correct_count == 10
    assert check.accepts([near(200, "cat", 0)])


def test_a_new_distant_label_is_accepted() -> None:
    assert impact_check().accepts([near(100 + number, "bird", 2) for number in range(8)])


def test_without_own_examples_all_are_accepted() -> None:
    assert ImpactCheck([], pool_of).accepts([near(1, "anything", 3)])


def test_examples_of_another_pool_have_no_impact() -> None:
    check = impact_check()
    swapped = [near(100 + number, "dog", 0, region="right") for number in range(8)]
    assert check.accepts(swapped)
    assert check.correct_count == 10


def test_examples_of_one_burst_are_not_neighbours() -> None:
    burst = [near(number, "cat", 0, group="held") for number in range(1, 6)]
    check = ImpactCheck(burst, pool_of)
    check.add_accepted(burst)
    assert check.correct_count == 0
