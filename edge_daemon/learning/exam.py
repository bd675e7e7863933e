"""The exam: what leaving each example out says of the classifier."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.example_set import ExampleSet
from edge_daemon.types import Exam, Verdict


def examine(examples: ExampleSet) -> Exam:
    """Classify each example by its nearest neighbour among the others."""
    counts = examples.counts
    if len(counts) < 2:
        return Exam(None, {label: Verdict("needs_more", count, None) for label, count in counts.items()})
    similarities = examples.matrix @ examples.matrix.T
    np.fill_diagonal(similarities, -np.inf)
    right = examples.codes[similarities.argmax(axis=1)] == examples.codes
    verdicts = {}
    for code, (label, count) in enumerate(counts.items()):
        recall = float(right[examples.codes == code].mean())
        good = recall >= 0.8 and count >= 5
        verdicts[label] = Verdict("good" if good else "needs_more", count, recall)
    return Exam(float(right.mean()), verdicts)
