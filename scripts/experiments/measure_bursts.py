"""Measure the rejection of other things of the same place where each label was taught with one burst.

    .venv/bin/python scripts/experiments/measure_bursts.py MODEL.tflite SET... [--frames 3]

SET is a session set, as `compose_sessions.py` writes. In each session every label in turn is held out; the
others are taught with one frame and noisy repetitions of it. Whole regions are compared, with the thresholds
of the augmented copies alone, and with the similarity between the labels as their least value.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from edge_daemon.domain.types import UNKNOWN
from edge_daemon.imaging.augment import augmented_copy
from edge_daemon.imaging.image_io import read_image
from edge_daemon.learning.example_classifier import ExampleClassifier, make_example_classifier
from edge_daemon.learning.open_set.augmented_copies import COPIES
from edge_daemon.learning.open_set.rejection_settings import RejectionSettings
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

NOISE = 3.0


@dataclass(frozen=True, slots=True)
class Label:
    """Embeddings of a label in one session: its burst, the copies of the first frame, and other frames."""

    burst: Sequence[Vector]
    copies: Sequence[Vector]
    others: Sequence[Vector]


def read_label(folder: Path, frames: int, embedder: TfliteEmbedder) -> Label:
    """Embed the frames of a label; the first one makes its burst."""
    first, *others = [read_image(path) for path in sorted(folder.iterdir())]
    rng = np.random.default_rng(0)
    noisy = [first + rng.normal(0, NOISE, first.shape) for _ in range(frames - 1)]
    burst = [first, *(each.clip(0, 255).astype(np.uint8) for each in noisy)]
    copies = [augmented_copy(first, rng) for _ in range(COPIES)]
    vectors = [[embedder.embed(image) for image in images] for images in (burst, copies, others)]
    return Label(*vectors)


def teach(labels: Mapping[str, Label], *, shows_place: bool) -> ExampleClassifier:
    """Return a classifier with one burst of each label, and their copies."""
    classifier = make_example_classifier(
        "auto", 3, "cosine", "plain", "auto", settings=RejectionSettings(shows_place=shows_place)
    )
    copies: dict[int, Sequence[Vector]] = {}
    for name, label in labels.items():
        for vector in label.burst:
            classifier.add(vector, name, len(copies), group=name)
            copies[len(copies)] = label.copies
    for example_id in tuple(classifier.missing_copies):
        classifier.add_copies(example_id, copies[example_id])
    return classifier


def rejections(
    sessions: Sequence[Mapping[str, Label]], *, shows_place: bool
) -> Iterator[tuple[float, float]]:
    """Yield the shares that are unknown: of the taught labels, and of the held-out one."""
    for session in sessions:
        for held_out in session:
            taught = {name: label for name, label in session.items() if name != held_out}
            classifier = teach(taught, shows_place=shows_place)
            known = [vector for label in taught.values() for vector in label.others]
            yield _unknown(classifier, known), _unknown(classifier, session[held_out].others)


def _unknown(classifier: ExampleClassifier, vectors: Sequence[Vector]) -> float:
    return float(np.mean([classifier.predict(vector).label == UNKNOWN for vector in vectors]))


def main() -> None:
    """Print both thresholds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=find_model)
    parser.add_argument("sets", type=Path, nargs="+", metavar="SET")
    parser.add_argument("--frames", type=int, default=3)
    args = parser.parse_args()
    embedder = TfliteEmbedder(args.model)
    sessions = [
        {
            label.name: read_label(label, args.frames, embedder)
            for label in sorted(session.iterdir())
            if label.name != "_scene"
        }
        for folder in args.sets
        for session in sorted(folder.iterdir())
    ]
    print("| threshold | taught unknown | held-out label unknown |")
    print("|---|---|---|")
    for name, shows_place in (("copies alone", False), ("not below the labels' similarity", True)):
        known, other = np.mean(list(rejections(sessions, shows_place=shows_place)), axis=0)
        print(f"| {name} | {known:.1%} | {other:.1%} |", flush=True)


if __name__ == "__main__":
    main()
