"""The exam: how well the examples name each other, and what that says of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.types import ClassReport, Evaluation, Recommendation
from edge_daemon.learning.quality.leave_one_out import Doubles, LeaveOneOutScores

FIRST_EXAMPLES = 3
"""So many of each class before anything else is worth saying."""

LOPSIDED = 3
"""A class with a third of the largest one's examples is overheard."""


def recommend_next_label(verdicts: Mapping[str, ClassReport]) -> Recommendation | None:
    """Name the class whose next example helps most; None when every class is good and in balance.

    First a second class, then the first few of each; then the class with the largest `need`.
    """
    if not verdicts:
        return None
    fewest = min(verdicts, key=lambda label: verdicts[label].count)
    count = verdicts[fewest].count
    if len(verdicts) == 1:
        return Recommendation(fewest, "it is the only class; teach something else to compare it with")
    if count < FIRST_EXAMPLES:
        return Recommendation(fewest, f"it has only {count} example{'s' if count > 1 else ''}")
    most = max(verdicts, key=lambda label: verdicts[label].count)
    wanting = [label for label in verdicts if _wanting(verdicts[label], verdicts[most])]
    if not wanting:
        return None
    label = max(wanting, key=lambda each: need(verdicts[each]))
    return Recommendation(label, _reason(verdicts[label], verdicts[most], most))


def need(verdict: ClassReport) -> float:
    """Return how much of the class's error one more example may take away.

    Error falls about as a power of the examples taught, so one more takes away a part in proportion to
    error over count. The error is what the exam found, with one mistake and one hit added to it, since
    few examples prove little; all of it for a class of a single burst.
    """
    wrong = 1.0 if verdict.recall is None else 1 - verdict.recall
    return (wrong * verdict.count + 1) / (verdict.count + 2) / verdict.count


def _wanting(verdict: ClassReport, largest: ClassReport) -> bool:
    return verdict.verdict != "good" or _lopsided(verdict, largest)


def _lopsided(verdict: ClassReport, largest: ClassReport) -> bool:
    return verdict.count * LOPSIDED <= largest.count


def _reason(verdict: ClassReport, largest: ClassReport, largest_label: str) -> str:
    if verdict.looks_like is not None:
        return f"it is taken for {verdict.looks_like}; show what sets it apart"
    if _lopsided(verdict, largest):
        return f"it has {verdict.count} examples, {largest_label} has {largest.count}"
    if verdict.recall is None:
        return "all its examples show one view, or come from one burst; turn it and press again"
    if verdict.recall == 1.0:
        return f"it is recognised, but {verdict.count} examples are few to be sure"
    return f"only {verdict.recall:.0%} of its examples are recognised by the others"


ENOUGH = 5
"""With fewer examples of a class, a good figure may be luck."""

GOOD_RECALL = 0.8
LOOKS_LIKE_SHARE = 0.25
"""A class looks like another when so many of its examples are taken for that one."""

Confusion = npt.NDArray[np.intp]


def evaluate_examples(labels: Sequence[str], others: LeaveOneOutScores, scores: Doubles) -> Evaluation:
    """Mark every example that has others of its class; `scores` are a head's, leaving each out.

    Cost: linear in examples times classes; no product with the embeddings.
    """
    counts = np.bincount(others.codes, minlength=len(labels))
    confusion = confuse(others, scores)
    marked = confusion.sum(axis=1)
    accuracy = float(np.trace(confusion) / marked.sum()) if len(labels) > 1 and marked.sum() else None
    verdicts = {
        label: _judge(code, labels, int(counts[code]), confusion) for code, label in enumerate(labels)
    }
    return Evaluation(
        accuracy, verdicts, _most_confused(labels, confusion), others.repeats, recommend_next_label(verdicts)
    )


def confuse(others: LeaveOneOutScores, scores: Doubles) -> Confusion:
    """Count true class (rows) against named class (columns) where the class has others to go by."""
    confusion = np.zeros((scores.shape[1], scores.shape[1]), np.intp)
    marked = np.flatnonzero(others.mates > 0)
    if not len(marked):
        return confusion
    np.add.at(confusion, (others.codes[marked], scores[marked].argmax(axis=1)), 1)
    return confusion


def knn_scores(others: LeaveOneOutScores) -> Doubles:
    """Count the votes of each example's nearest others; a tie goes to the nearest of all."""
    scores = np.zeros_like(others.sums)
    known = np.isfinite(others.values)
    rows = np.broadcast_to(np.arange(len(others.codes))[:, None], known.shape)
    np.add.at(scores, (rows[known], others.codes[others.rows[known]]), 1.0)
    scores[rows[:, 0], others.codes[others.rows[:, 0]]] += 0.5
    return scores


def centroid_scores(others: LeaveOneOutScores) -> Doubles:
    """Return the cosine to each class's mean, the example and its burst taken out of their own.

    The sums of similarities give the means' lengths as well: |S|^2 adds up x.S over the class, and
    |S - B|^2 = |S|^2 - 2 S.B + |B|^2 without the burst B.
    """
    codes, rows = others.codes, np.arange(len(others.codes))
    own = others.sums[rows, codes]
    squared = np.bincount(codes, own + others.kin, minlength=others.sums.shape[1])
    lengths = np.sqrt(np.maximum(squared, 1e-12))
    without = np.bincount(others.bursts, 2 * own + others.kin)[others.bursts]
    scores = others.sums / lengths
    scores[rows, codes] = own / np.sqrt(np.maximum(squared[codes] - without, 1e-12))
    return scores


def _judge(code: int, labels: Sequence[str], count: int, confusion: Confusion) -> ClassReport:
    marked = int(confusion[code].sum())
    if marked == 0 or len(labels) < 2:
        return ClassReport("needs_more", count, None)
    recall = float(confusion[code, code] / marked)
    mistakes = confusion[code].copy()
    mistakes[code] = 0
    rival = int(mistakes.argmax())
    if mistakes[rival] >= 2 and mistakes[rival] / marked >= LOOKS_LIKE_SHARE:
        return ClassReport("looks_like", count, recall, labels[rival])
    good = recall >= GOOD_RECALL and marked >= ENOUGH
    return ClassReport("good" if good else "needs_more", count, recall)


def _most_confused(labels: Sequence[str], confusion: Confusion) -> tuple[str, str] | None:
    """Name the two classes taken for each other most often, the more mistaken one first."""
    rows, columns = np.nonzero(confusion)  # few cells, where a sum of the whole matrices takes their memory
    wrong = rows != columns
    if not wrong.any():
        return None
    both = confusion[rows, columns] + confusion[columns, rows]
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    best = np.lexsort((high[wrong], low[wrong], -both[wrong]))[0]
    first, second = int(low[wrong][best]), int(high[wrong][best])
    if confusion[second, first] > confusion[first, second]:
        first, second = second, first
    return labels[first], labels[second]
