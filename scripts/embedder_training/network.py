"""The deep part of the embedder: a MobileNet v1 of width 0.5 with a narrower end and identity shortcuts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .shape import BLOCKS, POOLED, STEM


class Block(nn.Module):
    """3 x 3 depthwise and 1 x 1 convolution, each with batch norm and ReLU; a shortcut where shapes agree."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(inside)
        self.pointwise = nn.Conv2d(inside, outside, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(outside)
        self.shortcut = inside == outside and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.depthwise_norm(self.depthwise(x)))
        y = F.relu(self.pointwise_norm(self.pointwise(y)))
        return x + y if self.shortcut else y


class Trunk(nn.Module):
    """Map images (N x 3 x S x S, RGB in 0..1) to the global average pool of the last block (N x POOLED)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM, 3, 2, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(STEM)
        self.blocks = nn.Sequential(*(Block(*shape) for shape in BLOCKS))

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.blocks(F.relu(self.stem_norm(self.stem(x)))).mean((2, 3))
        return pooled


class Student(nn.Module):
    """The trunk with its two training heads: the teacher's embedding and the class."""

    def __init__(self, target_size: int, classes: int) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.project = nn.Linear(POOLED, target_size)
        self.classify = nn.Linear(POOLED, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.trunk(x)
        return self.project(pooled), self.classify(pooled)


def losses(
    embedding: Tensor, logits: Tensor, target: Tensor, labels: Tensor, temperature: float = 0.1
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cosine, the relational and the class loss.

    `target` is unit length. Relational: seen from the batch's teacher embeddings, the student's softmax over
    similarities should be the teacher's own.
    """
    unit = F.normalize(embedding)
    cosine = 1 - (unit * target).sum(1).mean()
    wanted = F.log_softmax(target @ target.T / temperature, dim=1)
    seen = F.log_softmax(unit @ target.T / temperature, dim=1)
    relational = F.kl_div(seen, wanted, reduction="batchmean", log_target=True)
    return cosine, relational, F.cross_entropy(logits, labels, label_smoothing=0.1)


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
    np.savez(checkpoint, **{k: v.astype(np.float16) if v.dtype.kind == "f" else v for k, v in arrays.items()})
