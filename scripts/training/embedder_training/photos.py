"""Unpack the training photos once and choose their views.

Training photos lie in tar files of `<class>/<number>.jpg` or `<source>/<class>/<number>.jpg`. Their centre
squares become one uint8 array a set on disk, read through a memory map, so that processes share them.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Ints = NDArray[np.int64]
Boxes = NDArray[np.float32]

#: Side of the stored photos and number of teacher views a photo, by set: the sharp ones are few.
SIDES = {"tiny64": 64, "nette112": 112, "photos128": 128}
VIEWS = {"tiny64": 1, "nette112": 3, "photos128": 5}
SETS = tuple(SIDES)

#: The folder of photos without a class.
NO_CLASS = "none"


@dataclass(frozen=True)
class PhotoSet:
    """Photos of one size: `pixels` uint8 N x S x S x 3 (RGB), a class name and a teacher view box each.

    A class name is an ImageNet identifier (`n01440764`) or `<source>/<class>`; `boxes` is float32 N x V x 4,
    x0, y0, x1, y1 in 0..1.
    """

    name: str
    pixels: Pixels
    names: tuple[str, ...]
    boxes: Boxes

    def rows_of(self, classes: frozenset[str]) -> NDArray[np.bool_]:
        """Mark the photos whose class is one of `classes`."""
        return np.array([name in classes for name in self.names])


def unpack(data: Path, cache: Path, name: str) -> PhotoSet:
    """Return the photos of `<data>/train/<name>-*.tar`, unpacked into `cache` on the first call."""
    pixels_file, index_file = cache / f"{name}.pixels.npy", cache / f"{name}.index.json"
    if not index_file.exists():
        photos, names = _read_tars(sorted((data / "train").glob(f"{name}-*.tar")), SIDES[name])
        np.save(pixels_file, np.stack(photos))
        index_file.write_text(json.dumps(names))
    names = json.loads(index_file.read_text())
    boxes = view_boxes(len(names), VIEWS[name], seed=1 + SETS.index(name))
    return PhotoSet(name, np.load(pixels_file, mmap_mode="r"), tuple(names), boxes)


def _read_tars(tars: list[Path], side: int) -> tuple[list[Pixels], list[str]]:
    if not tars:
        raise FileNotFoundError("no training photos: point --data at the folder that holds train/*.tar")
    photos, names = [], []
    for name, content in (photo for tar in tars for photo in _read_tar(tar)):
        photos.append(square(Image.open(io.BytesIO(content)).convert("RGB"), side))
        names.append(class_name(name))
    return photos, names


def _read_tar(tar: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(tar) as archive:
        for member in archive:
            if (handle := archive.extractfile(member)) is not None:
                yield member.name, handle.read()


def class_name(member: str) -> str:
    """Return the class of a tar member: an ImageNet identifier is one class in all sources."""
    folder, _, label = member.rpartition("/")[0].rpartition("/")
    return label if not folder or label.startswith("n0") or label.startswith("n1") else f"{folder}/{label}"


def square(image: Image.Image, side: int) -> Pixels:
    """Return the centre square of an image, resized to `side` x `side` (bilinear)."""
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    box = (left, top, left + short, top + short)
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=box))


def view_boxes(count: int, views: int, seed: int) -> Boxes:
    """Return the views of each photo as boxes x0, y0, x1, y1 in 0..1: the whole photo, then random crops."""
    rng, shape = np.random.default_rng(seed), (count, views - 1)
    area, aspect = rng.uniform(0.25, 0.8, shape), np.exp(rng.uniform(np.log(0.75), np.log(1.33), shape))
    width, height = np.minimum(np.sqrt(area * aspect), 1.0), np.minimum(np.sqrt(area / aspect), 1.0)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    crops = np.stack([left, top, left + width, top + height], axis=2)
    whole = np.broadcast_to(np.array([0.0, 0.0, 1.0, 1.0]), (count, 1, 4))
    return np.concatenate([whole, crops], axis=1).astype(np.float32)


def cut(photo: Pixels, box: NDArray[np.float32], size: int) -> Pixels:
    """Cut a box out of a photo and resize it to `size` x `size`."""
    side = photo.shape[0]
    edges = tuple(float(v) * side for v in box)
    image = Image.fromarray(photo).resize((size, size), Image.Resampling.BILINEAR, box=edges)
    return np.asarray(image)
