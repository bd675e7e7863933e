"""Leave-one-out votes: own bursts are excluded, a tie goes to the nearest example."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.held_out_votes import SAMPLE, HeldOutVote, held_out_votes
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut


def votes_of(*examples: tuple[float, str, str]) -> list[HeldOutVote]:
    """Return the votes on examples at an angle in degrees, with a label and a burst."""
    index = EmbeddingIndex()
    leave_one_out = LeaveOneOut(index)
    for number, (degrees, label, group) in enumerate(examples):
        angle = np.radians(degrees)
        index.add([np.cos(angle), np.sin(angle)], label, number, group)
    return held_out_votes(index, leave_one_out.scores())


def test_each_example_is_named_by_its_nearest_others() -> None:
    votes = votes_of((0, "a", ""), (20, "a", ""), (45, "b", ""), (80, "b", ""))
    assert [each.is_right for each in votes] == [True, True, False, True]
    assert votes[3].own == pytest.approx(1 - np.cos(np.radians(35)), abs=1e-6)
    assert votes[3].others == pytest.approx(1 - np.cos(np.radians(60)), abs=1e-6)
    assert (votes[3].first, votes[3].second, votes[3].count) == (1.0, 0.0, 2)


def test_three_others_vote_where_the_class_has_them() -> None:
    votes = votes_of(*((degrees, "a", "") for degrees in (0, 20, 40, 60)), (21, "b", ""), (130, "b", ""))
    assert [each.is_right for each in votes[:4]] == [True] * 4
    assert (votes[1].first, votes[1].second) == pytest.approx((2 / 3, 1 / 3))


def test_the_own_burst_does_not_vote_and_a_class_of_one_burst_is_left_out() -> None:
    votes = votes_of((0, "a", "x"), (15, "a", "x"), (70, "a", "y"), (50, "b", "z"), (32, "b", "z"))
    assert len(votes) == 3, "the examples of b have no other burst"


def test_a_single_example_and_an_empty_index_have_no_votes() -> None:
    assert votes_of((0, "a", "")) == []
    assert votes_of() == []


def test_the_sample_is_bounded() -> None:
    random = np.random.default_rng(0)
    votes = votes_of(*((float(random.uniform(0, 360)), "ab"[row % 2], "") for row in range(400)))
    assert 0 < len(votes) <= SAMPLE
