"""Measure how well confidences agree with accuracy, before and after calibration, and fit the weights.

    .venv/bin/python scripts/experiments/measure_confidence.py MODEL.tflite OBJECTS PLACES [--sets 8]

OBJECTS holds pictures of objects on white; other pictures in it are skipped. PLACES holds photos of any kind.
In a set, some objects are pasted on a place in each of three sessions, each under one light. In every second
set the objects are nearly as large as the picture, in the others small. Each session in turn teaches all
objects. The first table has the expected calibration error in per cent, the mean of all sets, in the session
that taught and in the others. The second has the weights that fit all sets.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt
from measure_other_sessions import compose, cut_outs, sample_pictures

from edge_daemon.evaluation.calibration import expected_calibration_error, reliability
from edge_daemon.learning.confidence import CLEAR_RATIO, OTHER_SESSION_NOVELTY, OTHER_SESSION_SCALE, Evidence
from edge_daemon.learning.example_classifier import ExampleClassifier, make_example_classifier
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

SESSIONS, VIEWS, QUERIES_FROM = 3, 16, 10
SHOTS = (1, 3, 10)
TYPES = ("knn", "centroid", "linear", "auto")

Set = npt.NDArray[np.float32]
"""Embeddings of a set: sessions x objects x views x numbers."""


def make_set(args: argparse.Namespace, embedder: TfliteEmbedder, seed: int) -> Set:
    """Compose the views of a set and embed them."""
    rng = np.random.default_rng(seed)
    objects = cut_outs(args.objects, int(rng.integers(5, 13)), rng)
    small = seed % 2 == 0
    sessions = []
    for place in sample_pictures(args.places, SESSIONS, rng):
        light = rng.uniform(0.45, 1.3) * rng.uniform(0.8, 1.2, 3)
        size = rng.uniform(0.25, 0.5) if small else rng.uniform(0.65, 0.95)
        sessions.append(
            [
                [embedder.embed(compose(*each, place, size, light, rng)) for _ in range(VIEWS)]
                for each in objects
            ]
        )
    return np.array(sessions, np.float32)


def teach(vectors: Set, session: int, type: str, shots: int) -> ExampleClassifier:
    """Teach all objects in one session."""
    classifier = make_example_classifier(type, 3, "cosine", "padded", "off")
    for label, views in enumerate(vectors[session]):
        for view, vector in enumerate(views[:shots]):
            classifier.add(vector, str(label), label * shots + view)
    classifier.run_to_convergence(vectors[session, 0, 0])
    return classifier


def queries(vectors: Set, session: int) -> Iterator[tuple[bool, str, npt.NDArray[np.float32]]]:
    """Yield whether a query is of the session that taught, its label and its embedding."""
    for other in range(SESSIONS):
        for label, views in enumerate(vectors[other]):
            for vector in views[QUERIES_FROM:]:
                yield other == session, str(label), vector


def features(evidence: Evidence) -> tuple[float, ...]:
    """Return the share of the weights of other sessions, and the terms of the logit."""
    mixture = 1 / (1 + math.exp((OTHER_SESSION_NOVELTY - evidence.novelty) / OTHER_SESSION_SCALE))
    accuracy = evidence.accuracy * math.tanh(evidence.ratio / CLEAR_RATIO)
    terms = evidence.share, evidence.lead, evidence.ratio, evidence.novelty, accuracy, 1 / evidence.count
    return mixture, *terms


class Results:
    """The predictions of one classifier on one set: evidence, mixture, shares, confidences, hits."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []
        self.same: list[bool] = []
        self.raw: list[float] = []
        self.calibrated: list[float] = []
        self.correct: list[bool] = []

    def add(self, classifier: ExampleClassifier, same: bool, label: str, vector: Set) -> None:
        """Classify a query."""
        calibrator = classifier._calibrator
        assert calibrator is not None
        calibrated = classifier.predict(vector)
        query = classifier._examples.search(vector)
        prediction = classifier._classifier.predict(query)
        evidence = calibrator._evidence(query, prediction)
        self.rows.append(features(evidence))
        self.same.append(same)
        self.raw.append(prediction.confidence)
        self.calibrated.append(calibrated.confidence)
        self.correct.append(calibrated.label == label)

    def error(self, confidences: Sequence[float], same: bool) -> float:
        """Return the expected calibration error in the session that taught or in the others."""
        rows = [row for row, each in enumerate(self.same) if each == same]
        bins = reliability([confidences[row] for row in rows], [self.correct[row] for row in rows])
        return 100 * expected_calibration_error(bins)


def measure(sets: Sequence[Set], type: str, shots: int) -> list[Results]:
    """Return the results of each set."""
    results = []
    for vectors in sets:
        results.append(Results())
        for session in range(SESSIONS):
            classifier = teach(vectors, session, type, shots)
            for same, label, vector in queries(vectors, session):
                results[-1].add(classifier, same, label, vector)
    return results


def fit(results: Sequence[Results], l2: float = 3.0) -> npt.NDArray[np.float64]:
    """Return the weights of both sessions by logistic regression (Newton's method)."""
    rows = np.array([row for each in results for row in each.rows])
    correct = np.array([hit for each in results for hit in each.correct], float)
    mixture, features = rows[:, :1], rows[:, 1:]
    design = np.hstack(((1 - mixture) * features, mixture * features))
    weights = np.zeros(design.shape[1])
    for _ in range(10):
        probability = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (probability - correct) + l2 * weights
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + l2 * np.eye(
            len(weights)
        )
        weights -= np.linalg.solve(curvature, gradient)
    return weights.reshape(2, -1)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=find_model)
    for name in ("objects", "places"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--sets", type=int, default=8)
    args = parser.parse_args()
    embedder = TfliteEmbedder(args.model)
    sets = [make_set(args, embedder, seed) for seed in range(args.sets)]
    print("| classifier | shots | same session: shares | calibrated | other sessions: shares | calibrated |")
    print("|---|---|---|---|---|---|")
    fitted = {}
    for type in TYPES:
        everything = []
        for shots in SHOTS:
            results = measure(sets, type, shots)
            everything += results
            cells = [
                f"{np.mean([each.error(getattr(each, kind), same) for each in results]):.0f}"
                for same in (True, False)
                for kind in ("raw", "calibrated")
            ]
            print(f"| {type} | {shots} | {' | '.join(cells)} |", flush=True)
        fitted[type] = fit(everything)
    print(
        "\n| classifier | session | share | lead | ratio | novelty | accuracy | 1 / count |\n|" + "---|" * 8
    )
    for type, weights in fitted.items():
        for session, row in zip(("same", "other"), weights, strict=True):
            print(f"| {type} | {session} | {' | '.join(f'{each:.2f}' for each in row)} |")


if __name__ == "__main__":
    main()
