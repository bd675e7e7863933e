"""Count the presses until held-out pictures are classified well, with random and with recommended labels.

    .venv/bin/python scripts/experiments/compare_coach.py MODEL.tflite FOLDER [--presses 300] [--seeds 10]

A third of the pictures is held out. All strategies start with the same example per class. `random` labels
the next picture; `coach` labels the next picture of the recommended class; `coach and doubt` labels, of the
next six pictures of that class, the one with the smallest margin, like a press on an uncertain sample. The
table shows the median number of presses over the draws, with minimum and maximum in brackets; `-` means a
goal was not reached.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from edge_daemon.cli.evaluate import read_folder
from edge_daemon.evaluation.few_shot import Dataset
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier
from edge_daemon.tflite.embedder import TfliteEmbedder

WAYS = ("random", "coach", "coach and doubt")
GOALS = (0.7, 0.8, 0.85, 0.9)
RING = 6
EVERY = 5


def choose(data: Dataset, learner: OpenSetClassifier, pool: list[int], way: str) -> int:
    """Return the picture of the pool that is taught next."""
    if way == "random":
        return pool[0]
    advice = learner.evaluate().recommendation
    advised = [
        row for row in pool if advice is None or data.labels[data.class_ids[row]] == advice.label
    ] or pool
    if way == "coach":
        return advised[0]
    return min(advised[:RING], key=lambda row: learner.predict(data.vectors[row]).margin)


def accuracy(data: Dataset, learner: OpenSetClassifier, rows: Sequence[int]) -> float:
    """Return the share of the pictures that are named right."""
    right = [learner.predict(data.vectors[row]).label == data.labels[data.class_ids[row]] for row in rows]
    return float(np.mean(right))


def replay(data: Dataset, head: str, way: str, presses: int, seed: int) -> Iterator[float]:
    """Yield the accuracy on the pictures held out, every few presses."""
    order = np.random.default_rng(seed).permutation(len(data.class_ids)).tolist()
    held_out, pool = order[: len(order) // 3], order[len(order) // 3 :]
    learner = make_classifier(head, unknown="off")
    for count in range(1, min(presses, len(pool)) + 1):
        untaught = [row for row in pool if data.labels[data.class_ids[row]] not in learner.counts]
        row = untaught[0] if untaught else choose(data, learner, pool, way)
        learner.add(data.vectors[row], data.labels[data.class_ids[row]], count)
        pool.remove(row)
        if count % EVERY == 0:
            yield accuracy(data, learner, held_out)


def presses_to(goal: float, curves: Sequence[Sequence[float]]) -> str:
    """Say after how many presses the curves reach a goal: median, least and most."""
    reached = [
        next((EVERY * (place + 1) for place, share in enumerate(curve) if share >= goal), math.inf)
        for curve in curves
    ]
    named = ["-" if math.isinf(each) else f"{each:.0f}" for each in _spread(reached)]
    return f"{named[1]} ({named[0]} to {named[2]})"


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--head", default="auto")
    parser.add_argument("--presses", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    data = read_folder(args.folder, TfliteEmbedder(args.model))
    print("| presses to reach | " + " | ".join(f"{goal:.0%}" for goal in GOALS) + f" | at {args.presses} |")
    print("|---" * (len(GOALS) + 2) + "|")
    for way in WAYS:
        curves = [list(replay(data, args.head, way, args.presses, seed)) for seed in range(args.seeds)]
        cells = [presses_to(goal, curves) for goal in GOALS]
        last = float(np.mean([curve[-1] for curve in curves]))
        print(f"| {way} | " + " | ".join(cells) + f" | {last:.1%} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
