"""Compare gains before the embedder: classes taught in one session and asked in it and in others.

    .venv/bin/python scripts/experiments/compare_gain.py MODEL SET... [--classifier auto]

SET is a session set, as `compose_sessions.py` writes. `--light` darkens or brightens each session of it by a
factor from 0.45 to 1.3. Each session in turn teaches ten pictures of each class. The columns are, in per
cent: the first label is right, in the same and in other sessions; the label is right with rejection on, in
both; pictures of two held-out classes are unknown, in both.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from edge_daemon.cli.progress import Progress
from edge_daemon.domain.types import UNKNOWN
from edge_daemon.evaluation.session_set import Session, SessionPicture, find_sessions, read_sessions
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

SHOTS = 10
HELD_OUT = 2
TARGET = 118.0
"""Mean brightness that a gain leads to."""

Gain = Callable[["Image"], "Image"]


def scale(image: Image, factor: float | Vector) -> Image:
    scaled: Image = (image * factor).clip(0, 255).astype(np.uint8)
    return scaled


def to_mean(image: Image) -> Image:
    """Multiply the values of the pixels."""
    return scale(image, TARGET / max(float(image.mean()), 1.0))


def half_way(image: Image) -> Image:
    """Multiply by the root of the gain."""
    return scale(image, (TARGET / max(float(image.mean()), 1.0)) ** 0.5)


def by_gamma(image: Image) -> Image:
    """Bend the tone curve, which clips nothing."""
    mean = min(max(float(image.mean()) / 255, 0.02), 0.98)
    curve = 255 * (np.arange(256) / 255) ** (np.log(TARGET / 255) / np.log(mean))
    bent: Image = curve.astype(np.uint8)[image]
    return bent


def grey_world(image: Image) -> Image:
    """Give each channel the same mean."""
    means = image.reshape(-1, 3).mean(axis=0)
    return scale(image, (TARGET / np.maximum(means, 1.0)).astype(np.float32))


GAINS: Mapping[str, Gain] = {
    "none": lambda image: image,
    "to a fixed mean": to_mean,
    "half of it": half_way,
    "tone curve to a fixed mean": by_gamma,
    "each channel to a fixed mean": grey_world,
}


def teach(classifier: OpenSetClassifier, session: Session, labels: Sequence[str]) -> None:
    """Teach the first pictures of each class, and fit."""
    number = 0
    for label in labels:
        for frame in session.frames[label][:SHOTS]:
            number += 1
            classifier.add(frame.embedding, label, number)
    classifier.run_to_convergence(session.frames[labels[0]][0].embedding)


def measure(sessions: Sequence[Session], classifier: str) -> list[float]:
    """Return the columns."""
    results: dict[str, list[bool]] = {}
    for taught in sessions:
        labels = sorted(label for label, frames in taught.frames.items() if len(frames) > SHOTS)
        if len(labels) < 3:
            continue
        for held_out in (None, *labels[:HELD_OUT]):
            known = [label for label in labels if label != held_out]
            trained = make_classifier(classifier)
            teach(trained, taught, known)
            for key, is_right in _ask(trained, sessions, taught, known, held_out):
                results.setdefault(key, []).append(is_right)
    keys = ("first same", "first across", "named same", "named across", "unknown same", "unknown across")
    return [100 * float(np.mean(results[key])) for key in keys]


def _ask(
    trained: OpenSetClassifier,
    sessions: Sequence[Session],
    taught: Session,
    known: Sequence[str],
    held_out: str | None,
) -> Iterator[tuple[str, bool]]:
    for session in sessions:
        where = "same" if session is taught else "across"
        for label in known if held_out is None else [held_out]:
            frames = session.frames.get(label, ())
            for frame in frames[SHOTS if session is taught and held_out is None else 0 :]:
                prediction = trained.predict(frame.embedding)
                if held_out is None:
                    yield f"first {where}", prediction.ranking[0].label == label
                    yield f"named {where}", prediction.label == label
                else:
                    yield f"unknown {where}", prediction.label == UNKNOWN


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("sets", type=Path, nargs="+", metavar="SET")
    parser.add_argument("--classifier", default="auto")
    parser.add_argument("--light", action="store_true", help="change the light of each session")
    args = parser.parse_args()
    embedder = TfliteEmbedder(find_model(args.model))
    print("| set | gain | first, same | across | named, same | across | held-out unknown, same | across |")
    print("|---|---|---|---|---|---|---|---|")
    for folder in args.sets:
        pictures = find_sessions(folder)
        for name, gain in GAINS.items():
            sessions = [
                session
                for number, own in enumerate(_by_session(pictures))
                for session in read_sessions(
                    Progress(name)(own, len(own)),
                    _embed(embedder, gain, _light(number) if args.light else 1.0),
                )
            ]
            cells = " | ".join(f"{value:.0f}" for value in measure(sessions, args.classifier))
            print(f"| {folder.name} | {name} | {cells} |", flush=True)
    return 0


def _by_session(pictures: Sequence[SessionPicture]) -> list[list[SessionPicture]]:
    names = dict.fromkeys(each.session for each in pictures)
    return [[each for each in pictures if each.session == name] for name in names]


def _light(number: int) -> float:
    return float(np.random.default_rng(number).uniform(0.45, 1.3))


def _embed(embedder: TfliteEmbedder, gain: Gain, light: float) -> Callable[[Image], Vector]:
    return lambda image: embedder.embed(gain(scale(image, light)))


if __name__ == "__main__":
    sys.exit(main())
