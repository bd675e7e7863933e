"""Unpack the training photos once and read the measuring sets.

Training photos lie in tar files of `<class>/<number>.jpg`, every file of one tar in one size. They become
one uint8 array a size on disk, read through a memory map, so that two processes share them.
"""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

#: Every n-th class (in sorted order) is kept out of the training, to weigh the parts of the embedding on.
HELD_OUT_EVERY = 13

#: The teacher sees every photo whole and in this many crops less one.
VIEWS = 6


@dataclass(frozen=True)
class PhotoSet:
    """Photos of one size: `pixels` uint8 N x S x S x 3 (RGB), `labels` int64 N into `classes`."""

    name: str
    pixels: Pixels
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Mark the photos of the classes that training never sees."""
        outside = np.array(
            [self.name == "tiny64" and i % HELD_OUT_EVERY == 5 for i in range(len(self.classes))]
        )
        return outside[self.labels]


def unpack(data: Path, cache: Path, name: str) -> PhotoSet:
    """Return the photos of `<data>/train/<name>-*.tar`, unpacked into `cache` on the first call."""
    pixels_file, index_file = cache / f"{name}.pixels.npy", cache / f"{name}.index.json"
    if not index_file.exists():
        photos, names = _read_tars(sorted((data / "train").glob(f"{name}-*.tar")))
        np.save(pixels_file, np.stack(photos))
        index_file.write_text(json.dumps(names))
    names = json.loads(index_file.read_text())
    classes = tuple(sorted(set(names)))
    labels = np.array([classes.index(n) for n in names], dtype=np.int64)
    return PhotoSet(name, np.load(pixels_file, mmap_mode="r"), labels, classes)


def _read_tars(tars: list[Path]) -> tuple[list[Pixels], list[str]]:
    if not tars:
        raise FileNotFoundError("no training photos: point --data at the folder that holds train/*.tar")
    photos, names = [], []
    for tar in tars:
        with tarfile.open(tar) as archive:
            for member in archive:
                handle = archive.extractfile(member)
                if handle is not None:
                    photos.append(np.asarray(Image.open(io.BytesIO(handle.read())).convert("RGB")))
                    names.append(member.name.split("/")[0])
    return photos, names


def view_boxes(count: int, seed: int) -> NDArray[np.float32]:
    """Return `VIEWS` views a photo as boxes x0, y0, x1, y1 in 0..1: the whole photo, then random crops."""
    rng, shape = np.random.default_rng(seed), (count, VIEWS - 1)
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


def measuring_set(folder: Path, size: int) -> tuple[Pixels, NDArray[np.int64]]:
    """Read `<folder>/<class>/*.jpg`: centre square, bilinear resize to `size`. For measuring only."""
    photos, labels = [], []
    for index, label in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        for file in sorted(label.glob("*.jpg")):
            image = Image.open(file).convert("RGB")
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            square = image.crop((left, top, left + side, top + side))
            photos.append(np.asarray(square.resize((size, size), Image.Resampling.BILINEAR)))
            labels.append(index)
    return np.stack(photos), np.array(labels, dtype=np.int64)
