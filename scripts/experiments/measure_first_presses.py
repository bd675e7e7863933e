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
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image as Pillow

from edge_daemon.domain.types import UNKNOWN
from edge_daemon.imaging.image_files import find_images
from edge_daemon.imaging.image_io import read_image
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier
from edge_daemon.tflite.embedder import TfliteEmbedder

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Vector

SIDE = 480
THINGS_A_CLASS = 8
SHOTS = 14
ASKED = 4
STRANGERS = 8

ROWS: tuple[tuple[str, ...], ...] = (
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
"""How often the things of each class are pressed."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Embeddings of shots of one thing."""

    folder: int
    still: Sequence[Vector]
    moved: Sequence[Vector]

    def shots(self, how: str) -> Sequence[Vector]:
        """Return those of one kind, `still` or `moved`."""
        return self.still if how == "still" else self.moved


def shoot(picture: Pillow.Image, rng: np.random.Generator, amount: float) -> npt.NDArray[np.uint8]:
    """Take a picture of a picture, moved by a share of what a thing in a hand moves."""
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


def read_things(folder: Path, embedder: TfliteEmbedder) -> list[Thing]:
    """Shoot some pictures of each folder."""
    rng = np.random.default_rng(0)
    things = []
    for number, place in enumerate(sorted(each for each in folder.iterdir() if each.is_dir())):
        files = find_images(place).images
        for index in rng.permutation(len(files))[:THINGS_A_CLASS]:
            picture = Pillow.fromarray(read_image(files[index]))
            scale = SIDE / min(picture.size)
            picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
            still = [embedder.embed(shoot(picture, rng, 1 / 30)) for _ in range(SHOTS)]
            moved = [embedder.embed(shoot(picture, rng, 1)) for _ in range(SHOTS)]
            things.append(Thing(number, still, moved))
    return things


def teach(things: Sequence[Thing], presses: Sequence[str], rng: np.random.Generator) -> OpenSetClassifier:
    """Press as a row of the table says; the last shots of each thing are kept to be asked."""
    learner = make_classifier("auto")
    for name, (thing, told) in enumerate(zip(things, presses, strict=True)):
        count, how = told.split()
        for index in rng.permutation(SHOTS - ASKED)[: int(count)]:
            learner.add(thing.shots(how)[index], f"c{name}", 100 * name + int(index))
    return learner


def refused(learner: OpenSetClassifier, vectors: Sequence[Vector]) -> float:
    """Return the share that is called unknown."""
    return float(np.mean([learner.predict(vector).label == UNKNOWN for vector in vectors]))


def measure(things: Sequence[Thing], presses: Sequence[str], draws: int) -> npt.NDArray[np.float64]:
    """Return the shares unknown: of still shots, moved ones, moved ones of the youngest class, strangers."""
    rng = np.random.default_rng(5)
    folders = sorted({thing.folder for thing in things})
    shares = []
    for _ in range(draws):
        chosen = rng.permutation(folders)[: len(presses)]
        taught = [_any([each for each in things if each.folder == folder], rng) for folder in chosen]
        learner = teach(taught, presses, rng)
        others = [each for each in things if each.folder not in chosen]
        strangers = [_any(others, rng).moved[0] for _ in range(STRANGERS)]
        youngest = taught[presses.index(min(presses, key=lambda told: int(told.split()[0])))]
        shares.append(
            (
                refused(learner, [shot for thing in taught for shot in thing.still[-ASKED:]]),
                refused(learner, [shot for thing in taught for shot in thing.moved[-ASKED:]]),
                refused(learner, youngest.moved[-ASKED:]),
                refused(learner, strangers),
            )
        )
    means: npt.NDArray[np.float64] = np.mean(shares, axis=0)
    return means


def _any(things: Sequence[Thing], rng: np.random.Generator) -> Thing:
    return things[int(rng.integers(len(things)))]


def main() -> None:
    """Measure every row of the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=40)
    args = parser.parse_args()
    things = read_things(args.folder, TfliteEmbedder(args.model))
    print("| pressed | unknown: as taught | moved | moved, of the class least taught | strangers |")
    print("|---|---|---|---|---|")
    for presses in ROWS:
        shares = [f"{share:.0%}" for share in measure(things, presses, args.draws)]
        print(f"| {', '.join(presses)} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
