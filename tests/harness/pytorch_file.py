"""PyTorch weight files in the sequential format, written without PyTorch, and a small network's weights."""

from __future__ import annotations

import io
import pickle
import struct
import sys
from collections import OrderedDict
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = 0x1950A86A20F9469CFC6C

Arrays = Mapping[str, npt.NDArray[np.float32]]


class _Tensor:
    """A float32 tensor that pickles as PyTorch's."""

    def __init__(self, key: str, array: npt.NDArray[np.float32]) -> None:
        self.key, self.array = key, array

    def __reduce__(self) -> tuple[Any, ...]:
        strides = tuple(step // 4 for step in self.array.strides)
        storage = _Storage(self.key, self.array.size)
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (
            storage,
            0,
            self.array.shape,
            strides,
            False,
            OrderedDict(),
        )


class _Storage:
    def __init__(self, key: str, count: int) -> None:
        self.key, self.count = key, count


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _Storage):
            return ("storage", sys.modules["torch"].FloatStorage, obj.key, "cpu", obj.count, None)
        return None


def pytorch_file(arrays: Arrays, tensors: object = None) -> bytes:
    """Return a weight file of row-major float32 arrays; `tensors` replaces the pickled dictionary."""
    arrays = {name: _dense(array) for name, array in arrays.items()}
    keys = {name: str(number) for number, name in enumerate(arrays)}
    held = OrderedDict((name, _Tensor(keys[name], array)) for name, array in arrays.items())
    file = io.BytesIO()
    with _stand_in_for_torch():
        for value in (MAGIC, 1001, {"little_endian": True}, tensors or held, list(keys.values())):
            _Pickler(file, protocol=2).dump(value)
    for array in arrays.values():
        file.write(struct.pack("<q", array.size) + array.ravel("K").astype("<f4").tobytes())
    return file.getvalue()


def _dense(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return an array without gaps in memory, row by row or column by column."""
    return array if array.flags.forc else np.ascontiguousarray(array)


class _stand_in_for_torch:
    """Makes the names that PyTorch's pickles refer to importable while a file is written."""

    def __enter__(self) -> None:
        torch, utils = ModuleType("torch"), ModuleType("torch._utils")

        def _rebuild_tensor_v2() -> None:
            """Never called: it is only named."""

        _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
        storage = type("FloatStorage", (), {"__module__": "torch"})
        vars(utils)["_rebuild_tensor_v2"] = _rebuild_tensor_v2
        vars(torch).update(FloatStorage=storage, _utils=utils)
        sys.modules.update({"torch": torch, "torch._utils": utils})

    def __exit__(self, *_: object) -> None:
        del sys.modules["torch"], sys.modules["torch._utils"]


def small_efficientnet(seed: int = 0, classes: int = 1000) -> dict[str, npt.NDArray[np.float32]]:
    """Return random weights of an EfficientNet-Lite0 with few channels."""
    rng = np.random.default_rng(seed)
    weights: dict[str, npt.NDArray[np.float32]] = {}

    def convolution(name: str, norm: str, shape: tuple[int, ...]) -> None:
        fan_in = float(np.prod(shape[1:]))
        weights[f"{name}.weight"] = (rng.normal(size=shape) * np.sqrt(2 / fan_in)).astype(np.float32)
        for part, low, high in (("weight", 0.8, 1.2), ("bias", -0.1, 0.3), ("running_mean", -0.1, 0.1)):
            weights[f"{norm}.{part}"] = rng.uniform(low, high, shape[0]).astype(np.float32)
        weights[f"{norm}.running_var"] = rng.uniform(0.5, 1.5, shape[0]).astype(np.float32)

    convolution("_conv_stem", "_bn0", (8, 3, 3, 3))
    channels, index = 8, 0
    for stage, repeats in enumerate((1, 2, 2, 3, 3, 4, 1)):
        for _ in range(repeats):
            block, inner = f"_blocks.{index}", channels if stage == 0 else 2 * channels
            if stage:
                convolution(f"{block}._expand_conv", f"{block}._bn0", (inner, channels, 1, 1))
            kernel = 5 if stage in (2, 4, 5) else 3
            convolution(f"{block}._depthwise_conv", f"{block}._bn1", (inner, 1, kernel, kernel))
            channels = 8 + 2 * stage
            convolution(f"{block}._project_conv", f"{block}._bn2", (channels, inner, 1, 1))
            index += 1
    convolution("_conv_head", "_bn1", (32, channels, 1, 1))
    weights["_fc.weight"] = rng.normal(size=(classes, 32)).astype(np.float32)
    weights["_fc.bias"] = rng.normal(size=classes).astype(np.float32)
    return weights
