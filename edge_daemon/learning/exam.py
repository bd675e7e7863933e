"""The exam: how well the examples name each other, and what that says of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_daemon.learning.coach import advise
from edge_daemon.learning.leave_one_out import Doubles, Others
from edge_daemon.types import Exam, Verdict

ENOUGH = 5
"""With fewer examples of a class, a good figure may be luck."""

GOOD_RECALL = 0.8
LOOKS_LIKE_SHARE = 0.25
"""A class looks like another when so many of its examples are taken for that one."""

Confusion = npt.NDArray[np.intp]


def examine(labels: Sequence[str], others: Others, scores: Doubles) -> Exam:
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
    return Exam(accuracy, verdicts, _most_confused(labels, confusion), others.repeats, advise(verdicts))


def confuse(others: Others, scores: Doubles) -> Confusion:
    """Count true class (rows) against named class (columns) where the class has others to go by."""
    confusion = np.zeros((scores.shape[1], scores.shape[1]), np.intp)
    marked = np.flatnonzero(others.mates > 0)
    if not len(marked):
        return confusion
    np.add.at(confusion, (others.codes[marked], scores[marked].argmax(axis=1)), 1)
    return confusion


def knn_scores(others: Others) -> Doubles:
    """Count the votes of each example's nearest others; a tie goes to the nearest of all."""
    scores = np.zeros_like(others.sums)
    known = np.isfinite(others.values)
    rows = np.broadcast_to(np.arange(len(others.codes))[:, None], known.shape)
    np.add.at(scores, (rows[known], others.codes[others.rows[known]]), 1.0)
    scores[rows[:, 0], others.codes[others.rows[:, 0]]] += 0.5
    return scores


def centroid_scores(others: Others) -> Doubles:
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


def _judge(code: int, labels: Sequence[str], count: int, confusion: Confusion) -> Verdict:
    marked = int(confusion[code].sum())
    if marked == 0 or len(labels) < 2:
        return Verdict("needs_more", count, None)
    recall = float(confusion[code, code] / marked)
    mistakes = confusion[code].copy()
    mistakes[code] = 0
    rival = int(mistakes.argmax())
    if mistakes[rival] >= 2 and mistakes[rival] / marked >= LOOKS_LIKE_SHARE:
        return Verdict("looks_like", count, recall, labels[rival])
    good = recall >= GOOD_RECALL and marked >= ENOUGH
    return Verdict("good" if good else "needs_more", count, recall)


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
