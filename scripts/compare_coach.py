"""Count the presses until held-out pictures are named well: at random, and as the coach advises.

    .venv/bin/python scripts/compare_coach.py MODEL.tflite FOLDER [--presses 200] [--seeds 3]

A third of the pictures is held out. The first press of each class is the same for all. `random`
teaches the next picture that comes; `coach` the next of the advised class; `coach and doubt`, of the
next six of that class, the one with the smallest margin, as a press within seconds of a doubtful
moment does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge_daemon.cli.evaluate import read_folder
from edge_daemon.learning.evaluate import Dataset
from edge_daemon.learning.learner import Learner, make_learner
from edge_daemon.vision.litert import Embedder

WAYS = ("random", "coach", "coach and doubt")
GOALS = (0.6, 0.7, 0.8, 0.85, 0.9)
RING = 6
EVERY = 5


def choose(data: Dataset, learner: Learner, pool: list[int], way: str) -> int:
    """Return the picture of the pool that is taught next."""
    if way == "random":
        return pool[0]
    advice = learner.exam().advice
    advised = [row for row in pool if advice is None or data.labels[data.codes[row]] == advice.label] or pool
    if way == "coach":
        return advised[0]
    return min(advised[:RING], key=lambda row: learner.predict(data.vectors[row]).margin)


def replay(data: Dataset, way: str, presses: int, seed: int) -> Iterator[float]:
    """Yield the accuracy on the pictures held out, every few presses."""
    order = np.random.default_rng(seed).permutation(len(data.codes)).tolist()
    held_out, pool = order[: len(order) // 3], order[len(order) // 3 :]
    learner = make_learner("auto", unknown="off")
    for count in range(1, presses + 1):
        untaught = [row for row in pool if data.labels[data.codes[row]] not in learner.counts]
        row = untaught[0] if untaught else choose(data, learner, pool, way)
        learner.add(data.vectors[row], data.labels[data.codes[row]], count)
        pool.remove(row)
        if count % EVERY == 0:
            named = [learner.predict(data.vectors[row]).label for row in held_out]
            yield float(
                np.mean(
                    [
                        label == data.labels[data.codes[row]]
                        for label, row in zip(named, held_out, strict=True)
                    ]
                )
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--presses", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    data = read_folder(args.folder, Embedder(args.model))
    print(
        "| presses to reach | " + " | ".join(f"{goal:.0%}" for goal in GOALS) + f" | after {args.presses} |"
    )
    print("|---" * (len(GOALS) + 2) + "|")
    for way in WAYS:
        curves = [list(replay(data, way, args.presses, seed)) for seed in range(args.seeds)]
        mean = np.mean(curves, axis=0)
        reached = [
            str(EVERY * (1 + int(np.argmax(mean >= goal)))) if (mean >= goal).any() else "-" for goal in GOALS
        ]
        print(f"| {way} | " + " | ".join(reached) + f" | {mean[-1]:.1%} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
