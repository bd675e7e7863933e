"""Make training batches fast: whole-batch crops, flips and mild colour changes on uint8 arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .photos import PhotoSet


@dataclass(frozen=True)
class Source:
    """Photos to train on with the teacher's word on each view: `targets` float16 N x V x D, unit length."""

    photos: PhotoSet
    boxes: NDArray[np.float32]
    targets: NDArray[np.float16]
    label_offset: int
    share: int

    def sample(
        self, rng: np.random.Generator, size: int, usable: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return `share` images (N x 3 x size x size in 0..1), their targets and their labels."""
        chosen = rng.choice(usable, self.share)
        view = rng.integers(0, self.boxes.shape[1], self.share)
        images = torch.from_numpy(self.photos.pixels[chosen]).permute(0, 3, 1, 2).float().div_(255)
        images = crop(images, jitter(self.boxes[chosen, view], rng), size, rng)
        targets = torch.from_numpy(self.targets[chosen, view].astype(np.float32))
        return images, targets, torch.from_numpy(self.photos.labels[chosen] + self.label_offset)


def jitter(boxes: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Shrink each box (x0, y0, x1, y1) to 85..100 % of its sides, somewhere inside itself."""
    low, high = boxes[:, :2], boxes[:, 2:]
    keep = rng.uniform(0.85, 1.0, low.shape)
    start = low + (high - low) * (1 - keep) * rng.uniform(0, 1, low.shape)
    return np.concatenate([start, start + (high - low) * keep], axis=1).astype(np.float32)


def crop(images: Tensor, boxes: NDArray[np.float32], size: int, rng: np.random.Generator) -> Tensor:
    """Cut each box out of its image, mirror half of them, resize to `size` (bilinear)."""
    span, middle = boxes[:, 2:] - boxes[:, :2], boxes[:, 2:] + boxes[:, :2] - 1
    theta = np.zeros((len(boxes), 2, 3), np.float32)
    theta[:, 0, 0] = span[:, 0] * rng.choice([-1, 1], len(boxes))
    theta[:, 1, 1] = span[:, 1]
    theta[:, :, 2] = middle
    grid = F.affine_grid(torch.from_numpy(theta), [len(boxes), 3, size, size], align_corners=False)
    return F.grid_sample(images.contiguous(), grid, padding_mode="reflection", align_corners=False)


def recolour(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Change light, contrast, saturation and white balance a little; colour must still tell something."""
    count = len(images)

    def factor(low: float, high: float, *shape: int) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, *shape)).astype(np.float32))

    gain = factor(0.7, 1.3, 1, 1, 1) * factor(0.93, 1.07, 3, 1, 1)
    contrast, saturation = factor(0.8, 1.2, 1, 1, 1), factor(0.7, 1.2, 1, 1, 1)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * saturation
    middle = images.mean((1, 2, 3), keepdim=True)
    return ((images - middle) * (contrast * gain) + middle * gain).clamp_(0, 1)


def batch(
    sources: list[Source], usable: list[NDArray[np.int64]], size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return images (channels last), teacher targets and labels of one batch over all sources."""
    parts = [source.sample(rng, size, free) for source, free in zip(sources, usable, strict=True)]
    images = recolour(torch.cat([p[0] for p in parts]), rng).contiguous(memory_format=torch.channels_last)
    return images, torch.cat([p[1] for p in parts]), torch.cat([p[2] for p in parts])
