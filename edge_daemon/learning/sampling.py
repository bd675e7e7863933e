"""Samples of examples, balanced over the classes, folds that keep bursts together, and quantiles.

`np.unique` and `np.quantile` load `numpy.ma`, which takes 15 ms and 2 MB at every start; the functions
here do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

FOLDS = 5


def newest_balanced(class_ids: Ints, classes: int, limit: int) -> Ints:
    """Return the rows of about `limit` newest examples, balanced over the classes, in row order."""
    if len(class_ids) <= limit or classes == 0:
        return np.arange(len(class_ids))
    share = max(2, limit // classes)
    newest = [np.flatnonzero(class_ids == class_id)[-share:] for class_id in range(classes)]
    return np.sort(np.concatenate(newest))


def balanced_sample(class_ids: Ints, classes: int, limit: int) -> Ints:
    """Return about `limit` rows, balanced over the classes and even over the history of each, in row order.

    The oldest and the newest example of each class are among them: scenes that were taught one after another
    are represented alike.
    """
    if len(class_ids) <= limit or classes == 0:
        return np.arange(len(class_ids))
    share = max(2, limit // classes)
    rows = [np.flatnonzero(class_ids == class_id) for class_id in range(classes)]
    return np.sort(np.concatenate([evenly_spaced(own, share) for own in rows]))


def evenly_spaced(rows: Ints, count: int) -> Ints:
    """Return `count` of the rows, 2 at least, with the first and the last one; all if there are fewer."""
    if len(rows) <= count:
        return rows
    return rows[np.arange(count) * (len(rows) - 1) // (count - 1)]


def unique(numbers: Ints) -> Ints:
    """Return the distinct numbers, ascending. The numbers are 0 or more."""
    return np.flatnonzero(np.bincount(numbers))


def quantile(scores: Sequence[float] | Doubles, share: float) -> float:
    """Return the score below which a share (0 to less than 1) of the scores lies; -inf without scores."""
    return float(np.sort(scores)[int(len(scores) * share)]) if len(scores) else -np.inf


def dense_rank(numbers: Ints) -> Ints:
    """Return the index of each number in `unique(numbers)`."""
    ranks: Ints = np.cumsum(np.bincount(numbers) > 0)[numbers] - 1
    return ranks


def burst_key(group: str, number: int) -> str:
    """Return the key of an example's burst. An example without a group is a burst by itself."""
    return group or f"\0{number}"


def number_bursts(labels: Sequence[str], groups: Sequence[str]) -> Ints:
    """Return a burst id for each example, in order of first appearance. A burst has one label."""
    ids: dict[tuple[str, str], int] = {}
    keys = (
        (label, burst_key(group, row)) for row, (label, group) in enumerate(zip(labels, groups, strict=True))
    )
    return np.array([ids.setdefault(key, len(ids)) for key in keys], np.intp)


def assign_folds(class_ids: Ints, burst_ids: Ints) -> Ints:
    """Return a fold, 0 to FOLDS - 1, for each example.

    The bursts of a class are assigned to the folds in turn, so that no burst is split (a deterministic
    form of scikit-learn's StratifiedGroupKFold). Where most bursts have several examples, each class starts
    at another fold: one burst of each class may be a whole session, which no fold may hold.
    """
    sizes = np.sort(np.bincount(dense_rank(burst_ids)))
    step = int(len(sizes) > 0 and sizes[len(sizes) // 2] > 1)
    folds = np.zeros(len(class_ids), np.intp)
    for first, class_id in enumerate(unique(class_ids).tolist()):
        own = np.flatnonzero(class_ids == class_id)
        folds[own] = (step * first + dense_rank(burst_ids[own])) % FOLDS
    return folds


def assign_session_folds(class_ids: Ints, session_ids: Ints) -> Ints | None:
    """Return a fold, 0 to FOLDS - 1, for each example; no session is split.

    None if that leaves less than half of the examples with their class in another fold: with one session,
    or with each class taught in its own.
    """
    folds = dense_rank(session_ids) % FOLDS
    in_fold = np.zeros((FOLDS, int(class_ids.max(initial=0)) + 1), bool)
    in_fold[folds, class_ids] = True
    comparable = in_fold.sum(axis=0)[class_ids] > 1
    return folds if len(folds) and comparable.mean() >= 0.5 else None
