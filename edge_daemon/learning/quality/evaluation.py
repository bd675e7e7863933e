"""Leave-one-out evaluation of the examples, and a report per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.types import ClassReport, Evaluation, Recommendation
from edge_daemon.learning.quality.leave_one_out import LeaveOneOutScores
from edge_daemon.learning.quality.leave_one_session_out import LeaveOneSessionOutScores
from edge_daemon.learning.quality.recommendation import GOOD_RECALL, recommend_next_label
from edge_daemon.learning.sampling import Doubles, Flags, Ints, dense_rank, unique

ONE_SESSION = "measured in one session; show each thing again in other light or on another day"
"""Meaning of an accuracy within one session."""

ACROSS_SESSIONS = "measured across sessions: each one is predicted by the others"
"""Meaning of an accuracy by leave-one-session-out."""

SEPARATE_SESSIONS = "no two sessions taught the same labels; show every label in one session"
"""Reason why several sessions can't predict each other."""

MIN_SCORED = 5
"""Number of scored examples that a class needs to be ok."""

CONFUSED_SHARE = 0.25
"""Share of a class's examples predicted as another class from which it is confused with that one."""

SCORE_TIE_TOLERANCE = 1e-6
"""Difference of two scores, in any classifier's unit, within which they are a tie."""

NOT_SCORED = -1
"""Predicted class of an example without others of its class."""

Confusion = npt.NDArray[np.intp]


def evaluate_examples(
    labels: Sequence[str],
    loo: LeaveOneOutScores,
    scores: Doubles,
    across: LeaveOneSessionOutScores | None = None,
    ids: Sequence[int] = (),
) -> Evaluation:
    """Evaluate the examples by the `scores` (n x C) of a classifier. `ids` (n) are those of the examples.

    The scores are those of leave-one-session-out with `across`, else of leave-one-out. Examples without
    others of their class are not scored. Classes that no other session taught are then reported by
    leave-one-out with the class means. Cost: linear in examples times classes, without a product of
    embeddings.
    """
    predicted = predicted_classes(loo if across is None else across, scores)
    confusion = _count_cells(loo.class_ids, predicted, len(labels))
    scored = int(confusion.sum())
    accuracy = float(np.trace(confusion) / scored) if len(labels) > 1 and scored else None
    if across is not None:
        unscored = confusion.sum(axis=1) == 0
        if unscored.any():
            rows = unscored[loo.class_ids]
            predicted[rows] = predicted_classes(loo, centroid_scores(loo))[rows]
            confusion = _count_cells(loo.class_ids, predicted, len(labels))
    teaching = _SessionCounts(loo, len(labels))
    classes = {
        label: _class_report(class_id, labels, confusion, teaching) for class_id, label in enumerate(labels)
    }
    return Evaluation(
        accuracy,
        classes,
        _most_confused(labels, confusion),
        loo.near_duplicate_presses,
        _recommend(classes, several_sessions=teaching.sessions > 1),
        teaching.sessions,
        across is not None and accuracy is not None,
        _note(accuracy, teaching.sessions, across is not None),
        {
            example_id: labels[class_id]
            for example_id, class_id in zip(ids, predicted.tolist(), strict=False)
            if class_id != NOT_SCORED and len(labels) > 1
        },
    )


def _recommend(classes: Mapping[str, ClassReport], *, several_sessions: bool) -> Recommendation | None:
    """Recommend one of the classes that were evaluated; the examples of others are all older."""
    evaluated = {label: report for label, report in classes.items() if report.count}
    if len(evaluated) == 1 < len(classes):
        return None
    return recommend_next_label(evaluated, several_sessions)


def _note(accuracy: float | None, sessions: int, across: bool) -> str | None:
    if accuracy is None:
        return None
    if across:
        return ACROSS_SESSIONS
    return ONE_SESSION if sessions == 1 else SEPARATE_SESSIONS


