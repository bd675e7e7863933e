"""Compare pictures of an object for the embedder: objects taught in one place, asked in all others.

    .venv/bin/python scripts/experiments/compare_object_pictures.py MODEL.tflite SET...

SET is a session set with `_scene` frames, as `compose_sessions.py` writes. Ten frames of each class of one
session are taught. The columns are the shares of the nearest examples and of the nearest class means that are
right, in per cent: in the session that taught, in others, and in others with each class taught in another
session. Models whose embedding is the mean of a feature map, or a dense layer after it, are pooled under the
mask as well: the feature map is averaged over the object's cells.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageFilter

from edge_daemon.imaging.image_io import read_image
from edge_daemon.imaging.object_mask import ObjectView, find_object
from edge_daemon.imaging.object_picture import NEUTRAL, object_part, object_picture
from edge_daemon.imaging.scene_reference import SceneReference
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

SHOTS = 10
SCENE_FRAMES = 12
SIDE = 224

Picture = Callable[["Image", ObjectView, SceneReference], "Image"]
Matrix: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Row:
    """A frame of a session."""

    session: int
    label: str
    shot: int
    vector: Vector


def whole(image: Image, view: ObjectView, reference: SceneReference) -> Image:
    """Return the whole region."""
    return image


def box_only(image: Image, view: ObjectView, reference: SceneReference) -> Image:
    """Return the square around the object with its surroundings."""
    assert view.mask is not None
    full = ObjectView("object", np.full_like(view.mask, 255), view.box)
    return object_picture(image, full, SIDE)


def mean_colour(image: Image, view: ObjectView, reference: SceneReference) -> Image:
    """Return the object, the rest in its mean colour: the daemon's picture for other models."""
    return object_picture(image, view, SIDE)


def grey(image: Image, view: ObjectView, reference: SceneReference) -> Image:
    """Return the object, the rest grey."""
    return object_picture(image, view, SIDE, background=NEUTRAL)


def sharp(image: Image, view: ObjectView, reference: SceneReference) -> Image:
    """Return the object with a mask that is a cell smaller."""
    assert view.mask is not None
    tighter = ObjectView("object", np.maximum(view.mask, 128) * 2, view.box)  # 128 wraps to 0, 255 to 254
    return object_picture(image, tighter, SIDE)


def on(level: Callable[[Image, npt.NDArray[np.bool_]], npt.NDArray[np.float64]]) -> Picture:
    """Return a picture function with a ground of one colour, which depends on the object."""

    def picture(image: Image, view: ObjectView, reference: SceneReference) -> Image:
        soft = _alpha(image, view)
        part = box_only(image, view, reference).astype(np.float64)
        ground = level(part.astype(np.uint8), soft[..., 0] > 0.9)
        blended: Image = (part * soft + ground * (1 - soft)).clip(0, 255).astype(np.uint8)
        return blended

    return picture


def _alpha(image: Image, view: ObjectView) -> npt.NDArray[np.float64]:
    white = np.full_like(image, 255)
    return object_picture(white, view, SIDE, background=(0, 0, 0)) / 255


def blurred_scene(image: Image, view: ObjectView, reference: SceneReference) -> Image:
    """Return the object on the blurred scene."""
    soft = _alpha(image, view)
    height, width = image.shape[:2]
    scene = Pillow.fromarray(reference.picture).filter(ImageFilter.GaussianBlur(12)).resize((width, height))
    ground = box_only(np.asarray(scene), view, reference)
    part = box_only(image, view, reference)
    blended: Image = (part * soft + ground * (1 - soft)).astype(np.uint8)
    return blended


def lit(target: float, power: float) -> Picture:
    """Return a picture function that brings the object towards a mean brightness."""

    def picture(image: Image, view: ObjectView, reference: SceneReference) -> Image:
        soft = _alpha(image, view)
        part = box_only(image, view, reference).astype(np.float64)
        inside = soft[..., 0] > 0.9
        level = part[inside].mean() if inside.any() else target
        gain = (target / max(level, 8.0)) ** power
        blended: Image = (part * gain * soft + 128 * (1 - soft)).clip(0, 255).astype(np.uint8)
        return blended

    return picture


DESIGNS: Mapping[str, Picture] = {
    "whole region": whole,
    "the box with its surroundings": box_only,
    "ground of the object's mean colour": mean_colour,
    "the same, mask a cell smaller": sharp,
    "grey ground": grey,
    "black ground": on(lambda part, inside: np.zeros(3)),
    "white ground": on(lambda part, inside: np.full(3, 255.0)),
    "blurred scene": blurred_scene,
    "grey ground, brightness to 110": lit(110, 1.0),
    "grey ground, half way to 110": lit(110, 0.5),
}


def subtract_scene(embedder: TfliteEmbedder, image: Image, reference: SceneReference) -> Vector:
    """Return the embedding of the whole region less half of that of its empty scene, at unit length."""
    scene = Pillow.fromarray(reference.picture).resize((reference.width, reference.height))
    difference = embedder.embed(image) - embedder.embed(np.asarray(scene)) / 2
    unit: Vector = (difference / np.linalg.norm(difference)).astype(np.float32)
    return unit


