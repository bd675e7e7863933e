"""Even out the channels of a network before its weights become 8 bits, without changing what it computes.

Between two layers with a ReLU, channel j of the first may be divided by s_j if the second multiplies its
input channel j by s_j. Choosing s_j = activation^a / weight^(1 - a) moves outliers from where they cost
precision to where they don't: Nagel et al. 2019 (cross-layer equalisation), Xiao et al. 2022 (SmoothQuant).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Weights = Mapping[str, Floats]

STRENGTH = 0.3
"""The exponent a; measured best of 0 to 0.7 on DoodleNet."""

_WEIGHTED = ("Conv2D", "Dense")
_TRANSPARENT = ("MaxPooling2D", "AveragePooling2D", "Dropout", "Flatten", "ZeroPadding2D")
_LIMIT = 100.0


def pairs(topology: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the neighbouring layers that can be evened out; none for a model that isn't a plain sequence."""
    if topology["class_name"] != "Sequential":
        return []
    config = topology["config"]
    return list(_neighbours(config if isinstance(config, list) else config["layers"]))


def _neighbours(layers: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    before: str | None = None
    for layer in layers:
        kind, config = layer["class_name"], layer["config"]
        if kind in _WEIGHTED:
            if before is not None:
                yield before, config["name"]
            before = config["name"] if config.get("activation") == "relu" else None
        elif kind not in _TRANSPARENT:
            before = None


def equalise(weights: Weights, peaks: Mapping[str, Floats], chain: Sequence[tuple[str, str]]) -> Weights:
    """Return weights that compute the same. `peaks` holds each first layer's largest output per channel."""
    even = dict(weights)
    for first, second in chain:
        kernel = even[f"{second}/kernel"]
        channels = len(peaks[first])
        by_channel = kernel.reshape(-1, channels, kernel.shape[-1])
        if kernel.ndim == 4:
            by_channel = kernel.reshape(-1, *kernel.shape[2:])
        scale = _scale(peaks[first], np.abs(by_channel).max(axis=(0, 2)))
        even[f"{first}/kernel"] = even[f"{first}/kernel"] / scale
        if f"{first}/bias" in even:
            even[f"{first}/bias"] = even[f"{first}/bias"] / scale
        even[f"{second}/kernel"] = (by_channel * scale[:, None]).reshape(kernel.shape)
    return even


def _scale(activations: Floats, weights: Floats) -> Floats:
    smallest = 1e-3
    raw = np.maximum(activations, smallest) ** STRENGTH / np.maximum(weights, smallest) ** (1 - STRENGTH)
    centred = raw / np.exp(np.log(raw).mean())
    scale: Floats = np.clip(centred, 1 / _LIMIT, _LIMIT).astype(np.float32)
    return scale
