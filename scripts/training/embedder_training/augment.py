"""Augmentation by differences between sessions of a camera: light, background, focus, noise, compression.

The teachers see the clean view, the student the changed one, so the student learns what to ignore. All
functions take images N x 3 x S x S in 0..1 and return new ones.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

Generator = np.random.Generator


def uniform(rng: Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def log_uniform(rng: Generator, low: float, high: float, *shape: int) -> Tensor:
    return uniform(rng, float(np.log(low)), float(np.log(high)), *shape).exp()


def change_light(images: Tensor, rng: Generator) -> Tensor:
    """Other exposure, white balance, contrast, saturation and gamma, and light from one side."""
    count, size = len(images), images.shape[2]
    one = (count, 1, 1, 1)
    cast = torch.where(uniform(rng, 0, 1, *one) < 0.25, 0.4, 0.1)  # few sessions have a strong cast
    balance = (uniform(rng, -1, 1, count, 3, 1, 1) * cast).exp()
    grey = images.mean(1, keepdim=True)
    images = torch.lerp(grey, images, uniform(rng, 0.6, 1.3, *one)).clamp_(1e-3, 1)
    images.pow_(log_uniform(rng, 0.7, 1.4, *one))
    angle, slope = uniform(rng, 0, 2 * np.pi, *one), uniform(rng, -0.5, 0.7, *one).clamp_min(0)
    line = torch.linspace(-1, 1, size)
    ramp = 1 + slope * (angle.cos() * line + angle.sin() * line[:, None])
    gain = log_uniform(rng, 0.4, 1.6, *one)
    middle = images.mean((1, 2, 3), keepdim=True)
    images = torch.lerp(middle, images, uniform(rng, 0.75, 1.2, *one))
    return images.mul_(gain * balance * ramp).clamp_(0, 1)


def window(size: int, count: int, rng: Generator) -> Tensor:
    """Return soft-edged windows (N x 1 x S x S) of 50 to 90 % of the side around the middle: 1 inside."""
    line = torch.linspace(-1, 1, size)
    reach = uniform(rng, 0.5, 0.9, 2, count, 1, 1)
    middle = uniform(rng, -1, 1, 2, count, 1, 1) * (1 - reach) * 0.5
    across = (line - middle[0]).abs() / reach[0]
    down = (line[:, None] - middle[1]).abs() / reach[1]
    roundness = uniform(rng, 2, 8, count, 1, 1)
    distance = (across**roundness + down**roundness) ** (1 / roundness)
    return ((1 - distance) * 12 + 0.5).clamp_(0, 1)[:, None]


def change_ground(images: Tensor, masks: Tensor, grounds: Tensor) -> Tensor:
    """Paste the masked areas (N x 1 x S x S) on other photos."""
    return images * masks + grounds * (1 - masks)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, sigma in pixels."""
    reach = max(int(2 * sigma + 0.5), 1)
    line = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = (-(line**2) / (2 * sigma**2)).exp()
    weights = (weights / weights.sum()).expand(3, 1, 1, -1)
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, weights, groups=3), weights.transpose(2, 3), groups=3)


def coarsen(images: Tensor, side: int) -> Tensor:
    """Reduce to `side` pixels and enlarge again: a small or distant object."""
    small = F.interpolate(images, size=(side, side), mode="area")
    return F.interpolate(small, size=images.shape[2:], mode="bilinear")


def compress(images: Tensor, rng: Generator) -> Tensor:
    """JPEG of quality 20 to 80."""
    found = []
    for image in (images.permute(0, 2, 3, 1) * 255).to(torch.uint8).numpy():
        content = io.BytesIO()
        Image.fromarray(image).save(content, "JPEG", quality=int(rng.integers(20, 80)))
        found.append(np.asarray(Image.open(content)))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 255


def degrade(images: Tensor, rng: Generator) -> Tensor:
    """Blur, coarsen or compress a part of the batch, and add noise to half of it."""
    count, side = len(images), images.shape[2]
    blurred, coarse, packed = np.split(
        rng.permutation(count), [count // 5, count // 3, count // 3 + count // 12]
    )[:3]
    images = images.clone()
    images[blurred] = blur(images[blurred], float(rng.uniform(0.4, 1.6)))
    images[coarse] = coarsen(images[coarse], int(side * rng.uniform(0.35, 0.8)))
    images[packed] = compress(images[packed], rng)
    noisy = rng.permutation(count)[: count // 2]
    strength = uniform(rng, 0, 0.05, len(noisy), 1, 1, 1)
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
    noise = torch.randn(len(noisy), *images.shape[1:], generator=generator)
    images[noisy] += noise.mul_(strength)
    return images.clamp_(0, 1)


def change_session(images: Tensor, rng: Generator, clean: float = 0.2) -> Tensor:
    """Change light and picture quality; a share of the images stays `clean`."""
    changed = uniform(rng, 0, 1, len(images)) >= clean
    images = images.clone()
    images[changed] = degrade(change_light(images[changed], rng), rng)
    return images
