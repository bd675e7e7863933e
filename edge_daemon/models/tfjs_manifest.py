"""The weights manifest of a TensorFlow.js model: its shards, and the name, shape and type of each weight."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ModelError
from edge_daemon.system.regular_file import without_bom

MAX_JSON_BYTES = 16 << 20
MAX_WEIGHT_BYTES = 256 << 20
MAX_SHARDS = 1024

Document: TypeAlias = dict[str, Any]

_DTYPES = {"float32": "<f4", "int32": "<i4", "uint8": "u1", "uint16": "<u2", "float16": "<f2", "bool": "u1"}
_SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,127}")
_RESERVED = ("model.json", "metadata.json")


@dataclass(frozen=True, slots=True)
class WeightEntry:
    """One weight. `dtype` is the type in the shards; a quantised weight is `number * scale + minimum`."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float = 1.0
    minimum: float = 0.0

    @property
    def size(self) -> int:
        """Number of bytes in the shards."""
        return math.prod(self.shape) * np.dtype(_DTYPES[self.dtype]).itemsize

    def decode(self, content: bytes) -> npt.NDArray[np.float32]:
        """Return the weight of `size` bytes as numbers."""
        array = np.frombuffer(content, _DTYPES[self.dtype]).reshape(self.shape).astype(np.float32)
        if (self.scale, self.minimum) == (1.0, 0.0):
            return array
        return array * np.float32(self.scale) + np.float32(self.minimum)


@dataclass(frozen=True, slots=True)
class WeightGroup:
    """Shards, file names beside model.json, that hold the bytes of the entries one after the other."""

    shards: tuple[str, ...]
    entries: tuple[WeightEntry, ...]

    @property
    def size(self) -> int:
        """Number of bytes of all shards together."""
        return sum(entry.size for entry in self.entries)


def parse_model_json(content: bytes, name: str) -> Document:
    """Return the JSON object of a model.json. Raises ModelError that begins with `name`."""
    document = parse_json_object(content, name)
    if "modelTopology" not in document:
        raise ModelError(f"{name}: not a TensorFlow.js model: it has no modelTopology")
    return document


def parse_json_object(content: bytes, name: str) -> Document:
    """Return a JSON object. Raises ModelError that begins with `name`."""
    try:
        document = json.loads(without_bom(content))
    except (ValueError, RecursionError) as exc:
        raise ModelError(f"{name}: not JSON") from exc
    if not isinstance(document, dict) or not isinstance(document.get("modelTopology", {}), dict):
        raise ModelError(f"{name}: not a TensorFlow.js model")
    return document


def read_groups(document: Document, name: str) -> tuple[WeightGroup, ...]:
    """Return the groups of a model.json. Raises ModelError that begins with `name`.

    The shards lie beside the file; their number and the bytes of all weights are bounded.
    """
    try:
        groups = tuple(_group(each, name) for each in document["weightsManifest"])
    except (KeyError, TypeError, AttributeError, OverflowError) as exc:
        raise ModelError(f"{name}: its weightsManifest is damaged ({exc!r})") from exc
    shards = [shard for group in groups for shard in group.shards]
    if len(shards) > MAX_SHARDS:
        raise ModelError(f"{name}: lists {len(shards)} weight shards; at most {MAX_SHARDS} are read")
    if len(set(shards)) < len(shards):
        raise ModelError(f"{name}: lists a weight shard twice")
    if (size := sum(group.size for group in groups)) > MAX_WEIGHT_BYTES:
        raise ModelError(f"{name}: its weights have {size >> 20} MiB; at most {MAX_WEIGHT_BYTES >> 20} MiB")
    return groups


def _group(group: Document, name: str) -> WeightGroup:
    # TensorFlow.js in a browser writes "./" before the name.
    shards = tuple(each.removeprefix("./") if isinstance(each, str) else each for each in group["paths"])
    for shard in shards:
        if not isinstance(shard, str) or not _SHARD_NAME.fullmatch(shard) or shard in _RESERVED:
            raise ModelError(f"{name}: a weight shard must be beside model.json, not at {shard!r}")
    return WeightGroup(shards, tuple(_entry(each, name) for each in group["weights"]))


def _entry(entry: Document, name: str) -> WeightEntry:
    quantisation = entry.get("quantization") or {}
    stored, weight = quantisation.get("dtype", entry["dtype"]), entry["name"]
    if stored not in _DTYPES:
        known = ", ".join(_DTYPES)
        raise ModelError(f"{name}: weight '{weight}' has the type {stored}; known are {known}")
    shape = tuple(entry["shape"])
    if not all(isinstance(size, int) and size >= 0 for size in shape) or not isinstance(weight, str):
        raise ModelError(f"{name}: weight {weight!r} has the shape {entry['shape']!r}")
    scale, minimum = quantisation.get("scale", 1.0), quantisation.get("min", 0.0)
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in (scale, minimum)):
        raise ModelError(f"{name}: weight '{weight}' has a quantization that is no number")
    return WeightEntry(weight, shape, stored, float(scale), float(minimum))
