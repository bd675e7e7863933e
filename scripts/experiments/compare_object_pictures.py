"""Compare pictures of an object for the embedder: objects taught in one place, asked in all others.

    .venv/bin/python scripts/experiments/compare_object_pictures.py MODEL.tflite SET...

SET is a session set with `_scene` frames, as `compose_sessions.py` writes. Ten frames of each class of one
session are taught. The columns are the shares of the nearest examples and of the nearest class means that are
right, in per cent: in the session that taught, in others, and in others with each class taught in another
session. Models whose embedding is the mean of a feature map, or a dense layer after it, are pooled under the
mask as well.
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
from typing import TYPE_CHECKING, Any, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageFilter

from edge_daemon.imaging.image_io import read_image
from edge_daemon.imaging.object_mask import NEUTRAL, ObjectView, find_object, object_picture
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


def daemons(image: Image, view: ObjectView, reference: SceneReference) -> Image:
    """Return the daemon's picture: the rest in the object's mean colour."""
    return object_picture(image, view, SIDE)


def grey(image: Image, view: ObjectView, reference: SceneReference) -> Image:
    """Return the object, the rest grey."""
    return object_picture(image, view, SIDE, ground=NEUTRAL)


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
    return object_picture(white, view, SIDE, ground=(0, 0, 0)) / 255


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
    "ground of the object's mean colour (the daemon's)": daemons,
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


class MaskedPool:
    """Averages the last feature map over its cells, each weighted by the share of the object in it.

    A dense layer that follows, as in the shipped model, is applied to the average. Edges are left out.
    """

    def __init__(self, model: Path, size: int) -> None:
        """Raises LookupError if neither is found for an embedding of `size` numbers."""
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(model), num_threads=1, experimental_preserve_all_tensors=True)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        tensors = self._interpreter.get_tensor_details()
        maps = {
            int(each["shape"][3]): each
            for each in tensors
            if len(each["shape"]) == 4 and each["shape"][0] == 1 and each["shape"][1] > 2
        }
        self._dense: tuple[Matrix, Matrix] | None = None
        if size in maps:
            self._map = maps[size]
            return
        for weights in tensors:
            outputs, inputs = weights["shape"] if len(weights["shape"]) == 2 else (0, 0)
            if size / 2 < outputs < size and inputs in maps:
                (bias,) = (each for each in tensors if list(each["shape"]) == [outputs])
                self._map, self._dense = maps[int(inputs)], (self._read(weights), self._read(bias))
                return
        raise LookupError(f"{model.name}: no feature map has {size} channels")

    def _read(self, tensor: Mapping[str, Any]) -> Matrix:
        """Return the values of a tensor as numbers."""
        how = tensor["quantization_parameters"]
        raw = self._interpreter.get_tensor(tensor["index"]).astype(np.float32)
        scales, zeros = (np.asarray(how[key], np.float32) for key in ("scales", "zero_points"))
        if raw.ndim == 2 and len(scales) == len(raw):
            scales, zeros = scales[:, None], zeros[:, None]
        values: Matrix = (raw - zeros) * scales
        return values

    def embed(self, picture: Image, mask: Image) -> Vector:
        """Return the embedding at unit length of the part that `mask` (rows x columns, 0 to 255) shows."""
        _, height, width, _ = self._input["shape"]
        small = np.asarray(Pillow.fromarray(picture).resize((width, height), Pillow.Resampling.BILINEAR))
        self._interpreter.set_tensor(self._input["index"], small[None])
        self._interpreter.invoke()
        cells = self._read(self._map)[0]
        rows, columns = cells.shape[:2]
        shares = np.asarray(Pillow.fromarray(mask).resize((columns, rows), Pillow.Resampling.BOX))
        weights = shares[..., None] / 255 + 1e-3
        pooled = (cells * weights).sum(axis=(0, 1)) / weights.sum()
        if self._dense is not None:
            pooled = self._dense[0] @ pooled + self._dense[1]
        unit: Vector = (pooled / np.linalg.norm(pooled)).astype(np.float32)
        return unit


Pooled = Callable[[MaskedPool, "Image", ObjectView, SceneReference], "Vector"]


def pool_region(pool: MaskedPool, image: Image, view: ObjectView, reference: SceneReference) -> Vector:
    """Return the embedding of the whole region, pooled under the mask."""
    assert view.mask is not None
    return pool.embed(image, view.mask)


def pool_box(pool: MaskedPool, image: Image, view: ObjectView, reference: SceneReference) -> Vector:
    """Return the embedding of the box with its surroundings, pooled under the mask."""
    return pool.embed(box_only(image, view, reference), _box_mask(image, view))


def pool_daemons(pool: MaskedPool, image: Image, view: ObjectView, reference: SceneReference) -> Vector:
    """Return the embedding of the daemon's picture, pooled under the mask."""
    return pool.embed(object_picture(image, view, SIDE), _box_mask(image, view))


def _box_mask(image: Image, view: ObjectView) -> Image:
    mask: Image = (_alpha(image, view)[..., 0] * 255).clip(0, 255).astype(np.uint8)
    return mask


POOLED: Mapping[str, Pooled] = {
    "whole region, pooled under the mask": pool_region,
    "the box with its surroundings, pooled under the mask": pool_box,
    "the daemon's, pooled under the mask": pool_daemons,
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
    try:
        pool = MaskedPool(find_model(args.model), embedder.size)
    except LookupError as error:
        pool = None
        print(f"not pooled under the mask: {error}", file=sys.stderr)
    print("| set | picture | same session | others | others, each class in its own |\n|---|---|---|---|---|")
    for root in args.sets:
        found = list(views(root))
        for name, picture in DESIGNS.items():
            rows = [
                Row(session, label, shot, embedder.embed(picture(image, view, reference)))
                for session, label, shot, image, view, reference in found
            ]
            print(f"| {root.name} | {name} | {' | '.join(measure(rows))} |", flush=True)
        if pool is not None:
            for name, embed in POOLED.items():
                rows = [
                    Row(session, label, shot, embed(pool, image, view, reference))
                    for session, label, shot, image, view, reference in found
                ]
                print(f"| {root.name} | {name} | {' | '.join(measure(rows))} |", flush=True)
        rows = [
            Row(session, label, shot, subtract_scene(embedder, image, reference))
            for session, label, shot, image, _, reference in found
        ]
        print(f"| {root.name} | whole region less half its scene | {' | '.join(measure(rows))} |", flush=True)


if __name__ == "__main__":
    main()
