"""Measure false rejections and acceptances with few examples per class, of static and of moving objects.

    .venv/bin/python scripts/experiments/measure_first_presses.py MODEL.tflite FOLDER [--draws 40]

FOLDER holds one folder of pictures per class; each picture is one object. Views of a moving object differ by
at most 12 degrees, 6 % of the position, and 15 % of size and brightness; views of a static object differ by
a thirtieth of that, and by noise of 3 levels. Each draw takes one object per class of a row of the table,
teaches the row's number of views, and tests other views, then objects of other folders.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image as Pillow

from edge_daemon.domain.types import UNKNOWN
from edge_daemon.imaging.augment import augmented_copy
from edge_daemon.imaging.image_files import find_images
from edge_daemon.imaging.image_io import THUMBNAIL_PX, encode_jpeg, read_image
from edge_daemon.learning.open_set.augmented_copies import COPIES
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Vector

SIDE = 480
OBJECTS_PER_CLASS = 8
VIEWS = 14
TEST_VIEWS = 4
UNKNOWN_OBJECTS = 8

ROWS: tuple[tuple[str, ...], ...] = (
    ("1 still",),
    ("3 still",),
    ("1 still", "1 still"),
    ("3 still", "3 still"),
    ("1 still", "3 still"),
    ("3 still",) * 4,
    ("1 still", "8 moved"),
    ("3 moved", "3 moved"),
    ("8 still", "3 moved"),
    ("10 moved",) * 3 + ("1 still",),
    ("10 moved",) * 4,
)
"""Number and kind of the training views of each class."""


class View:
    """The embedding of one view, and those of its augmented copies, made from its thumbnail on first use."""

    def __init__(self, image: npt.NDArray[np.uint8], embedder: TfliteEmbedder) -> None:
        self.vector = embedder.embed(image)
        self._thumbnail = encode_jpeg(image, THUMBNAIL_PX)
        self._embedder = embedder

    @cached_property
    def copies(self) -> Sequence[Vector]:
        """The embeddings of the augmented copies."""
        rng, image = np.random.default_rng(0), read_image(self._thumbnail)
        return [self._embedder.embed(augmented_copy(image, rng)) for _ in range(COPIES)]


@dataclass(frozen=True, slots=True)
class PhotographedObject:
    """Views of one object."""

    folder: int
    still: Sequence[View]
    moved: Sequence[View]

    def views(self, kind: str) -> Sequence[View]:
        """Return the views of a kind, `still` or `moved`."""
        return self.still if kind == "still" else self.moved


def render_view(picture: Pillow.Image, rng: np.random.Generator, amount: float) -> npt.NDArray[np.uint8]:
    """Return a view of a picture, displaced by `amount` times the movement of a hand-held object."""
    angle = float(rng.uniform(-12, 12)) * amount
    shift = rng.uniform(-0.06, 0.06, 2) * SIDE * amount
    side = SIDE * float(rng.uniform(1 - 0.15 * amount, 1))
    border = np.asarray(picture)[:8].reshape(-1, 3).mean(axis=0).astype(int).tolist()
    turned = picture.rotate(angle, Pillow.Resampling.BILINEAR, fillcolor=tuple(border))
    left, top = (turned.width - side) / 2 + shift[0], (turned.height - side) / 2 + shift[1]
    left, top = max(0.0, min(left, turned.width - side)), max(0.0, min(top, turned.height - side))
    seen = turned.resize((SIDE, SIDE), Pillow.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    light = float(rng.uniform(1 - 0.15 * amount, 1 + 0.15 * amount))
    noisy = np.asarray(seen, np.float32) * light + rng.normal(0, 3, (SIDE, SIDE, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def read_objects(folder: Path, embedder: TfliteEmbedder) -> list[PhotographedObject]:
    """Embed views of some pictures of each folder."""
    rng = np.random.default_rng(0)
    objects = []
    for number, place in enumerate(sorted(each for each in folder.iterdir() if each.is_dir())):
        files = find_images(place).images
        for index in rng.permutation(len(files))[:OBJECTS_PER_CLASS]:
            picture = Pillow.fromarray(read_image(files[index]))
            scale = SIDE / min(picture.size)
            picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
            still = [View(render_view(picture, rng, 1 / 30), embedder) for _ in range(VIEWS)]
            moved = [View(render_view(picture, rng, 1), embedder) for _ in range(VIEWS)]
            objects.append(PhotographedObject(number, still, moved))
    return objects


def teach(
    objects: Sequence[PhotographedObject], presses: Sequence[str], rng: np.random.Generator
) -> OpenSetClassifier:
    """Train with the views of a row of the table; the last views of each object are the test set."""
    classifier = make_classifier("auto")
    views_by_id: dict[int, View] = {}
    for name, (each, plan) in enumerate(zip(objects, presses, strict=True)):
        count, kind = plan.split()
        for index in rng.permutation(VIEWS - TEST_VIEWS)[: int(count)]:
            view = views_by_id[100 * name + int(index)] = each.views(kind)[index]
            classifier.add(view.vector, f"c{name}", 100 * name + int(index))
    for example_id in tuple(classifier.missing_copies):
        classifier.add_copies(example_id, views_by_id[example_id].copies)
    return classifier


def rejection_rate(classifier: OpenSetClassifier, views: Sequence[View]) -> float:
    """Return the share classified as unknown."""
    return float(np.mean([classifier.predict(view.vector).label == UNKNOWN for view in views]))


def measure(
    objects: Sequence[PhotographedObject], presses: Sequence[str], draws: int
) -> npt.NDArray[np.float64]:
    """Return rejection rates: still, moved, moved of the class with fewest views, unknown objects."""
    rng = np.random.default_rng(5)
    folders = sorted({each.folder for each in objects})
    shares = []
    for _ in range(draws):
        chosen = rng.permutation(folders)[: len(presses)]
        trained = [_any([each for each in objects if each.folder == folder], rng) for folder in chosen]
        classifier = teach(trained, presses, rng)
        others = [each for each in objects if each.folder not in chosen]
        unknown = [_any(others, rng).moved[0] for _ in range(UNKNOWN_OBJECTS)]
        smallest = trained[presses.index(min(presses, key=lambda views: int(views.split()[0])))]
        shares.append(
            (
                rejection_rate(classifier, [view for each in trained for view in each.still[-TEST_VIEWS:]]),
                rejection_rate(classifier, [view for each in trained for view in each.moved[-TEST_VIEWS:]]),
                rejection_rate(classifier, smallest.moved[-TEST_VIEWS:]),
                rejection_rate(classifier, unknown),
            )
        )
    means: npt.NDArray[np.float64] = np.mean(shares, axis=0)
    return means


def _any(objects: Sequence[PhotographedObject], rng: np.random.Generator) -> PhotographedObject:
    return objects[int(rng.integers(len(objects)))]


def main() -> None:
    """Measure every row of the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=find_model)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=40)
    args = parser.parse_args()
    objects = read_objects(args.folder, TfliteEmbedder(args.model))
    print(
        "| views | rejected: as trained | moved | moved, of the class with fewest views | unknown objects |"
    )
    print("|---|---|---|---|---|")
    for presses in ROWS:
        shares = [f"{share:.0%}" for share in measure(objects, presses, args.draws)]
        print(f"| {', '.join(presses)} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
