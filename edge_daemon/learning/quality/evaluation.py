"""Leave-one-out evaluation of the examples, a report per class, and the next label to teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.types import ClassReport, Evaluation, Recommendation
from edge_daemon.learning.quality.leave_one_out import LeaveOneOutScores
from edge_daemon.learning.sampling import Doubles

FIRST_EXAMPLES = 3
"""Number of examples per class before other recommendations are made."""

IMBALANCE_RATIO = 3
"""A class with a third of the examples of the largest one, or fewer, is imbalanced."""


MIN_SCORED = 5
"""Number of scored examples that a class needs to be ok."""

GOOD_RECALL = 0.8

CONFUSED_SHARE = 0.25
"""Share of a class's examples predicted as another class from which it is confused with that one."""

Confusion = npt.NDArray[np.intp]


def recommend_next_label(classes: Mapping[str, ClassReport]) -> Recommendation | None:
    """Return the class whose next example helps most; None if every class is ok and balanced.

    The order is: a second class, the first examples of each class, the class with the largest
    `expected_gain`.
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
    candidates = [label for label in classes if _needs_examples(classes[label], classes[most])]
    if not candidates:
        return None
    label = max(candidates, key=lambda each: expected_gain(classes[each]))
    return Recommendation(label, _reason(classes[label], classes[most], most))


def expected_gain(report: ClassReport) -> float:
    """Return the expected decrease of the class's error by one more example.

    Error is about a power of the number of examples, so that its decrease is proportional to error over
    count. The error is 1 - recall with add-one smoothing, and 1 for a class of a single burst.
    """
    mistaken = 1.0 if report.recall is None else 1 - report.recall
    return (mistaken * report.count + 1) / (report.count + 2) / report.count


def _needs_examples(report: ClassReport, largest: ClassReport) -> bool:
    return report.status != "ok" or _is_imbalanced(report, largest)


def _is_imbalanced(report: ClassReport, largest: ClassReport) -> bool:
    return report.count * IMBALANCE_RATIO <= largest.count


def _reason(report: ClassReport, largest: ClassReport, largest_label: str) -> str:
    if report.confused_with is not None:
        return f"it is confused with {report.confused_with}; show how they differ"
    if _is_imbalanced(report, largest):
        return f"it has {report.count} examples, {largest_label} has {largest.count}"
    if report.recall is None:
        return "all its examples are of one view or one burst; turn the object and press again"
    if report.recall == 1.0:
        return f"it is recognised, but {report.count} examples are too few for a reliable figure"
    return f"only {report.recall:.0%} of its examples are recognised by the other examples"


def evaluate_examples(labels: Sequence[str], loo: LeaveOneOutScores, scores: Doubles) -> Evaluation:
    """Evaluate the examples by leave-one-out `scores` (n x C) of a classifier.

    Examples without others of their class are not scored. Cost: linear in examples times classes, without
    a product of embeddings.
    """
    counts = np.bincount(loo.class_ids, minlength=len(labels))
    confusion = confusion_matrix(loo, scores)
    scored = confusion.sum(axis=1)
    accuracy = float(np.trace(confusion) / scored.sum()) if len(labels) > 1 and scored.sum() else None
    classes = {
        label: _class_report(class_id, labels, int(counts[class_id]), confusion)
        for class_id, label in enumerate(labels)
    }
    return Evaluation(
        accuracy,
        classes,
        _most_confused(labels, confusion),
        loo.near_duplicate_presses,
        recommend_next_label(classes),
    )


def confusion_matrix(loo: LeaveOneOutScores, scores: Doubles) -> Confusion:
    """Count true (rows) against predicted classes (columns) of the examples with others of their class."""
    confusion = np.zeros((scores.shape[1], scores.shape[1]), np.intp)
    scored = np.flatnonzero(loo.same_class_count > 0)
    if not len(scored):
        return confusion
    np.add.at(confusion, (loo.class_ids[scored], scores[scored].argmax(axis=1)), 1)
    return confusion


def knn_scores(loo: LeaveOneOutScores) -> Doubles:
    """Return the votes of each example's nearest neighbours; a tie goes to the nearest one."""
    scores = np.zeros_like(loo.class_sums)
    present = np.isfinite(loo.neighbour_similarities)
    rows = np.broadcast_to(np.arange(len(loo.class_ids))[:, None], present.shape)
    np.add.at(scores, (rows[present], loo.class_ids[loo.neighbour_rows[present]]), 1.0)
    scores[rows[:, 0], loo.class_ids[loo.neighbour_rows[:, 0]]] += 0.5
    return scores


def centroid_scores(loo: LeaveOneOutScores) -> Doubles:
    """Return the cosine to each class mean, without the example's burst in the mean of its own class.

    The sums of similarities give the lengths of the means as well: |S|^2 is the sum of x.S over the class,
    and |S - B|^2 = |S|^2 - 2 S.B + |B|^2 without the burst B.
    """
    class_ids, rows = loo.class_ids, np.arange(len(loo.class_ids))
    own = loo.class_sums[rows, class_ids]
    squared = np.bincount(class_ids, own + loo.own_burst_similarity, minlength=loo.class_sums.shape[1])
    lengths = np.sqrt(np.maximum(squared, 1e-12))
    without = np.bincount(loo.burst_ids, 2 * own + loo.own_burst_similarity)[loo.burst_ids]
    scores = loo.class_sums / lengths
    scores[rows, class_ids] = own / np.sqrt(np.maximum(squared[class_ids] - without, 1e-12))
    return scores


def _class_report(class_id: int, labels: Sequence[str], count: int, confusion: Confusion) -> ClassReport:
    scored = int(confusion[class_id].sum())
    if scored == 0 or len(labels) < 2:
        return ClassReport("needs_examples", count, None)
    recall = float(confusion[class_id, class_id] / scored)
    mistakes = confusion[class_id].copy()
    mistakes[class_id] = 0
    rival = int(mistakes.argmax())
    if mistakes[rival] >= 2 and mistakes[rival] / scored >= CONFUSED_SHARE:
        return ClassReport("confused", count, recall, labels[rival])
    ok = recall >= GOOD_RECALL and scored >= MIN_SCORED
    return ClassReport("ok" if ok else "needs_examples", count, recall)


def _most_confused(labels: Sequence[str], confusion: Confusion) -> tuple[str, str] | None:
    """Return the two classes that are confused most often, the one with more mistakes first."""
    rows, columns = np.nonzero(confusion)  # few cells; a sum of whole matrices would need their memory
    mistaken = rows != columns
    if not mistaken.any():
        return None
    confusions = confusion[rows, columns] + confusion[columns, rows]
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    best = np.lexsort((high[mistaken], low[mistaken], -confusions[mistaken]))[0]
    first, second = int(low[mistaken][best]), int(high[mistaken][best])
    if confusion[second, first] > confusion[first, second]:
        first, second = second, first
    return labels[first], labels[second]
