"""Leave-one-session-out statistics: each example against the examples of all other sessions."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.quality.leave_one_out import LeaveOneOut, LeaveOneOutScores
from edge_daemon.learning.sampling import FOLDS, Doubles, Ints, dense_rank


class LeaveOneSessionOutScores(LeaveOneOutScores, frozen=True):
    """Leave-one-out statistics in which a row's whole session is left out, of all classes.

    `neighbour_similarities` and `neighbour_rows` are of other sessions; they have no columns unless
    LeaveOneOut keeps them. `same_class_count` is 0 also where the other sessions taught no second class: any
    prediction would be right. `session_ids` are numbered from 0. `mean_lengths` (sessions x C) are the
    lengths of the sums of each class without a session, -inf if that leaves none of the class.
    """

    mean_lengths: Doubles

    def centroid_cosines(self) -> Doubles:
        """Return the cosine to each class mean (n x C) of the other sessions; -inf without such a mean."""
        cosines: Doubles = self.class_sums / self.mean_lengths[self.session_ids]
        if np.isinf(self.mean_lengths).any():
            cosines[np.isinf(self.mean_lengths)[self.session_ids]] = -np.inf
        return cosines

    def folds(self, rows: Ints) -> Ints:
        """Return a fold for each of some rows; no session is split."""
        return self.session_ids[rows] % FOLDS


def leave_sessions_out(leave_one_out: LeaveOneOut, loo: LeaveOneOutScores) -> LeaveOneSessionOutScores | None:
    """Return the statistics without the own session of each row; `loo` are the present scores.

    None unless the other sessions of some row taught its class and a second one. The lengths follow from
    the sums of similarities: |S - B|^2 = |S|^2 - 2 S.B + |B|^2 for the sum S of a class and its part B of
    one session.
    """
    sums = leave_one_out.other_session_sums()
    if sums is None:
        return None
    sessions, class_ids, rows = dense_rank(loo.session_ids), loo.class_ids, np.arange(len(loo.class_ids))
    shape = int(sessions.max()) + 1, sums.shape[1]
    cells = sessions * shape[1] + class_ids
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    left = counts.sum(axis=0) - counts
    same_class_count = np.where((left > 0).sum(axis=1)[sessions] > 1, left.ravel()[cells], 0)
    if not same_class_count.any():
        return None
    to_class = loo.class_sums[rows, class_ids] + loo.own_burst_similarity
    products = np.bincount(cells, to_class, shape[0] * shape[1]).reshape(shape)
    squares = np.bincount(cells, to_class - sums[rows, class_ids], shape[0] * shape[1]).reshape(shape)
    lengths = np.sqrt(np.maximum(products.sum(axis=0) - 2 * products + squares, 1e-12))
    neighbours = leave_one_out.other_session_neighbours
    return LeaveOneSessionOutScores(
        first_row=loo.first_row,
        class_ids=class_ids,
        neighbour_similarities=neighbours.similarities,
        neighbour_rows=neighbours.rows,
        class_sums=sums,
        own_burst_similarity=loo.own_burst_similarity,
        same_class_count=same_class_count,
        burst_ids=loo.burst_ids,
        press_ids=loo.press_ids,
        session_ids=sessions,
        near_duplicate_presses=loo.near_duplicate_presses,
        mean_lengths=np.where(left > 0, lengths, -np.inf),
    )
