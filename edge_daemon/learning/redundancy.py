"""Which example of a class is missed least: what `max_per_label` takes out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def most_redundant(vectors: npt.NDArray[np.float32]) -> int:
    """Return the row that the others stand in for best; unit vectors (n x d) of one class, oldest first.

    Of the two most similar examples, the one that is more similar to a third; the older one if that
    is equal. So a pose shown once stays, however old, and of many alike one goes. Costs n x n x d.
    Raises ValueError without rows.
    """
    count = len(vectors)
    if count < 2:
        return range(count).index(0)
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -np.inf)
    first, second = np.unravel_index(similarities.argmax(), similarities.shape)
    pair = sorted((int(first), int(second)))
    similarities[pair[0], pair[1]] = similarities[pair[1], pair[0]] = -np.inf
    older, newer = (float(similarities[row].max()) for row in pair)
    return pair[0] if older >= newer else pair[1]
