"""Recommendation of the next label to teach, here or in another session."""

from __future__ import annotations

from collections.abc import Mapping

from edge_daemon.domain.counted import percent
from edge_daemon.domain.types import ClassReport, Recommendation

FIRST_EXAMPLES = 3
"""Number of examples per class before other recommendations are made."""

IMBALANCE_RATIO = 3
"""A class with a third of the examples of the largest one, or fewer, is imbalanced."""

GOOD_RECALL = 0.8

SESSION_PRESSES = 5
"""Presses of a class in one session from which another session helps more than another press.

Two sessions of five presses classify other sessions better than one of ten (docs/measurements/evaluation.md).
"""

ELSEWHERE = "show it once more in other light or on another day"


def recommend_next_label(
    classes: Mapping[str, ClassReport], several_sessions: bool = False
) -> Recommendation | None:
    """Return the class whose next example helps most; None if every class is ok and balanced.

    The order is: a second class, the first examples of each class, a class that only an earlier session
    taught, the class with the largest `expected_gain` of another press, the class with the fewest sessions.
    `several_sessions`: the examples of all classes together are of more than one session.

    A reason is also read after the session of the last press has ended, so none names the present one.
    """
    if not classes:
        return None
    fewest = min(classes, key=lambda label: classes[label].count)
    count = classes[fewest].count
    if len(classes) == 1:
        return Recommendation(fewest, "it is the only class; teach a second one")
    if count < FIRST_EXAMPLES:
        return Recommendation(fewest, f"it has only {count} example{'s' if count > 1 else ''}")
    most = max(classes, key=lambda label: classes[label].count)
    needed = {label for label, report in classes.items() if _needs_examples(report, classes[most])}
    complete = {label for label, report in classes.items() if is_session_complete(report)}
    if here := [label for label in classes if label in needed - complete]:
        label = max(
            here,
            key=lambda each: (
                several_sessions and _is_only_earlier(classes[each]),
                expected_gain(classes[each]),
            ),
        )
        return Recommendation(label, _reason(classes[label], classes[most], most, several_sessions))
    if elsewhere := [
        label for label in classes if label in complete and (label in needed or classes[label].sessions == 1)
    ]:
        label = max(elsewhere, key=lambda each: (-classes[each].sessions, expected_gain(classes[each])))
        reason = "it is recognised, measured in one session"
        if label in needed:
            reason = _reason(classes[label], classes[most], most, several_sessions)
        return Recommendation(label, f"{reason}; {ELSEWHERE}", another_session=True)
    return None


def is_session_complete(report: ClassReport) -> bool:
    """Return whether another press in the newest session helps a class less than another session does."""
    return report.recall is not None and report.session_presses >= SESSION_PRESSES  # None: one view so far


def expected_gain(report: ClassReport) -> float:
    """Return the expected decrease of the class's error by one more example.

    Error is about a power of the number of examples, so that its decrease is proportional to error over
    count. The error is 1 - recall with add-one smoothing, and 1 for a class of a single burst.
    """
    mistaken = 1.0 if report.recall is None else 1 - report.recall
    return (mistaken * report.count + 1) / (report.count + 2) / report.count


def _is_only_earlier(report: ClassReport) -> bool:
    """Return whether one session taught the class, and not the newest one: the next press is of a second."""
    return report.sessions == 1 and not report.session_presses


def _needs_examples(report: ClassReport, largest: ClassReport) -> bool:
    return report.status != "ok" or _is_imbalanced(report, largest)


def _is_imbalanced(report: ClassReport, largest: ClassReport) -> bool:
    return report.count * IMBALANCE_RATIO <= largest.count


def _reason(report: ClassReport, largest: ClassReport, largest_label: str, several_sessions: bool) -> str:
    if report.confused_with is not None:
        return f"it is confused with {report.confused_with}; show how they differ"
    if several_sessions and report.sessions == 1:
        only = "it was taught in one session only"
        return f"{only}; show it once more" if _is_only_earlier(report) else only
    if _is_imbalanced(report, largest):
        return f"it has {report.count} examples, {largest_label} has {largest.count}"
    if report.recall is None:
        return "all its examples are of one view or one burst; turn the object and press again"
    if report.recall == 1.0:
        return f"it is recognised, but {report.count} examples are too few for a reliable figure"
    return f"only {percent(report.recall)} of its examples are recognised by the other examples"
