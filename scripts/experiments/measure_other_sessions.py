"""Measure objects that are taught in one session and classified in others, for designs of the threshold.

    .venv/bin/python scripts/experiments/measure_other_sessions.py MODEL.tflite OBJECTS PLACES FAR [--sets 3]

OBJECTS holds pictures of objects on white; other pictures in it are skipped. PLACES and FAR hold photos of
any kind. In a set, six objects are pasted on one place in each of three sessions, each under one light.
Eight examples of five objects are taught in one session; the sixth object is the held-out class. The columns
are shares of the test pictures in per cent.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image as Pillow

from edge_daemon.domain.types import UNKNOWN
from edge_daemon.imaging.augment import STRONG, Augmentation, augmented_copy
from edge_daemon.imaging.image_io import read_image
from edge_daemon.learning.open_set import other_sessions
from edge_daemon.learning.open_set.augmented_copies import COPIES
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

SIDE = 160
OBJECTS, SESSIONS, VIEWS, TAUGHT = 6, 3, 14, 8
HELD_OUT = (0, 1, 2)
"""Objects that are the held-out class in turn."""

SMALL = Augmentation(0.15, 0.03, 0.05, 12, 0.06, (0.85, 1.0), 3, 0.2)

INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class Design:
    """A lower threshold: the copies, their quantile, the distance of other sessions in standard deviations.

    `floor` is the quantile of the held-out classes' scores below which the threshold never falls.
    """

    copies: Augmentation
    quantile: float
    distance: float
    floor: float = 0.0


DESIGNS: Mapping[str, Design | None] = {
    "no lower threshold": None,
    "25 % of small changes, all queries": Design(SMALL, 0.25, -INFINITE),
    "25 % of strong changes, all queries": Design(STRONG, 0.25, -INFINITE),
    "25 % of strong changes, beyond 3 SD": Design(STRONG, 0.25, 3),
    "25 % of strong changes, beyond 5 SD": Design(STRONG, 0.25, 5),
    "5 % of strong changes, beyond 5 SD": Design(STRONG, 0.05, 5),
    "the daemon's: 25 %, strong, 5 SD, floor": Design(STRONG, 0.25, 5, 0.05),
}


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """One picture of an object in a session, and its embedding."""

    session: int
    object: int
    picture: Image
    vector: Vector


def read_square(path: Path) -> Pillow.Image:
    """Read the centre square of a picture."""
    picture = Pillow.fromarray(read_image(path))
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))


def sample_pictures(folder: Path, count: int, rng: np.random.Generator) -> Iterator[Pillow.Image]:
    """Yield some pictures of a folder tree."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    for index in rng.permutation(len(files))[:count]:
        yield read_square(files[index])


def cut_outs(folder: Path, count: int, rng: np.random.Generator) -> list[tuple[Pillow.Image, Pillow.Image]]:
    """Return pictures of objects on white, with their masks."""
    chosen = []
    for picture in sample_pictures(folder, 10**6, rng):
        darkest = np.asarray(picture).min(axis=2)
        border = np.concatenate((darkest[:4].ravel(), darkest[-4:].ravel(), darkest[:, :4].ravel()))
        mask = darkest < 232
        if border.mean() >= 245 and 0.15 < mask.mean() < 0.65:
            chosen.append((picture, Pillow.fromarray((mask * 255).astype(np.uint8))))
        if len(chosen) == count:
            return chosen
    raise SystemExit(f"{folder} has fewer than {count} pictures of objects on white")


def make_set(args: argparse.Namespace, embedder: TfliteEmbedder, seed: int) -> list[View]:
    """Compose the views of a set and embed them."""
    rng = np.random.default_rng(seed)
    objects = cut_outs(args.objects, OBJECTS, rng)
    views = []
    for session, place in enumerate(sample_pictures(args.places, SESSIONS, rng)):
        light = rng.uniform(0.65, 1.35) * rng.uniform(0.9, 1.1, 3)
        size = rng.uniform(0.65, 0.95)
        for number, (picture, mask) in enumerate(objects):
            for _ in range(VIEWS):
                image = compose(picture, mask, place, size, light, rng)
                views.append(View(session, number, image, embedder.embed(image)))
    return views


