"""Training batches: crops and augmentation of whole batches of uint8 arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .augment import change_ground, change_session, uniform, window
from .cutouts import Cutouts
from .photos import Boxes, Ints, PhotoSet
from .targets import Targets

#: Share of the images that lose their surroundings, by whether the thing's outline is known.
OTHER_GROUND = {True: 0.7, False: 0.12}


@dataclass
class Source:
    """Photos to train on: `labels` int64 N (-1: no class), `share` of them a batch, `usable` bool N."""

    photos: PhotoSet
    targets: Targets
    labels: Ints
    usable: NDArray[np.bool_]
    share: int
    cutouts: Cutouts
    _pairs: Ints = field(init=False, default_factory=lambda: np.empty(0, np.int64))

    def refresh(self) -> None:
        """Read the targets written since the last call."""
        self.targets.refresh()
        self._pairs = np.flatnonzero(self.targets.known & self.usable[:, None])

    def sample(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `share` images (N x 3 x size x size in 0..1), masks, targets and labels."""
        rows, views = np.divmod(rng.choice(self._pairs, self.share), self.photos.boxes.shape[1])
        pixels = np.concatenate([self.photos.pixels[rows], self.cutouts.masks(rows)], axis=3)
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
        images = crop(images, jitter(self.photos.boxes[rows, views], rng), size, rng)
        targets = torch.from_numpy(self.targets.rows[rows, views].astype(np.float32))
        return images[:, :3], images[:, 3:], targets, torch.from_numpy(self.labels[rows])


def jitter(boxes: Boxes, rng: np.random.Generator) -> Boxes:
    """Shrink each box (x0, y0, x1, y1) to 88..100 % of its sides, somewhere inside itself."""
    low, high = boxes[:, :2], boxes[:, 2:]
    keep = rng.uniform(0.88, 1.0, low.shape)
    start = low + (high - low) * (1 - keep) * rng.uniform(0, 1, low.shape)
    return np.concatenate([start, start + (high - low) * keep], axis=1).astype(np.float32)


def crop(images: Tensor, boxes: Boxes, size: int, rng: np.random.Generator) -> Tensor:
    """Cut each box out of its image, mirror half of them, resize to `size` (bilinear)."""
    span, middle = boxes[:, 2:] - boxes[:, :2], boxes[:, 2:] + boxes[:, :2] - 1
    theta = np.zeros((len(boxes), 2, 3), np.float32)
    theta[:, 0, 0] = span[:, 0] * rng.choice([-1, 1], len(boxes))
    theta[:, 1, 1] = span[:, 1]
    theta[:, :, 2] = middle
    channels = images.shape[1]
    grid = F.affine_grid(torch.from_numpy(theta), [len(boxes), channels, size, size], align_corners=False)
    return F.grid_sample(images.contiguous(), grid, padding_mode="reflection", align_corners=False)


def other_ground(images: Tensor, masks: Tensor, rng: np.random.Generator) -> Tensor:
    """Put some images on other photos of the batch: by their mask where they have one, else by a window."""
    count = len(images)
    outlined = masks.amin((1, 2, 3)) < 0.5
    chance = torch.where(outlined, OTHER_GROUND[True], OTHER_GROUND[False])
    chosen = uniform(rng, 0, 1, count) < chance
    grounds = images[(torch.arange(count) + int(rng.integers(1, count)))[chosen] % count]
    kept = torch.where(
        outlined[chosen, None, None, None], masks[chosen], window(images.shape[2], len(grounds), rng)
    )
    images = images.clone()
    images[chosen] = change_ground(images[chosen], kept, grounds)
    return images


def batch(sources: list[Source], size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return images (channels last), teacher targets and labels of one batch over all sources."""
    parts = [source.sample(rng, size) for source in sources]
    images, masks, targets, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    images = change_session(other_ground(images, masks, rng), rng)
    return images.contiguous(memory_format=torch.channels_last), targets, labels
