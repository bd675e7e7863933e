"""The shape of the trunk, for PyTorch and for the conversion alike."""

from __future__ import annotations

from typing import NamedTuple

#: Channels after the first convolution.
STEM = 16


class BlockShape(NamedTuple):
    """A 3 x 3 depthwise and a 1 x 1 convolution; with `added`, their linear result is added to the input."""

    inside: int
    outside: int
    stride: int = 1
    added: bool = False


#: MobileNet v1 of width 0.5, with added blocks that the official network lacks.
BLOCKS = (
    BlockShape(16, 32),
    BlockShape(32, 64, 2),
    BlockShape(64, 64),
    BlockShape(64, 128, 2),
    BlockShape(128, 128),
    BlockShape(128, 128, added=True),
    BlockShape(128, 256, 2),
    *(BlockShape(256, 256),) * 5,
    *(BlockShape(256, 256, added=True),) * 3,
    BlockShape(256, 512, 2),
    BlockShape(512, 512),
)

#: Length of the pooled features.
POOLED = BLOCKS[-1].outside


def same_padding(size: int, stride: int, kernel: int = 3) -> tuple[int, int]:
    """Return the padding before and after, as TensorFlow's SAME."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
