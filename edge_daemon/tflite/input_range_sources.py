"""Search for a model's input range: files beside the model, its metadata, its first layers, a trial."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from edge_daemon.config.paths import package_data
from edge_daemon.domain.errors import EdgeError, ModelError
from edge_daemon.imaging.input_range import (
    MINUS_ONE_TO_ONE,
    ZERO_TO_255,
    ZERO_TO_ONE,
    InputRange,
    parse_range,
    range_of_normalisation,
)
from edge_daemon.tflite.graph import Graph
from edge_daemon.tflite.input_range_inference import RunModel, implied_range, range_by_trial
from edge_daemon.tflite.metadata import read_metadata
from edge_daemon.tflite.verdict_cache import contains, put

log = logging.getLogger(__name__)

SIGNATURE = "signature.json"
MAX_BYTES = 256 << 10
"""Largest manifest; larger files are ignored."""

_CACHE_KIND = "ranges"


class FoundRange(Struct, frozen=True):
    """A model's input range; `why` is a phrase that follows the range.

    `range` None: the range follows from the scale of a quantised input.
    """

    range: InputRange | None
    why: str

    def __str__(self) -> str:
        """Return the range and its source, as reports show them."""
        return f"{self.range}, from {self.why}" if self.range else f"from {self.why}"


def find_input_range(path: Path, content: bytes, digest: str, graph: Graph, run: RunModel) -> FoundRange:
    """Return the range from files beside the model, its metadata, its first layers, or else a trial.

    Raises ModelError for an invalid manifest, and when the model fails in the trial.
    """
    is_float = graph.tensors[graph.inputs[0]].dtype == "float32"
    if (declared := declared_range(path, digest, is_float)) is not None:
        return FoundRange(*declared)
    if not is_float:
        return FoundRange(None, "the scale of its input")
    if (described := read_metadata(content).input_range) is not None:
        return FoundRange(described, "its metadata")
    if (implied := implied_range(graph)) is not None:
        return FoundRange(implied, "its first layers")
    return FoundRange(_range_by_cached_trial(path, content, digest, graph, run), "a trial on pictures")


def _range_by_cached_trial(
    path: Path, content: bytes, digest: str, graph: Graph, run: RunModel
) -> InputRange:
    """Return the trial's result, cached by the model's content. A new result is logged."""
    for known in (MINUS_ONE_TO_ONE, ZERO_TO_255):
        if contains(_CACHE_KIND, f"{digest}-{known}"):
            return known
    found = range_by_trial(content, graph, run)
    log.info(
        "%s does not declare its input range; a trial on pictures gives black..white = %s "
        "(`edge-daemon models add FILE --range LOW..HIGH` sets another)",
        path.name,
        found,
    )
    put(_CACHE_KIND, f"{digest}-{found}")
    return found


def manifest_path(model: Path) -> Path:
    """Return the path of a model's manifest: its own with the suffix `.json`."""
    return model.with_suffix(".json")


def declared_range(model: Path, digest: str, is_float: bool) -> tuple[InputRange, str] | None:
    """Return the range and the file that declares it. Raises ModelError for an invalid range.

    A manifest lies beside the model or ships with the program. A manifest with the SHA-256 of another file is
    ignored. Lobe's signature declares the range of float models only.
    """
    for manifest in (manifest_path(model), *_shipped_manifest(model)):
        document = _read_json(manifest)
        found = range_of_manifest(document, str(manifest))
        if found is not None and document.get("sha256", digest) == digest:
            return found, f"its manifest {manifest.name}"
    if is_float and lobe_exports(_read_json(model.with_name(SIGNATURE)), model.name):
        return ZERO_TO_ONE, "the signature of its Lobe export"
    return None


def _shipped_manifest(model: Path) -> Iterator[Path]:
    with suppress(EdgeError):
        yield package_data("models") / manifest_path(model).name


def write_manifest(model: Path, values: InputRange) -> None:
    """Write the manifest that declares a model's range. Raises OSError."""
    manifest_path(model).write_text(json.dumps({"input": {"range": str(values)}}) + "\n", encoding="utf-8")


def range_of_manifest(document: object, name: str) -> InputRange | None:
    """Return `input.range`, or the range of `input.mean` and `input.std`; None without them.

    Raises ModelError that begins with `name`, the file's name, for invalid values.
    """
    given = document.get("input") if isinstance(document, Mapping) else None
    if not isinstance(given, Mapping):
        return None
    try:
        if given.get("range") is not None:
            return parse_range(str(given["range"]))
        if given.get("mean") is None and given.get("std") is None:
            return None
        found = range_of_normalisation(_numbers(given.get("mean")), _numbers(given.get("std")))
    except (ModelError, TypeError, ValueError, OverflowError) as exc:
        raise ModelError(f"{name}: input: {exc}") from exc
    if found is None:
        raise ModelError(f"{name}: input: mean and std are one or three numbers of pixels, std above 0")
    return found


def lobe_exports(document: object, model: str) -> bool:
    """Return whether a `signature.json` is Lobe's and describes this model file; Lobe models take 0..1."""
    classes = document.get("classes") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(classes, Mapping) or "Label" not in classes:
        return False
    return document.get("filename") in (None, model)


def _numbers(value: object) -> Sequence[float]:
    return [float(each) for each in value] if isinstance(value, list) else [float(str(value))]


def _read_json(path: Path) -> Any:
    """Return a JSON file's content, None if it is missing, damaged or larger than MAX_BYTES."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
