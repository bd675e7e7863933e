"""Reader of PyTorch's weight files in the sequential format. It needs no PyTorch and runs no code of a file.

The format, used by `torch.save` before version 1.6: five pickles (magic number, format version, a system
description, the dictionary of tensors, the list of storage keys), then each storage's length and numbers.
Source: torch/serialization.py, `_legacy_load`.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ModelError

_MAGIC = 0x1950A86A20F9469CFC6C
_FORMAT_VERSION = 1001
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
_DAMAGED = (
    pickle.UnpicklingError,
    struct.error,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)
"""Exceptions from reading a damaged or hostile file."""

Weights = Mapping[str, npt.NDArray[Any]]


def read_pytorch_weights(content: bytes, name: str) -> Weights:
    """Return the tensors of a weight file by name: read-only float32 or int64 arrays.

    Only dictionaries, tensors and their storages are accepted: a file that names any other function or class
    is refused before anything runs. Raises ModelError that begins with `name`.
    """
    try:
        return _read(io.BytesIO(content))
    except _ForbiddenGlobalError as exc:
        raise ModelError(f"{name}: names the function '{exc}'; a file of weights has none") from exc
    except _DAMAGED as exc:
        raise ModelError(f"{name}: truncated or not a PyTorch weight file ({exc})") from exc


class _ForbiddenGlobalError(Exception):
    """A pickle names a function or class other than those of tensors."""


@dataclass(frozen=True, slots=True)
class _Storage:
    """A storage whose numbers follow the pickles."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class _StoredTensor:
    """A tensor as part of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if min((self.offset, *self.shape, *self.strides)) < 0 or len(self.shape) != len(self.strides):
            raise ValueError(f"a tensor of shape {self.shape} has the strides {self.strides}")
        last = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        if math.prod(self.shape) and self.offset + last >= len(numbers):
            raise ValueError(f"a tensor of shape {self.shape} exceeds its storage")
        strides = [stride * numbers.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides, writeable=False)


class _Unpickler(pickle.Unpickler):
    """Unpickler that accepts the three globals of a dictionary of tensors."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise _ForbiddenGlobalError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, count, view = pid
        if kind != "storage" or dtype not in _STORAGES.values() or view is not None:
            raise ValueError("an unknown kind of storage")
        return _Storage(str(key), dtype, int(count))


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_options: object
) -> _StoredTensor:
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor without a storage")
    return _StoredTensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _read(file: io.BytesIO) -> Weights:
    if _load(file) != _MAGIC or _load(file) != _FORMAT_VERSION:
        raise ValueError("its first numbers are not those of the sequential format")
    if not _load(file).get("little_endian"):
        raise ValueError("its numbers are big-endian")
    tensors, keys = _load(file), _load(file)
    if not isinstance(tensors, dict) or not all(isinstance(each, _StoredTensor) for each in tensors.values()):
        raise ValueError("it is not a dictionary of tensors")
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    numbers = {key: _read_storage(file, storages[key]) for key in keys}
    return {str(name): tensor.array(numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _load(file: io.BytesIO) -> Any:
    load: Callable[[], Any] = _Unpickler(file).load
    return load()


def _read_storage(file: io.BytesIO, storage: _Storage) -> npt.NDArray[Any]:
    dtype = np.dtype(storage.dtype)
    (count,) = struct.unpack("<q", file.read(8))
    if count != storage.count or count < 0:
        raise ValueError(f"storage {storage.key} has {count} numbers instead of {storage.count}")
    content = file.read(count * dtype.itemsize)
    if len(content) < count * dtype.itemsize:
        raise ValueError(f"storage {storage.key} ends early")
    return np.frombuffer(content, dtype)