class _SessionCounts:
    """Sessions and presses per class: `of_class` (C) sessions, `newest_presses` (C) of the newest session."""

    def __init__(self, loo: LeaveOneOutScores, classes: int) -> None:
        self.examples: Ints = np.bincount(loo.class_ids, minlength=classes)
        self.of_class: Ints = np.zeros(classes, np.intp)
        self.newest_presses: Ints = np.zeros(classes, np.intp)
        self.sessions = 0
        if len(loo.class_ids):
            sessions = dense_rank(loo.session_ids)
            self.sessions = int(sessions.max()) + 1
            self.of_class = np.bincount(
                unique(sessions * classes + loo.class_ids) % classes, minlength=classes
            )
            newest = loo.session_ids == loo.session_ids[-1]
            class_of_press = np.zeros(int(loo.press_ids.max()) + 1, np.intp)
            class_of_press[loo.press_ids] = loo.class_ids
            presses = unique(loo.press_ids[newest])
            self.newest_presses = np.bincount(class_of_press[presses], minlength=classes)


def confusion_matrix(loo: LeaveOneOutScores, scores: Doubles) -> Confusion:
    """Count true (rows) against predicted classes (columns) of the examples with others of their class."""
    return _count_cells(loo.class_ids, predicted_classes(loo, scores), scores.shape[1])


def predicted_classes(loo: LeaveOneOutScores, scores: Doubles) -> Ints:
    """Return the predicted class of each example (n), NOT_SCORED without others of its class.

    A tie of the class with another one counts as the other one: nothing distinguishes them.
    """
    predicted = np.full(len(scores), NOT_SCORED, np.intp)
    scored = np.flatnonzero(loo.same_class_count > 0)
    if len(scored):
        compared = scores[scored]
        compared[np.arange(len(scored)), loo.class_ids[scored]] -= SCORE_TIE_TOLERANCE
        predicted[scored] = compared.argmax(axis=1)
    return predicted


def _count_cells(class_ids: Ints, predicted: Ints, classes: int) -> Confusion:
    scored = predicted != NOT_SCORED
    cells = class_ids[scored] * classes + predicted[scored]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def knn_scores(loo: LeaveOneOutScores) -> Doubles:
    """Return the votes of each example's nearest neighbours."""
    present = np.isfinite(loo.neighbour_similarities)
    return count_votes(loo.class_ids[loo.neighbour_rows], present, loo.class_sums.shape[1])


def count_votes(neighbours: Ints, present: Flags, classes: int) -> Doubles:
    """Return the votes (n x C) of neighbours given by class (n x k, nearest first).

    A tie goes to the nearest one. A neighbour that is not `present` has no vote.
    """
    rows, columns = np.nonzero(present)
    cells = rows * classes + neighbours[rows, columns]
    weights = np.where(columns == 0, 1.5, 1.0)
    votes: Doubles = np.bincount(cells, weights, len(neighbours) * classes).astype(np.float64)
    return votes.reshape(len(neighbours), classes)


def centroid_scores(loo: LeaveOneOutScores) -> Doubles:
    """Return the cosine of each example to each class mean, without the examples that are left out."""
    return loo.centroid_cosines()


def _class_report(
    class_id: int, labels: Sequence[str], confusion: Confusion, teaching: _SessionCounts
) -> ClassReport:
    scored = int(confusion[class_id].sum())
    count, sessions = int(teaching.examples[class_id]), int(teaching.of_class[class_id])
    presses = int(teaching.newest_presses[class_id])
    if scored == 0 or len(labels) < 2:
        return ClassReport("needs_examples", count, None, None, sessions, presses)
    recall = float(confusion[class_id, class_id] / scored)
    mistakes = confusion[class_id].copy()
    mistakes[class_id] = 0
    rival = int(mistakes.argmax())
    if mistakes[rival] >= 2 and mistakes[rival] / scored >= CONFUSED_SHARE:
        return ClassReport("confused", count, recall, labels[rival], sessions, presses)
    ok = recall >= GOOD_RECALL and scored >= MIN_SCORED and sessions >= min(2, teaching.sessions)
    return ClassReport("ok" if ok else "needs_examples", count, recall, None, sessions, presses)


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
