"""The shape of the trunk, for PyTorch and for the conversion alike."""

from __future__ import annotations

#: Channels after the first convolution.
STEM = 16

#: (channels in, channels out, stride) of every depthwise-separable block after the stem.
BLOCKS = (
    (16, 32, 1),
    (32, 64, 2),
    (64, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 256, 2),
    *((256, 256, 1),) * 5,
    (256, 384, 2),
    (384, 384, 1),
)

#: Length of the pooled features.
POOLED = BLOCKS[-1][1]
