"""The embedder's network: a MobileNet v2 with fewer channels, up to its last depthwise layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .shape import BLOCKS, POOLED, STEM, BlockShape, same_padding


def pad(x: Tensor, stride: int) -> Tensor:
    """Pad as TensorFlow's SAME for a 3 x 3 kernel."""
    before, after = same_padding(x.shape[2], stride)
    return F.pad(x, (before, after, before, after))


def depthwise(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """Apply a 3 x 3 depthwise kernel (C x 1 x 3 x 3), padded as TensorFlow's SAME.

    A stride of 2 takes every second value of stride 1: in bfloat16 its own gradient takes five times as long.
    """
    y = F.conv2d(x, kernel, None, 1, 1, 1, len(kernel))
    if stride == 1:
        return y
    first = 1 - same_padding(x.shape[2], stride)[0]
    return y[:, :, first::2, first::2].contiguous(memory_format=torch.channels_last)


class Block(nn.Module):
    """An inverted residual; each convolution has batch norm, and all but the last one ReLU6."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.shape = shape
        inside, inner, outside = shape.inside, shape.inner, shape.outside
        if inner != inside:
            self.expand = nn.Conv2d(inside, inner, 1, bias=False)
            self.expand_norm = nn.BatchNorm2d(inner)
        self.depthwise = nn.Conv2d(inner, inner, 3, groups=inner, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(inner)
        if outside:
            self.project = nn.Conv2d(inner, outside, 1, bias=False)
            self.project_norm = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.expand_norm(self.expand(x))) if self.shape.inner != self.shape.inside else x
        y = F.relu6(self.depthwise_norm(depthwise(y, self.depthwise.weight, self.shape.stride)))
        if self.shape.outside:
            y = self.project_norm(self.project(y))
        return x + y if self.shape.residual else y


class Trunk(nn.Module):
    """Map images (N x 3 x S x S, RGB in 0..1) to the global average pool of the last block (N x POOLED).

    The stem and the first `frozen` blocks do not learn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frozen = 0
        self.stem = nn.Conv2d(3, STEM, 3, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(STEM)
        self.blocks = nn.Sequential(*(Block(shape) for shape in BLOCKS))

    def forward(self, x: Tensor) -> Tensor:
        if self.frozen:
            with torch.no_grad():
                x = self.blocks[: self.frozen](self._first(x))
        else:
            x = self._first(x)
        pooled: Tensor = self.blocks[self.frozen :](x).mean((2, 3))
        return pooled

    def _first(self, x: Tensor) -> Tensor:
        return F.relu6(self.stem_norm(self.stem(pad(2 * x - 1, 2))))

    def freeze(self, blocks: int) -> None:
        """Fix the stem and the first `blocks` blocks, their norms' statistics included; 0 frees all."""
        self.frozen = blocks
        for index, layer in enumerate((self.stem_norm, *self.blocks)):
            layer.train(self.training and not (blocks and index <= blocks))


class Student(nn.Module):
    """The trunk with its two training heads: the teachers' embedding and the class."""

    def __init__(self, target_size: int, classes: int) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.project = nn.Linear(POOLED, target_size)
        self.classify = nn.Linear(POOLED, classes)
        nn.init.zeros_(self.classify.weight)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.trunk(x)
        return self.project(pooled), self.classify(pooled)


def losses(
    embedding: Tensor, logits: Tensor, target: Tensor, labels: Tensor, temperature: float = 0.1
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cosine, the relational and the class loss.

    `target` is unit length. Relational: seen from the batch's teacher embeddings, the student's softmax over
    similarities should be the teachers' own. Photos of label -1 have no class loss.
    """
    unit = F.normalize(embedding)
    cosine = 1 - (unit * target).sum(1).mean()
    wanted = F.log_softmax(target @ target.T / temperature, dim=1)
    seen = F.log_softmax(unit @ target.T / temperature, dim=1)
    relational = F.kl_div(seen, wanted, reduction="batchmean", log_target=True)
    return cosine, relational, F.cross_entropy(logits, labels, ignore_index=-1, label_smoothing=0.1)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Leave norms, biases and the nine weights of each depthwise filter out of the weight decay."""
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    for parameter in model.parameters():
        thin = parameter.ndim < 2 or (parameter.ndim == 4 and parameter.shape[1] == 1)
        (free if thin else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def average_into(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move every weight and statistic of `average` towards `model`."""
    mine, theirs = average.state_dict(), model.state_dict()
    floats = [k for k, v in mine.items() if v.is_floating_point()]
    with torch.no_grad():
        torch._foreach_lerp_([mine[k] for k in floats], [theirs[k] for k in floats], 1 - decay)


def export(weights: dict[str, Tensor], checkpoint: Path) -> None:
    """Write weights, the training heads' included, as float16 arrays."""
    arrays = {k: v.numpy() for k, v in weights.items()}
    np.savez_compressed(
        checkpoint, **{k: v.astype(np.float16) if v.dtype.kind == "f" else v for k, v in arrays.items()}
    )


def import_weights(student: Student, checkpoint: Path) -> None:
    """Give a student the exported weights of trunk and classes; not the deployed head."""
    with np.load(checkpoint) as arrays:
        weights = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in arrays.items()}
    mine = student.state_dict()
    mine |= {k: torch.from_numpy(np.asarray(v)) for k, v in weights.items() if not k.startswith("project.")}
    student.load_state_dict(mine)
