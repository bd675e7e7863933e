"""The weights that the training starts from: an official quantized MobileNet v2, with fewer channels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor, nn
from torch.nn import functional as F

from .measure import Floats
from .network import Block, Student, depthwise, pad
from .photos import Ints
from .whitening import Doubles

_CONVOLUTIONS = {schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D}


def convolutions(model_file: Path) -> Iterator[tuple[Floats, Floats]]:
    """Yield kernel (PyTorch's out x in x h x w) and bias of each convolution, in the graph's order."""
    model = schema.ModelT.InitFromPackedBuf(model_file.read_bytes(), 0)
    graph = model.subgraphs[0]
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]

    def floats(index: int) -> Floats:
        tensor = graph.tensors[index]
        kind = np.int8 if tensor.type == schema.TensorType.INT8 else np.int32
        whole = np.frombuffer(bytes(model.buffers[tensor.buffer].data), kind).reshape(tensor.shape)
        scale = np.asarray(tensor.quantization.scale)  # symmetric, one for each channel
        axis = [1] * whole.ndim
        axis[tensor.quantization.quantizedDimension] = -1
        values: Floats = (whole * scale.reshape(axis)).astype(np.float32)
        return values

    for operator in graph.operators:
        if (code := codes[operator.opcodeIndex]) in _CONVOLUTIONS:
            kernel, bias = floats(operator.inputs[1]), floats(operator.inputs[2])
            last_first = code == schema.BuiltinOperator.DEPTHWISE_CONV_2D
            yield kernel.transpose((3, 0, 1, 2) if last_first else (0, 3, 1, 2)), bias


def load_official(student: Student, model_file: Path, images: Tensor) -> None:
    """Give the student's trunk the official weights, of the inner channels that matter most.

    The official batch norms are folded into the kernels. New ones take their statistics from `images`
    (N x 3 x S x S in 0..1) and undo themselves, so that training can go on with batch norm.
    """
    official = convolutions(model_file)
    trunk = student.trunk
    with torch.no_grad():
        x = F.relu6(_load_layer(trunk.stem, trunk.stem_norm, next(official), pad(2 * images - 1, 2)))
        for block in trunk.blocks:
            y = _load_block(block, official, x)
            x = x + y if block.shape.residual else y


def _load_block(block: Block, official: Iterator[tuple[Floats, Floats]], x: Tensor) -> Tensor:
    """Load one block for its input `x`; return what its last layer gives."""
    shape = block.shape
    widen = next(official) if shape.inner != shape.inside else None
    filters, (mix, mix_bias) = next(official), next(official)
    y = x
    if widen:
        y = F.relu6(F.conv2d(x, *_tensors(widen)))
        kernel, bias = _tensors(filters)
        inner = F.relu6(depthwise(y, kernel, shape.stride) + bias[:, None, None])
        rows = inner.permute(0, 2, 3, 1).flatten(0, 2).double().numpy()
        kept, mixed = strongest_channels(rows, mix[:, :, 0, 0].astype(np.float64), shape.inner)
        mix = mixed.astype(np.float32)[:, :, None, None]
        widen, filters = (widen[0][kept], widen[1][kept]), (filters[0][kept], filters[1][kept])
        y = F.relu6(_load_layer(block.expand, block.expand_norm, widen, x))
    y = F.relu6(_load_layer(block.depthwise, block.depthwise_norm, filters, y, shape.stride))
    return _load_layer(block.project, block.project_norm, (mix, mix_bias), y) if shape.outside else y


def _tensors(arrays: tuple[Floats, Floats]) -> tuple[Tensor, Tensor]:
    kernel, bias = (torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
    return kernel, bias


def strongest_channels(rows: Doubles, matrix: Doubles, count: int) -> tuple[Ints, Doubles]:
    """Return `count` columns of `rows` (N x C), and the matrix (M x count) that gives with them, as nearly as
    it can, what `matrix` (M x C) gives with all.

    Columns leave one by one, each time the one whose loss the others replace best (optimal brain surgeon,
    Hassibi and Stork 1993).
    """
    moments = rows.T @ rows / len(rows)
    inverse = np.linalg.inv(moments + 1e-4 * np.trace(moments) / len(moments) * np.eye(len(moments)))
    matrix, kept = matrix.copy(), np.ones(len(moments), np.bool_)
    for _ in range(len(moments) - count):
        loss = np.where(kept, (matrix**2).sum(axis=0) / inverse.diagonal().clip(1e-12), np.inf)
        gone = int(loss.argmin())
        column, pivot = inverse[:, gone].copy(), inverse[gone, gone]
        matrix -= np.outer(matrix[:, gone], column) / pivot
        inverse -= np.outer(column, column) / pivot
        kept[gone] = False
        matrix[:, gone] = 0
    return np.flatnonzero(kept), matrix[:, kept]


def _load_layer(
    layer: nn.Conv2d, norm: nn.BatchNorm2d, weights: tuple[Floats, Floats], x: Tensor, stride: int = 1
) -> Tensor:
    """Set one convolution and its batch norm; return the layer's output. `stride` is of depthwise layers."""
    kernel, bias = _tensors(weights)
    # A kernel before a batch norm has no scale: use the scale of a fresh network.
    spread = kernel.flatten(1).square().mean(1).sqrt().clamp_min(1e-6) * (3 * kernel[0].numel()) ** 0.5
    layer.weight.copy_(kernel / spread[:, None, None, None])
    y = layer(x) if layer.groups == 1 else depthwise(x, layer.weight, stride)
    norm.running_mean.copy_(y.mean((0, 2, 3)))
    norm.running_var.copy_(y.var((0, 2, 3)))
    norm.weight.copy_((norm.running_var + norm.eps).sqrt() * spread)
    norm.bias.copy_(bias + norm.running_mean * spread)
    return y * spread[:, None, None] + bias[:, None, None]


def blend_trunks(student: Student, first: Student, images: Tensor, share: float = 0.7) -> None:
    """Average the trunk's weights (weight `share`) and those of `first`, with which the training began.

    A network that was trained further keeps more of what the first training knew if its weights are averaged
    with the first ones (Wortsman et al., CVPR 2022). The norms take their statistics from `images`.
    """
    theirs = first.trunk.state_dict()
    with torch.no_grad():
        for name, value in student.trunk.state_dict().items():
            if value.is_floating_point():
                value.lerp_(theirs[name], 1 - share)
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
