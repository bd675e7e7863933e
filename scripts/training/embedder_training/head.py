"""The deployed head: the pooled features, whitened by what changes within a class and between views.

It is fitted in one step, and is one dense layer on the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .augment import change_ground, change_light, degrade, window
from .batches import Source
from .network import Student
from .photos import Ints
from .whitening import Doubles, class_whitening

#: Length of the deployed head's vector.
SIZE = 320

#: Photos of each set that the whitening is fitted on.
PHOTOS = {"photos128": 6400, "nette112": 1536, "tiny64": 2560}


def fit_head(student: Student, sources: list[Source], size: int) -> None:
    """Replace the projecting layer of a finished trunk, for pictures of `size` pixels."""
    rng = np.random.default_rng(5)
    clean, light, ground, labels = (
        np.concatenate(column)
        for column in zip(*(part for s in sources for part in _features(student, s, size, rng)), strict=True)
    )
    mean, matrix = class_whitening(clean, labels, (light, ground), SIZE)
    student.project = nn.Linear(*matrix.shape)
    with torch.no_grad():
        student.project.weight.copy_(torch.from_numpy(matrix.T))
        student.project.bias.copy_(torch.from_numpy(-mean @ matrix))


def _features(
    student: Student, source: Source, size: int, rng: np.random.Generator
) -> Iterator[tuple[Doubles, Doubles, Doubles, Ints]]:
    """Yield the pooled features of whole photos as they are, in other light and on other ground; labels."""
    photos = np.flatnonzero(source.usable)
    chosen = rng.permutation(photos)[: PHOTOS[source.photos.name]]
    for rows in np.array_split(chosen, max(1, len(chosen) // 64)):
        pixels = torch.from_numpy(source.photos.pixels[rows]).permute(0, 3, 1, 2).float().div_(255)
        images = F.interpolate(pixels, size=(size, size), mode="bilinear")
        grounds = images[torch.from_numpy(rng.permutation(len(images)))]
        views = (
            images,
            degrade(change_light(images, rng), rng),
            change_ground(images, window(size, len(images), rng), grounds),
        )
        clean, light, ground = (_pool(student, view) for view in views)
        yield clean, light, ground, source.labels[rows]


def _pool(student: Student, images: Tensor) -> Doubles:
    with torch.no_grad():
        pooled: Doubles = student.trunk(images).double().numpy()
    return pooled
