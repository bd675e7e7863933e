"""Reader of TensorFlow.js models: the JSON topology and the weight shards beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.class_names import read_class_names
from edge_daemon.models.tfjs_manifest import (
    MAX_JSON_BYTES,
    MAX_WEIGHT_BYTES,
    Document,
    WeightGroup,
    parse_json_object,
    parse_model_json,
    read_groups,
)
from edge_daemon.system.regular_file import read_regular

_TEACHABLE_MACHINE = "@teachablemachine/"
LABEL_FILES = ("class_names.txt", "labels.txt")


@dataclass(frozen=True, slots=True)
class TfjsModel:
    """A Keras topology or a graph as plain data, its weights by name, and its class names.

    `is_teachable_machine` follows from the metadata beside it; such models take -1..1, grey ones too.
    """

    name: str
    topology: dict[str, Any]
    weights: dict[str, npt.NDArray[np.float32]]
    labels: tuple[str, ...]
    is_teachable_machine: bool = False


def read_tfjs_model(path: Path) -> TfjsModel:
    """Read `model.json`, its shards and its labels. Raises ModelError that names the file and the fault."""
    document = parse_model_json(_read(path), str(path))
    topology = read_topology(document, str(path))
    weights = dict(_weights(read_groups(document, str(path)), path))
    metadata = _metadata(path.parent)
    return TfjsModel(
        path.parent.name or path.stem,
        topology,
        weights,
        _labels(path.parent, metadata),
        str(metadata.get("packageName")).startswith(_TEACHABLE_MACHINE) or "grayscale" in metadata,
    )


def read_topology(document: Document, name: str) -> Document:
    """Return the Keras model or the graph of a model.json. Raises ModelError that begins with `name`."""
    topology: Document = document["modelTopology"]
    if document.get("format") == "graph-model" or "node" in topology:
        if not isinstance(topology.get("node"), list):
            raise ModelError(f"{name}: its modelTopology holds no graph")
        metadata = document.get("userDefinedMetadata")
        older = metadata.get("signature") if isinstance(metadata, dict) else None
        return {"node": topology["node"], "signature": document.get("signature") or older}
    topology = topology.get("model_config", topology)
    if not isinstance(topology, dict) or "class_name" not in topology or "config" not in topology:
        raise ModelError(f"{name}: its modelTopology holds no Keras model")
    return topology


def is_graph(topology: Mapping[str, Any]) -> bool:
    """Return whether a topology is a graph, not a Keras model."""
    return "node" in topology


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_JSON_BYTES)
    except OSError as exc:
        raise ModelError(f"{path}: can't be read: {exc.strerror}") from exc


def _weights(groups: Iterable[WeightGroup], path: Path) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    for group in groups:
        content = b"".join(_shard(path.parent / name) for name in group.shards)
        if len(content) > group.size:
            raise ModelError(
                f"{path}: the shards of '{group.shards[0]}' have {len(content)} bytes, "
                f"the weights {group.size}; one is of another model"
            )
        offset = 0
        for entry in group.entries:
            if offset + entry.size > len(content):
                raise ModelError(
                    f"{path}: weight '{entry.name}' reaches past its shards' end; one is truncated"
                )
            yield entry.name, entry.decode(content[offset : offset + entry.size])
            offset += entry.size


def _shard(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_WEIGHT_BYTES)
    except OSError as exc:
        raise ModelError(f"{path}: weight shard can't be read: {exc.strerror}") from exc


def _metadata(folder: Path) -> dict[str, Any]:
    """Return Teachable Machine's metadata.json, empty if it is missing."""
    metadata = folder / "metadata.json"
    return parse_json_object(_read(metadata), str(metadata)) if metadata.exists() else {}


def _labels(folder: Path, metadata: dict[str, Any]) -> tuple[str, ...]:
    """Return the class names of Teachable Machine's metadata.json, or of a label file."""
    if isinstance(labels := metadata.get("labels"), list):
        return tuple(str(label) for label in labels)
    for name in LABEL_FILES:
        if (folder / name).exists():
            return read_class_names(folder / name)
    return ()
