"""The lower threshold for objects in scenes in which nothing was taught.

The examples' own threshold is that of the scene in which they were taught, of its light and of the edges
that its background leaves in the masks. The copies of the taught objects show how far the scores fall in
other scenes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.learning.open_set.augmented_copies import COPIES_QUANTILE
from edge_daemon.learning.open_set.calibration_sample import calibration_sample
from edge_daemon.learning.open_set.leave_one_class_out import held_out_class_scores
from edge_daemon.learning.open_set.other_sessions import score_copies
from edge_daemon.learning.sampling import quantile

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.learning.embedding_index import EmbeddingIndex
    from edge_daemon.learning.open_set.augmented_copies import AugmentedCopies
    from edge_daemon.learning.open_set.rejector import UnknownRejector
    from edge_daemon.learning.quality.leave_one_out import LeaveOneOut

HELD_OUT_QUANTILE = 0.5
"""Quantile of the held-out classes' scores below which the threshold never falls."""


class OtherScenes:
    """Accepts queries from other scenes whose score reaches the threshold of the copies.

    The fit is made at the first query after a change. One owning thread.
    """

    def __init__(
        self,
        examples: EmbeddingIndex,
        leave_one_out: LeaveOneOut,
        rejector: UnknownRejector,
        copies: AugmentedCopies,
    ) -> None:
        self._examples = examples
        self._leave_one_out = leave_one_out
        self._rejector = rejector
        self._copies = copies
        self._version = (-1, -1)
        self._threshold = np.inf

    def accepts(self, embedding: npt.ArrayLike) -> bool:
        """Return whether the embedding of an object is known. Raises EmbeddingError.

        It never is where the threshold is a number, which holds in all scenes, or without copies.
        """
        if self._rejector.unknown != "auto" or not len(self._examples):
            return False
        score = self._rejector.score(self._examples.search(embedding))
        version = (self._examples.version, self._copies.version)
        if self._version != version:
            self._threshold = self._fit()
            self._version = version
        return score >= self._threshold

    def _fit(self) -> float:
        sample = calibration_sample(self._examples, self._leave_one_out.scores())
        if not sample.well_sampled.all():
            return np.inf  # the scores of new classes have another scale
        copies = score_copies(sample, self._copies)
        if not len(copies):
            return np.inf
        held_out = held_out_class_scores(
            sample.matrix, sample.space.coordinates, sample.class_ids, len(self._examples.labels), sample.rank
        )
        return max(quantile(copies, COPIES_QUANTILE), quantile(held_out, HELD_OUT_QUANTILE))
