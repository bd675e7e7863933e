"""A bounded choice of examples to fit to."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.example_set import Codes


def newest(codes: Codes, classes: int, limit: int) -> Codes:
    """Return the rows of the newest examples, evenly over the classes, about `limit` of them, in order."""
    if len(codes) <= limit or classes == 0:
        return np.arange(len(codes))
    share = max(2, limit // classes)
    return np.sort(np.concatenate([np.flatnonzero(codes == code)[-share:] for code in range(classes)]))
