"""The coach: which class to show next, and why."""

from __future__ import annotations

from collections.abc import Mapping

from edge_daemon.types import Advice, Verdict

FIRST_EXAMPLES = 3
"""So many of each class before anything else is worth saying."""

LOPSIDED = 3
"""A class with a third of the largest one's examples is overheard."""


def advise(verdicts: Mapping[str, Verdict]) -> Advice | None:
    """Name the class whose next example helps most; None when every class is good and in balance.

    In this order: a second class, the first few of each, a class taken for another, a lopsided
    count, the class recognised least, too few to be sure.
    """
    if not verdicts:
        return None
    fewest = min(verdicts, key=lambda label: verdicts[label].count)
    count = verdicts[fewest].count
    if len(verdicts) == 1:
        return Advice(fewest, "it is the only class; teach something else to compare it with")
    if count < FIRST_EXAMPLES:
        return Advice(fewest, f"it has only {count} example{'s' if count > 1 else ''}")
    return _mistaken(verdicts) or _lopsided(verdicts, fewest) or _weakest(verdicts)


def _mistaken(verdicts: Mapping[str, Verdict]) -> Advice | None:
    alike = [label for label, verdict in verdicts.items() if verdict.verdict == "looks_like"]
    if not alike:
        return None
    label = min(alike, key=lambda each: (_recall(verdicts[each]), verdicts[each].count))
    return Advice(label, f"it is taken for {verdicts[label].looks_like}; show what sets it apart")


def _lopsided(verdicts: Mapping[str, Verdict], fewest: str) -> Advice | None:
    largest = max(verdicts, key=lambda label: verdicts[label].count)
    if verdicts[fewest].count * LOPSIDED > verdicts[largest].count:
        return None
    few, many = verdicts[fewest].count, verdicts[largest].count
    return Advice(fewest, f"it has {few} examples, {largest} has {many}")


def _weakest(verdicts: Mapping[str, Verdict]) -> Advice | None:
    unsure = [label for label, verdict in verdicts.items() if verdict.verdict != "good"]
    if not unsure:
        return None
    label = min(unsure, key=lambda each: (_recall(verdicts[each]), verdicts[each].count))
    recall = verdicts[label].recall
    if recall is None:
        return Advice(label, "all its examples come from one burst; press again later, in another pose")
    if recall == 1.0:
        return Advice(label, f"it is recognised, but {verdicts[label].count} examples are few to be sure")
    return Advice(label, f"only {recall:.0%} of its examples are recognised by the others")


def _recall(verdict: Verdict) -> float:
    return 0.0 if verdict.recall is None else verdict.recall
