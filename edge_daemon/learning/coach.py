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

    First a second class, then the first few of each; then the class with the largest `need`.
    """
    if not verdicts:
        return None
    fewest = min(verdicts, key=lambda label: verdicts[label].count)
    count = verdicts[fewest].count
    if len(verdicts) == 1:
        return Advice(fewest, "it is the only class; teach something else to compare it with")
    if count < FIRST_EXAMPLES:
        return Advice(fewest, f"it has only {count} example{'s' if count > 1 else ''}")
    most = max(verdicts, key=lambda label: verdicts[label].count)
    wanting = [label for label in verdicts if _wanting(verdicts[label], verdicts[most])]
    if not wanting:
        return None
    label = max(wanting, key=lambda each: need(verdicts[each]))
    return Advice(label, _reason(verdicts[label], verdicts[most], most))


def need(verdict: Verdict) -> float:
    """Return how much of the class's error one more example may take away.

    Error falls about as a power of the examples taught, so one more takes away a part in proportion to
    error over count. The error is what the exam found, with one mistake and one hit added to it, since
    few examples prove little; all of it for a class of a single burst.
    """
    wrong = 1.0 if verdict.recall is None else 1 - verdict.recall
    return (wrong * verdict.count + 1) / (verdict.count + 2) / verdict.count


def _wanting(verdict: Verdict, largest: Verdict) -> bool:
    return verdict.verdict != "good" or _lopsided(verdict, largest)


def _lopsided(verdict: Verdict, largest: Verdict) -> bool:
    return verdict.count * LOPSIDED <= largest.count


def _reason(verdict: Verdict, largest: Verdict, largest_label: str) -> str:
    if verdict.looks_like is not None:
        return f"it is taken for {verdict.looks_like}; show what sets it apart"
    if _lopsided(verdict, largest):
        return f"it has {verdict.count} examples, {largest_label} has {largest.count}"
    if verdict.recall is None:
        return "all its examples show one view, or come from one burst; turn it and press again"
    if verdict.recall == 1.0:
        return f"it is recognised, but {verdict.count} examples are few to be sure"
    return f"only {verdict.recall:.0%} of its examples are recognised by the others"
