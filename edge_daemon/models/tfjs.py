"""Reader of TensorFlow.js layers models: the JSON topology and the weight shards beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.class_names import read_class_names
from edge_daemon.system.regular_file import read_regular, without_bom

MAX_JSON_BYTES = 16 << 20
MAX_WEIGHT_BYTES = 256 << 20
_DTYPES = {"float32": "<f4", "int32": "<i4", "uint8": "u1", "uint16": "<u2", "float16": "<f2"}
_TEACHABLE_MACHINE = "@teachablemachine/"
_LABEL_FILES = ("class_names.txt", "labels.txt")


@dataclass(frozen=True, slots=True)
class LayersModel:
    """A Keras topology as plain data, its weights by name (`layer/kernel`), and its class names.

    `is_teachable_machine` follows from the metadata beside it; such models take -1..1, grey ones too.
    """

    name: str
    topology: dict[str, Any]
    weights: dict[str, npt.NDArray[np.float32]]
    labels: tuple[str, ...]
    is_teachable_machine: bool = False


def read_layers_model(path: Path) -> LayersModel:
    """Read `model.json`, its shards and its labels. Raises ModelError that names the file and the fault."""
    document = _read_json(path)
    if "modelTopology" not in document:
        raise ModelError(f"{path}: not a TensorFlow.js model: it has no modelTopology")
    if document.get("format") == "graph-model" or "node" in document["modelTopology"]:
        raise ModelError(f"{path}: a TensorFlow.js graph model; only layers models can be converted")
    topology = document["modelTopology"].get("model_config", document["modelTopology"])
    if not isinstance(topology, dict) or "class_name" not in topology or "config" not in topology:
        raise ModelError(f"{path}: its modelTopology holds no Keras model")
    weights = dict(_weights(document.get("weightsManifest"), path))
    metadata = _metadata(path.parent)
    return LayersModel(
        path.parent.name or path.stem,
        topology,
        weights,
        _labels(path.parent, metadata),
        str(metadata.get("packageName")).startswith(_TEACHABLE_MACHINE) or "grayscale" in metadata,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(without_bom(read_regular(path, MAX_JSON_BYTES)))
    except OSError as exc:
        raise ModelError(f"{path}: can't be read: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        raise ModelError(f"{path}: not JSON") from exc
    if not isinstance(document, dict) or not isinstance(document.get("modelTopology", {}), dict):
        raise ModelError(f"{path}: not a TensorFlow.js model")
    return document


def _weights(manifest: Any, path: Path) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    try:
        for group in manifest:
            content = b"".join(_shard(path.parent, name) for name in group["paths"])
            offset = 0
            for entry in group["weights"]:
                array, offset = _weight(entry, content, offset, path)
                yield entry["name"], array
    except (KeyError, TypeError, AttributeError) as exc:
        raise ModelError(f"{path}: its weightsManifest is damaged ({exc!r})") from exc


def _shard(folder: Path, name: str) -> bytes:
    shard = folder / name
    if Path(name).name != name:
        raise ModelError(f"{folder}: a weight shard must be beside model.json, not at '{name}'")
    try:
        return read_regular(shard, MAX_WEIGHT_BYTES)
    except OSError as exc:
        raise ModelError(f"{shard}: weight shard can't be read: {exc.strerror}") from exc


def _weight(
    entry: dict[str, Any], content: bytes, offset: int, path: Path
) -> tuple[npt.NDArray[np.float32], int]:
    """Return one weight and its end in the shards; a quantised one is `number * scale + min`."""
    quantisation = entry.get("quantization")
    stored = (quantisation or entry)["dtype"]
    if stored not in _DTYPES:
        known = ", ".join(_DTYPES)
        raise ModelError(f"{path}: weight '{entry['name']}' has the type {stored}; known are {known}")
    shape = tuple(int(size) for size in entry["shape"])
    count = int(np.prod(shape, dtype=np.int64))
    end = offset + count * np.dtype(_DTYPES[stored]).itemsize
    if min(shape, default=0) < 0 or end > len(content):
        raise ModelError(f"{path}: weight '{entry['name']}' reaches past its shards' end; one is truncated")
    array = np.frombuffer(content[offset:end], _DTYPES[stored]).reshape(shape).astype(np.float32)
    if quantisation and "scale" in quantisation:
        array = array * np.float32(quantisation["scale"]) + np.float32(quantisation["min"])
    return array, end


def _metadata(folder: Path) -> dict[str, Any]:
    """Return Teachable Machine's metadata.json, empty if it is missing."""
    metadata = folder / "metadata.json"
    return _read_json(metadata) if metadata.exists() else {}


def _labels(folder: Path, metadata: dict[str, Any]) -> tuple[str, ...]:
    """Return the class names of Teachable Machine's metadata.json, or of a label file."""
    if isinstance(labels := metadata.get("labels"), list):
        return tuple(str(label) for label in labels)
    for name in _LABEL_FILES:
        if (folder / name).exists():
            return read_class_names(folder / name)
    return ()
