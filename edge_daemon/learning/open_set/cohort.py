"""Cohort: embeddings of unrelated photos that calibrate similarities in sessions without examples.

In another light and place all similarities fall, those to the taught classes and those to anything else.
There a query is compared by its margin: how much nearer it is to a taught class than to each photo of the
cohort: cohort normalization, as in speaker verification (Auckenthaler, Carey and Lloyd-Thomas, "Score
Normalization for Text-Independent Speaker Verification Systems", 2000). The photos' own margins, each against
the others, say which margins unrelated pictures have. A margin is given in their standard deviations above
their mean, so its thresholds hold for any model and any classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from edge_daemon.learning.sampling import Floats, Ints, unique

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector
    from edge_daemon.learning.embedding_index import EmbeddingIndex

MIN_MARGIN = 2.2
"""Margin of a known query from another session, in standard deviations; see docs/measurements/unknown.md."""

UNLIKE_SD = 8.0
"""Distance, in standard deviations, of a query from another session below the cosines of held-out classes."""

_EPSILON = 1e-9


class CohortComparison(Struct, frozen=True):
    """The margin of a query over unrelated photos, and its cosine to the nearest class mean."""

    margin: float
    cosine: float


class CohortScale(Struct, frozen=True):
    """The cohort and the present classes. All rows are centred on the cohort, at unit length.

    `unrelated` is the mean and the standard deviation of the photos' own margins, `held_out` that of the
    examples' cosines to the nearest other class.
    """

    cohort: Cohort
    class_means: Floats
    unrelated: tuple[float, float]
    held_out: tuple[float, float]

    def compare(self, vector: Vector) -> CohortComparison:
        """Compare a query at unit length."""
        centred = self.cohort.centre(vector[None])[0]
        cosine = float((self.class_means @ centred).max())
        mean, deviation = self.unrelated
        return CohortComparison((cosine - self.cohort.nearest(centred) - mean) / deviation, cosine)

    def is_unlike_session(self, query: CohortComparison) -> bool:
        """Return whether a query is farther from all classes than any new class of a taught session."""
        mean, deviation = self.held_out
        return query.cosine < mean - UNLIKE_SD * deviation


class Cohort:
    """Embeddings of unrelated photos, made by the model that embeds the queries."""

    def __init__(self, embeddings: Floats) -> None:
        """`embeddings` (n x d) are the photos' unit embeddings."""
        self._mean: Floats = embeddings.mean(axis=0)
        self._rows = self.centre(embeddings)
        self._nearest_others: Floats | None = None

    @property
    def embedding_size(self) -> int:
        """Length of the embeddings."""
        return len(self._mean)

    def centre(self, rows: Floats) -> Floats:
        """Return rows centred on the cohort, at unit length."""
        centred = rows - self._mean
        lengths = np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), _EPSILON)
        return np.ascontiguousarray(centred / lengths, np.float32)

    def nearest(self, centred: Floats) -> float:
        """Return the cosine of a centred query to the nearest photo."""
        return float((self._rows @ centred).max())

    def scale(self, examples: EmbeddingIndex, sample: Floats, class_ids: Ints) -> CohortScale:
        """Return the scale of the present classes. `sample` are examples of at least two `class_ids`."""
        present = unique(examples.class_ids).tolist()
        means = [examples.matrix[examples.class_ids == class_id].mean(axis=0) for class_id in present]
        class_means = self.centre(np.stack(means))
        if self._nearest_others is None:
            cosines = self._rows @ self._rows.T
            np.fill_diagonal(cosines, -1.0)
            self._nearest_others = cosines.max(axis=1)
        margins = (self._rows @ class_means.T).max(axis=1) - self._nearest_others
        others = self.centre(sample) @ class_means.T
        others[np.arange(len(sample)), np.searchsorted(present, class_ids)] = -1.0
        held_out = others.max(axis=1)
        return CohortScale(
            self,
            class_means,
            (float(margins.mean()), max(float(margins.std()), _EPSILON)),
            (float(held_out.mean()), float(held_out.std())),
        )
