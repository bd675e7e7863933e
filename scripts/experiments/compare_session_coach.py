"""Compare presses in one session with presses that follow the recommendation to another session.

    .venv/bin/python scripts/experiments/compare_session_coach.py MODEL SET... [--presses 10] [--seeds 10]

A SET is a folder SESSION/LABEL/PICTURE. Each draw takes a first and a second session at random; all other
sessions are asked. Every strategy has the same number of presses and labels the next picture of the
recommended class. `one session` stays in the first session. `half in each` changes to the second session
after half of the presses. `coach` changes when the recommendation asks for another session. The table shows
the share of asked pictures whose first label is right, the share whose label is right with rejection on, and
the mean number of presses in the first session.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from edge_daemon.domain.types import Prediction, Recommendation
from edge_daemon.evaluation.session_set import Session, find_sessions, read_sessions
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

Leave = Callable[[int, int, Recommendation | None], bool]
"""Condition of the change to the second session: presses so far, all presses, the recommendation."""

STRATEGIES: Mapping[str, Leave] = {
    "one session": lambda count, total, recommendation: False,
    "half in each": lambda count, total, recommendation: count >= total // 2,
    "coach": lambda count, total, recommendation: (
        recommendation is not None and recommendation.another_session
    ),
}


class Draw:
    """The pictures of two sessions in random order, and those of all others."""

    def __init__(self, sessions: Sequence[Session], seed: int) -> None:
        self._random = np.random.default_rng(seed)
        order = self._random.permutation(len(sessions)).tolist()
        self.taught = [self._shuffled(sessions[each]) for each in order[:2]]
        self.asked = [
            (label, frame.embedding)
            for each in order[2:]
            for label, frames in sessions[each].frames.items()
            for frame in frames
        ]

    def _shuffled(self, session: Session) -> dict[str, list[Vector]]:
        return {
            label: [frames[each].embedding for each in self._random.permutation(len(frames)).tolist()]
            for label, frames in session.frames.items()
        }


def teach(classifier: OpenSetClassifier, draw: Draw, presses: int, leave: Leave) -> int:
    """Press as the strategy says; return the number of presses in the first session."""
    pools = [{label: list(vectors) for label, vectors in session.items()} for session in draw.taught]
    total, session, first = presses * len(pools[0]), 0, 0
    for count in range(total):
        recommendation = classifier.evaluate().recommendation if count >= len(pools[0]) else None
        if session == 0 and leave(count, total, recommendation):
            session = 1
        label = _next_label(classifier, pools[session], recommendation, count)
        if label is None:
            break
        classifier.add(pools[session][label].pop(0), label, count, "", session)
        first += session == 0
    return first


def _next_label(
    classifier: OpenSetClassifier,
    pool: Mapping[str, Sequence[Vector]],
    recommendation: Recommendation | None,
    count: int,
) -> str | None:
    """Return the recommended label, else the one with the fewest examples, of those with pictures left."""
    left = [label for label, vectors in pool.items() if vectors]
    if recommendation is not None and recommendation.label in left:
        return recommendation.label
    return min(left, key=lambda label: (classifier.counts.get(label, 0), label), default=None)


def asked_shares(classifier: OpenSetClassifier, draw: Draw) -> tuple[float, float]:
    """Return the shares of asked pictures whose first label, and whose label, is right."""
    classifier.run_to_convergence(draw.asked[0][1])
    predictions: list[tuple[str, Prediction]] = [
        (label, classifier.predict(vector)) for label, vector in draw.asked
    ]
    first = [prediction.ranking[0].label == label for label, prediction in predictions]
    named = [prediction.label == label for label, prediction in predictions]
    return float(np.mean(first)), float(np.mean(named))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=find_model)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--classifier", default="auto")
    parser.add_argument("--presses", type=int, default=10, help="for each class, on average")
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    embedder = TfliteEmbedder(args.model)
    print("| set | strategy | first | named | presses in the first session |\n|---|---|---|---|---|")
    for folder in args.sets:
        sessions = read_sessions(find_sessions(folder), embedder.embed)
        for name, leave in STRATEGIES.items():
            rows = []
            for seed in range(args.seeds):
                draw, classifier = Draw(sessions, seed), make_classifier(args.classifier)
                before = teach(classifier, draw, args.presses, leave)
                rows.append((*asked_shares(classifier, draw), before))
            first, named, before_mean = np.mean(rows, axis=0)
            print(f"| {folder.name} | {name} | {first:.1%} | {named:.1%} | {before_mean:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
