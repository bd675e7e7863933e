"""The shape of the trunk, for PyTorch and for the conversion alike."""

from __future__ import annotations

from typing import NamedTuple

#: Channels after the first convolution.
STEM = 32


class BlockShape(NamedTuple):
    """An inverted residual: 1 x 1 convolution to `inner` channels, 3 x 3 depthwise, linear 1 x 1 convolution.

    The first convolution is left out where it would not widen, the last one if `outside` is 0. The result is
    added to an input of its size.
    """

    inside: int
    inner: int
    outside: int
    stride: int = 1

    @property
    def residual(self) -> bool:
        return self.inside == self.outside and self.stride == 1


#: MobileNet v2 of width 1 without its last convolutions, with fewer inner channels in the later blocks.
BLOCKS = (
    BlockShape(32, 32, 16),
    BlockShape(16, 96, 24, 2),
    BlockShape(24, 144, 24),
    BlockShape(24, 144, 32, 2),
    *(BlockShape(32, 192, 32),) * 2,
    BlockShape(32, 192, 64, 2),
    *(BlockShape(64, 320, 64),) * 3,
    BlockShape(64, 320, 96),
    *(BlockShape(96, 448, 96),) * 2,
    BlockShape(96, 448, 160, 2),
    *(BlockShape(160, 576, 160),) * 2,
    BlockShape(160, 704, 0),
)

#: Length of the pooled features.
POOLED = BLOCKS[-1].inner


def same_padding(size: int, stride: int, kernel: int = 3) -> tuple[int, int]:
    """Return the padding before and after, as TensorFlow's SAME."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
