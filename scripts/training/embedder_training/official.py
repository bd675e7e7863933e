"""The weights that the training starts from: an official quantized MobileNet v1 of width 0.5, in floats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor, nn
from torch.nn import functional as F

from .measure import Floats
from .network import Student, depthwise, pad

_CONVOLUTIONS = {schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D}


def convolutions(model_file: Path) -> Iterator[tuple[Floats, Floats]]:
    """Yield kernel (PyTorch's out x in x h x w) and bias of each convolution, in the graph's order."""
    model = schema.ModelT.InitFromPackedBuf(model_file.read_bytes(), 0)
    graph = model.subgraphs[0]
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]

    def floats(index: int, kind: type[np.generic]) -> Floats:
        tensor = graph.tensors[index]
        whole = np.frombuffer(bytes(model.buffers[tensor.buffer].data), kind).reshape(tensor.shape)
        scale, zero = tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]
        values: Floats = ((whole.astype(np.float64) - zero) * scale).astype(np.float32)
        return values

    for operator in graph.operators:
        if (code := codes[operator.opcodeIndex]) in _CONVOLUTIONS:
            kernel, bias = floats(operator.inputs[1], np.uint8), floats(operator.inputs[2], np.int32)
            depthwise = code == schema.BuiltinOperator.DEPTHWISE_CONV_2D
            yield kernel.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2)), bias


def load_official(student: Student, model_file: Path, images: Tensor) -> None:
    """Give the student's trunk the official weights; its added blocks stay the identity.

    The official batch norms are folded into the kernels. New ones take their statistics from `images`
    (N x 3 x S x S in 0..1) and undo themselves, so that training can go on with batch norm.
    """
    official = convolutions(model_file)
    trunk = student.trunk
    with torch.no_grad():
        x = _load_layer(trunk.stem, trunk.stem_norm, next(official), pad(2 * images - 1, 2))
        for block in trunk.blocks:
            if not block.shape.added:
                x = _load_layer(block.depthwise, block.depthwise_norm, next(official), x, block.shape.stride)
                x = _load_layer(block.pointwise, block.pointwise_norm, next(official), x)


def _load_layer(
    layer: nn.Conv2d, norm: nn.BatchNorm2d, weights: tuple[Floats, Floats], x: Tensor, stride: int = 1
) -> Tensor:
    """Set one convolution and its batch norm; return the layer's output. `stride` is of depthwise layers."""
    kernel, bias = (torch.from_numpy(np.ascontiguousarray(array)) for array in weights)
    # A kernel before a batch norm has no scale: use the scale of a fresh network.
    spread = kernel.flatten(1).square().mean(1).sqrt().clamp_min(1e-6) * (3 * kernel[0].numel()) ** 0.5
    layer.weight.copy_(kernel / spread[:, None, None, None])
    y = layer(x) if layer.groups == 1 else depthwise(x, layer, stride)
    norm.running_mean.copy_(y.mean((0, 2, 3)))
    norm.running_var.copy_(y.var((0, 2, 3)))
    norm.weight.copy_((norm.running_var + norm.eps).sqrt() * spread)
    norm.bias.copy_(bias + norm.running_mean * spread)
    return F.relu6(y * spread[:, None, None] + bias[:, None, None])


def blend_trunks(student: Student, official: Student, images: Tensor, share: float = 0.7) -> None:
    """Average the trunk's weights (weight `share`) and the official ones.

    A network that was trained further keeps more of what the first training knew if its weights are averaged
    with the first ones (Wortsman et al., CVPR 2022). The norms take their statistics from `images`.
    """
    mine, first = student.trunk.state_dict(), official.trunk.state_dict()
    with torch.no_grad():
        for name, value in mine.items():
            if value.is_floating_point():
                value.lerp_(first[name], 1 - share)
        norms = [layer for layer in student.trunk.modules() if isinstance(layer, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
        student.trunk.train()
        for part in images.split(128):
            student.trunk(part.contiguous(memory_format=torch.channels_last))
    student.eval()


def fit_projection(student: Student, images: Tensor, targets: Tensor, ridge: float = 0.1) -> None:
    """Set the projecting head by ridge regression of the targets on the pooled features."""
    with torch.no_grad():
        pooled = torch.cat([student.trunk(part) for part in images.split(64)])
        mean, middle = pooled.mean(0), targets.mean(0)
        centred = pooled - mean
        gram = centred.T @ centred / len(pooled)
        gram += ridge * gram.diagonal().mean() * torch.eye(len(gram))
        matrix = torch.linalg.solve(gram, centred.T @ (targets - middle) / len(pooled))
        student.project.weight.copy_(matrix.T)
        student.project.bias.copy_(middle - mean @ matrix)
