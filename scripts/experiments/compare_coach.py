"""Count the presses until held-out pictures are classified well, with random and with recommended labels.

    .venv/bin/python scripts/experiments/compare_coach.py MODEL.tflite FOLDER [--presses 300] [--seeds 10]

A third of the pictures is held out. All strategies start with the same example per class. `random` labels
the next picture; `coach` labels the next picture of the recommended class; `coach and uncertainty` labels
the picture with the smallest margin of the next six pictures of that class, like a press on an uncertain
sample. The table shows the median number of presses over the draws, with minimum and maximum in brackets;
`-` means a goal was not reached.
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
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

STRATEGIES = ("random", "coach", "coach and uncertainty")
GOALS = (0.7, 0.8, 0.85, 0.9)
CANDIDATES = 6
EVALUATE_EVERY = 5


def choose(data: Dataset, classifier: OpenSetClassifier, pool: list[int], strategy: str) -> int:
    """Return the picture of the pool that is labelled next."""
    if strategy == "random":
        return pool[0]
    recommendation = classifier.evaluate().recommendation
    recommended = [
        row
        for row in pool
        if recommendation is None or data.labels[data.class_ids[row]] == recommendation.label
    ] or pool
    if strategy == "coach":
        return recommended[0]
    return min(recommended[:CANDIDATES], key=lambda row: classifier.predict(data.vectors[row]).margin)


def accuracy(data: Dataset, classifier: OpenSetClassifier, rows: Sequence[int]) -> float:
    """Return the share of the pictures that are classified correctly."""
    right = [classifier.predict(data.vectors[row]).label == data.labels[data.class_ids[row]] for row in rows]
    return float(np.mean(right))


def replay(data: Dataset, classifier_type: str, strategy: str, presses: int, seed: int) -> Iterator[float]:
    """Yield the accuracy on the pictures held out, every EVALUATE_EVERY presses."""
    order = np.random.default_rng(seed).permutation(len(data.class_ids)).tolist()
    held_out, pool = order[: len(order) // 3], order[len(order) // 3 :]
    classifier = make_classifier(classifier_type, unknown="off")
    for count in range(1, min(presses, len(pool)) + 1):
        missing = [row for row in pool if data.labels[data.class_ids[row]] not in classifier.counts]
        row = missing[0] if missing else choose(data, classifier, pool, strategy)
        classifier.add(data.vectors[row], data.labels[data.class_ids[row]], count)
        pool.remove(row)
        if count % EVALUATE_EVERY == 0:
            yield accuracy(data, classifier, held_out)


def presses_to(goal: float, curves: Sequence[Sequence[float]]) -> str:
    """Return the number of presses until the curves reach a goal: median (minimum to maximum)."""
    reached = [
        next((EVALUATE_EVERY * (index + 1) for index, share in enumerate(curve) if share >= goal), math.inf)
        for curve in curves
    ]
    cells = ["-" if math.isinf(each) else f"{each:.0f}" for each in _spread(reached)]
    return f"{cells[1]} ({cells[0]} to {cells[2]})"


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=find_model)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--classifier", default="auto")
    parser.add_argument("--presses", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    data = read_folder(args.folder, TfliteEmbedder(args.model))
    print("| presses to reach | " + " | ".join(f"{goal:.0%}" for goal in GOALS) + f" | at {args.presses} |")
    print("|---" * (len(GOALS) + 2) + "|")
    for strategy in STRATEGIES:
        curves = [
            list(replay(data, args.classifier, strategy, args.presses, seed)) for seed in range(args.seeds)
        ]
        cells = [presses_to(goal, curves) for goal in GOALS]
        last = float(np.mean([curve[-1] for curve in curves]))
        print(f"| {strategy} | " + " | ".join(cells) + f" | {last:.1%} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
