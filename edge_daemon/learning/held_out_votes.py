"""Leave-one-out votes of the nearest neighbours on a sample of the examples, and how often they are right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.quality.leave_one_out import LeaveOneOutScores
from edge_daemon.learning.sampling import Floats, Ints, balanced_sample

SAMPLE = 100
"""Number of examples, balanced over the classes: a millisecond or two."""

NEIGHBOURS = 3
"""Number of neighbours that vote; one votes for a class with fewer other examples."""


class HeldOutVote(Struct, frozen=True):
    """The vote on one example, without its burst.

    `first` and `second` are the shares of the first two labels, `own` and `others` the distances (1 - cosine)
    to the nearest example of the first label and of other labels. `count` is the number of examples of the
    first label in the sample.
    """

    first: float
    second: float
    own: float
    others: float
    count: int
    is_right: bool


def held_out_votes(examples: EmbeddingIndex, loo: LeaveOneOutScores) -> list[HeldOutVote]:
    """Return the votes on a sample; examples whose class has no other burst in it are left out."""
    rows = balanced_sample(loo.class_ids, len(examples.labels), SAMPLE)
    class_ids, burst_ids = loo.class_ids[rows], loo.burst_ids[rows]
    matrix = examples.matrix[loo.first_row :][rows]
    similarities = matrix @ matrix.T
    similarities[burst_ids[:, None] == burst_ids] = -np.inf
    return list(_votes(similarities, class_ids))


def _votes(similarities: Floats, class_ids: Ints) -> Iterator[HeldOutVote]:
    counts = np.bincount(class_ids)
    nearest = np.argsort(-similarities, axis=1)[:, :NEIGHBOURS]
    for row, class_id in enumerate(class_ids.tolist()):
        same_class = int(np.isfinite(similarities[row, class_ids == class_id]).sum())
        if not same_class:
            continue
        voters = nearest[row, : NEIGHBOURS if same_class >= NEIGHBOURS else 1].tolist()
        votes = np.bincount(class_ids[voters], minlength=len(counts))
        nearest_class = int(class_ids[voters[0]])
        label = nearest_class if votes[nearest_class] == votes.max() else int(votes.argmax())
        is_label = class_ids == label
        yield HeldOutVote(
            int(votes[label]) / len(voters),
            int(np.delete(votes, label).max(initial=0)) / len(voters),
            1.0 - float(similarities[row].max(where=is_label, initial=-1.0)),
            1.0 - float(similarities[row].max(where=~is_label, initial=-1.0)),
            int(counts[label]),
            label == class_id,
        )
