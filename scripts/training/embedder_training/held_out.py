"""Few-shot accuracy on held-out classes: clean, in other light and on another background."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .augment import change_ground, change_light, window
from .measure import Floats, Ints, few_shot
from .photos import PhotoSet

#: Every n-th class of these sources (in sorted order) is kept out of the training.
EVERY = {"tiny64": 13, "caltech101_77": 5, "dtd10": 5}
SHOTS = 8

Embed = Callable[[Tensor], Tensor]


def held_out_classes(sets: list[PhotoSet]) -> dict[str, frozenset[str]]:
    """Return the classes that training never sees, by set."""
    names = {photos.name: sorted(set(photos.names)) for photos in sets}
    found = {"tiny64": names["tiny64"][5 :: EVERY["tiny64"]], "photos128": []}
    for source in ("caltech101_77", "dtd10"):
        classes = [name for name in names["photos128"] if name.startswith(f"{source}/")]
        found["photos128"] += classes[3 :: EVERY[source]]
    return {name: frozenset(classes) for name, classes in found.items()}


class HeldOut:
    """Held-out photos of one set, whole (N x 3 x S x S in 0..1), with their classes."""

    def __init__(self, photos: PhotoSet, classes: frozenset[str], per_class: int = 40) -> None:
        names = np.array(photos.names)
        rows = np.concatenate([np.flatnonzero(names == name)[:per_class] for name in sorted(classes)])
        self.name = photos.name
        self.labels: Ints = np.unique(names[rows], return_inverse=True)[1].astype(np.int64)
        self._pixels = torch.from_numpy(photos.pixels[rows]).permute(0, 3, 1, 2)

    def _views(self, size: int) -> dict[str, Tensor]:
        """Return the photos clean, in other light and, the border replaced, on other photos."""
        rng = np.random.default_rng(0)
        clean = F.interpolate(self._pixels.float() / 255, size=(size, size), mode="bilinear")
        grounds = clean[torch.from_numpy(rng.permutation(len(clean)))]
        on_ground = change_ground(clean, window(size, len(clean), rng), grounds)
        return {"clean": clean, "light": change_light(clean, rng), "ground": on_ground}

    def figures(self, embed: Embed, size: int) -> dict[str, dict[str, float]]:
        """Return per cent correct by view and classifier: trained on clean photos, tested in each view."""
        rows = {view: embed_all(embed, images) for view, images in self._views(size).items()}
        return {
            view: {
                head: by_shots[str(SHOTS)]
                for head, by_shots in few_shot(
                    rows["clean"], self.labels, ("knn", "linear"), (SHOTS,), queries=asked
                ).items()
            }
            for view, asked in rows.items()
        }


def embed_all(embed: Embed, images: Tensor) -> Floats:
    with torch.no_grad():
        return np.concatenate([embed(part).numpy() for part in images.split(64)])