Pooled = Callable[[TfliteEmbedder, "Image", ObjectView], "Vector"]


def pool_region(embedder: TfliteEmbedder, image: Image, view: ObjectView) -> Vector:
    """Return the embedding of the object as a part of the whole region."""
    assert view.mask is not None
    return embedder.embed_part(image, view.mask)


def pool_box(embedder: TfliteEmbedder, image: Image, view: ObjectView) -> Vector:
    """Return the daemon's embedding: of the object as a part of the box with its surroundings."""
    part = object_part(image, view, SIDE)
    return embedder.embed_part(part.pixels, part.shares)


def pool_alone(embedder: TfliteEmbedder, image: Image, view: ObjectView) -> Vector:
    """Return the embedding of the object as a part of its picture on its mean colour."""
    return embedder.embed_part(object_picture(image, view, SIDE), object_part(image, view, SIDE).shares)


POOLED: Mapping[str, Pooled] = {
    "whole region, pooled under the mask": pool_region,
    "the box with its surroundings, pooled under the mask (the daemon's)": pool_box,
    "ground of the object's mean colour, pooled under the mask": pool_alone,
}


def views(root: Path) -> Iterator[tuple[int, str, int, Image, ObjectView, SceneReference]]:
    """Yield the frames of a set with their views; untrusted ones are left out."""
    for number, session in enumerate(sorted(path for path in root.iterdir() if path.is_dir())):
        scene = [read_image(path) for path in sorted((session / "_scene").iterdir())]
        reference = SceneReference.from_frames(scene[:SCENE_FRAMES])
        for folder in sorted(session.iterdir()):
            for shot, path in enumerate(sorted(folder.iterdir()) if folder.name != "_scene" else ()):
                image = read_image(path)
                view = find_object(image, reference)
                if view.state == "object":
                    yield number, folder.name, shot, image, view, reference


def score(
    rows: Sequence[Row], taught: Callable[[Row], bool], asked: Callable[[Row], bool]
) -> tuple[float, float]:
    """Return how often the nearest example and the nearest class mean are right, in per cent."""
    examples = [row for row in rows if taught(row)]
    queries = [row for row in rows if asked(row)]
    matrix = np.stack([row.vector for row in examples])
    labels = sorted({row.label for row in examples})
    means = np.stack(
        [np.mean([row.vector for row in examples if row.label == each], axis=0) for each in labels]
    )
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    nearest = [examples[int((matrix @ row.vector).argmax())].label == row.label for row in queries]
    central = [labels[int((means @ row.vector).argmax())] == row.label for row in queries]
    return 100 * float(np.mean(nearest)), 100 * float(np.mean(central))


def is_taught(session: int, row: Row) -> bool:
    return row.session == session and row.shot < SHOTS


def is_later(session: int, row: Row) -> bool:
    return row.session == session and row.shot >= SHOTS


def is_elsewhere(session: int, row: Row) -> bool:
    return row.session != session


def measure(rows: Sequence[Row]) -> list[str]:
    """Return the cells of a design: nearest example / nearest mean."""
    sessions = sorted({row.session for row in rows})
    labels = sorted({row.label for row in rows})
    home = {label: sessions[number % len(sessions)] for number, label in enumerate(labels)}
    same, other = [], []
    for own in sessions:
        taught = partial(is_taught, own)
        same.append(score(rows, taught, partial(is_later, own)))
        other.append(score(rows, taught, partial(is_elsewhere, own)))
    each = score(
        rows,
        lambda row: row.session == home[row.label] and row.shot < SHOTS,
        lambda row: row.session != home[row.label],
    )
    return [f"{a:.0f} / {b:.0f}" for a, b in (np.mean(same, axis=0), np.mean(other, axis=0), each)]


def main() -> None:
    """Print a row for each design and set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("sets", type=Path, nargs="+")
    args = parser.parse_args()
    embedder = TfliteEmbedder(find_model(args.model))
    if not embedder.embeds_parts:
        print(f"{args.model}: not pooled under the mask", file=sys.stderr)
    print("| set | picture | same session | others | others, each class in its own |\n|---|---|---|---|---|")
    for root in args.sets:
        found = list(views(root))
        for name, picture in DESIGNS.items():
            rows = [
                Row(session, label, shot, embedder.embed(picture(image, view, reference)))
                for session, label, shot, image, view, reference in found
            ]
            print(f"| {root.name} | {name} | {' | '.join(measure(rows))} |", flush=True)
        for name, embed in POOLED.items() if embedder.embeds_parts else ():
            rows = [
                Row(session, label, shot, embed(embedder, image, view))
                for session, label, shot, image, view, _ in found
            ]
            print(f"| {root.name} | {name} | {' | '.join(measure(rows))} |", flush=True)
        rows = [
            Row(session, label, shot, subtract_scene(embedder, image, reference))
            for session, label, shot, image, _, reference in found
        ]
        print(f"| {root.name} | whole region less half its scene | {' | '.join(measure(rows))} |", flush=True)


if __name__ == "__main__":
    main()