def compose(
    picture: Pillow.Image,
    mask: Pillow.Image,
    place: Pillow.Image,
    size: float,
    light: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    rng: np.random.Generator,
) -> Image:
    """Paste an object on a place, slightly moved, turned and scaled."""
    side, angle = round(SIDE * size * rng.uniform(0.9, 1.1)), float(rng.uniform(-15, 15))
    corner = (SIDE - side) / 2 + rng.uniform(-0.08, 0.08, 2) * SIDE
    scene = place.copy()
    turned = (each.resize((side, side)).rotate(angle, Pillow.Resampling.BILINEAR) for each in (picture, mask))
    scene.paste(next(turned), (int(corner[0]), int(corner[1])), next(turned))
    noisy = np.asarray(scene) * light * rng.uniform(0.95, 1.05) + rng.normal(0, 3, (SIDE, SIDE, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def teach(taught: Sequence[View], design: Design | None, embedder: TfliteEmbedder) -> OpenSetClassifier:
    """Train a classifier, with the copies of a design."""
    classifier = make_classifier()
    for number, view in enumerate(taught):
        classifier.add(view.vector, f"c{view.object}", number)
    if design is not None:
        for example_id in tuple(classifier.missing_copies):
            classifier.add_copies(example_id, embed_copies(taught[example_id], design.copies, embedder))
    return classifier


@cache
def embed_copies(view: View, augmentation: Augmentation, embedder: TfliteEmbedder) -> Sequence[Vector]:
    """Embed the copies of a view."""
    rng = np.random.default_rng(0)
    return [embedder.embed(augmented_copy(view.picture, rng, augmentation)) for _ in range(COPIES)]


def measure(
    views: Sequence[View], far: Sequence[Vector], design: Design | None, embedder: TfliteEmbedder
) -> Mapping[str, float]:
    """Return the shares of one set and one design."""
    results: dict[str, list[bool]] = {}
    for session in range(SESSIONS):
        for held_out in HELD_OUT:
            order = np.random.default_rng(session).permutation(len(views))
            own = [views[i] for i in order if views[i].session == session and views[i].object != held_out]
            taught = [
                view for n in range(OBJECTS) for view in [each for each in own if each.object == n][:TAUGHT]
            ]
            classifier = teach(taught, design, embedder)
            for view in set(views) - set(taught):
                prediction = classifier.predict(view.vector)
                unknown, where = prediction.label == UNKNOWN, "same" if view.session == session else "other"
                if view.object == held_out:
                    results.setdefault(f"{where}: held-out unknown", []).append(unknown)
                    continue
                results.setdefault(f"{where}: named", []).append(prediction.label == f"c{view.object}")
            unknown_far = [classifier.predict(vector).label == UNKNOWN for vector in far]
            results.setdefault("far unknown", []).extend(unknown_far)
    return {name: float(np.mean(values)) for name, values in sorted(results.items())}


def patched(design: Design | None) -> mock._patch[object]:
    """Return a context in which the daemon uses a design."""
    chosen = design or Design(STRONG, 0.25, 5)
    return mock.patch.multiple(
        other_sessions,
        COPIES_QUANTILE=chosen.quantile,
        SAME_SESSION_SD=chosen.distance,
        HELD_OUT_QUANTILE=chosen.floor,
    )


def main() -> None:
    """Print a row for each design; the values of the sets are separated by slashes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=find_model)
    for name in ("objects", "places", "far"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--sets", type=int, default=3)
    args = parser.parse_args()
    embedder = TfliteEmbedder(args.model)
    far = [embedder.embed(np.asarray(p)) for p in sample_pictures(args.far, 200, np.random.default_rng(7))]
    sets = [make_set(args, embedder, seed) for seed in range(1, args.sets + 1)]
    for name, design in DESIGNS.items():
        with patched(design):
            rows = [measure(views, far, design, embedder) for views in sets]
        if design is None:
            print(f"| lower threshold | {' | '.join(rows[0])} |\n|{'---|' * (len(rows[0]) + 1)}")
        cells = (" / ".join(f"{100 * row[column]:.0f}" for row in rows) for column in rows[0])
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
