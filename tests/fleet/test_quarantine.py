from __future__ import annotations

from dataclasses import replace

from edge_daemon.domain.types import Example
from edge_daemon.fleet.quarantine import ImpactCheck
from tests.harness.fleet_harness import example, vector


def near(number: int, label: str, around: int, **changes: str) -> Example:
    """An example whose vector lies near an axis."""
    made = replace(example(number, label), embedding=vector(number, around))
    return replace(made, **changes)  # type: ignore[arg-type]


def pool_of(region: str) -> str:
    return region


CATS = [near(number, "cat", 0) for number in range(1, 6)]
DOGS = [near(number, "dog", 1) for number in range(11, 16)]


def jury() -> ImpactCheck:
    seated = ImpactCheck([*CATS, *DOGS], pool_of)
    seated.meet([*CATS, *DOGS])
    return seated


def test_no_example_is_its_own_witness() -> None:
    assert jury().right == 10
    alone = ImpactCheck(CATS[:1], pool_of)
    alone.meet(CATS[:1])
    assert alone.right == 0


def test_examples_that_fit_are_admitted_and_help_from_then_on() -> None:
    lonely = ImpactCheck([CATS[0], DOGS[0]], pool_of)
    lonely.meet([CATS[0], DOGS[0]])
    assert lonely.right == 0
    assert lonely.admits([near(100 + number, "cat", 0) for number in range(3)])
    assert lonely.right == 1


def test_swapped_labels_are_refused_and_change_nothing() -> None:
    seated = jury()
    swapped = [near(100 + number, "dog", 0) for number in range(8)]
    assert not seated.admits(swapped)
    assert seated.right == 10
    assert seated.admits([near(200, "cat", 0)])


def test_a_new_label_elsewhere_harms_nothing() -> None:
    assert jury().admits([near(100 + number, "bird", 2) for number in range(8)])


def test_with_no_example_of_our_own_there_is_nothing_to_harm() -> None:
    assert ImpactCheck([], pool_of).admits([near(1, "anything", 3)])


def test_another_pool_is_not_harmed() -> None:
    seated = jury()
    swapped = [near(100 + number, "dog", 0, region="right") for number in range(8)]
    assert seated.admits(swapped)
    assert seated.right == 10


def test_burst_mates_are_no_witnesses_to_each_other() -> None:
    burst = [near(number, "cat", 0, group="held") for number in range(1, 6)]
    seated = ImpactCheck(burst, pool_of)
    seated.meet(burst)
    assert seated.right == 0
