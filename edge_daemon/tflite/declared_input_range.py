"""The input range that files beside a model declare: its manifest, or the signature of a Lobe export."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_daemon.config.paths import package_data
from edge_daemon.domain.errors import EdgeError, ModelError
from edge_daemon.imaging.input_range import ZERO_TO_ONE, InputRange, normalised, parse_range

SIGNATURE = "signature.json"
MAX_BYTES = 256 << 10
"""Larger files beside a model are no manifests."""


def manifest_path(model: Path) -> Path:
    """Return where a model's manifest lies: JSON of its name, beside it."""
    return model.with_suffix(".json")


def declared_range(model: Path, digest: str, is_float: bool) -> tuple[InputRange, str] | None:
    """Return the range and which file declares it. Raises ModelError for a range that can't be meant.

    A manifest lies beside the model or ships with the program; one with the SHA-256 of another file is not
    the model's. Lobe's signature declares the range of float models only.
    """
    for manifest in (manifest_path(model), *_shipped(model)):
        document = _json(manifest)
        found = range_of_manifest(document, str(manifest))
        if found is not None and document.get("sha256", digest) == digest:
            return found, f"its manifest {manifest.name}"
    if is_float and lobe_exports(_json(model.with_name(SIGNATURE)), model.name):
        return ZERO_TO_ONE, "the signature of its Lobe export"
    return None


def _shipped(model: Path) -> Iterator[Path]:
    with suppress(EdgeError):
        yield package_data("models") / manifest_path(model).name


def write_manifest(model: Path, values: InputRange) -> None:
    """Write the manifest that declares a model's range. Raises OSError."""
    manifest_path(model).write_text(json.dumps({"input": {"range": str(values)}}) + "\n", encoding="utf-8")


def range_of_manifest(document: object, name: str) -> InputRange | None:
    """Return `input.range`, or the range of `input.mean` and `input.std`, None without them.

    Raises ModelError, in which `name` is the file's, for what can't be meant.
    """
    given = document.get("input") if isinstance(document, Mapping) else None
    if not isinstance(given, Mapping):
        return None
    try:
        if given.get("range") is not None:
            return parse_range(str(given["range"]))
        if given.get("mean") is None and given.get("std") is None:
            return None
        found = normalised(_numbers(given.get("mean")), _numbers(given.get("std")))
    except (ModelError, TypeError, ValueError) as exc:
        raise ModelError(f"{name}: input: {exc}") from exc
    if found is None:
        raise ModelError(f"{name}: input: mean and std are one or three numbers of pixels, std above 0")
    return found


def lobe_exports(document: object, model: str) -> bool:
    """Whether a `signature.json` is Lobe's and of the model file with this name; Lobe's take 0..1."""
    classes = document.get("classes") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(classes, Mapping) or "Label" not in classes:
        return False
    return document.get("filename") in (None, model)


def _numbers(value: object) -> Sequence[float]:
    return [float(each) for each in value] if isinstance(value, list) else [float(str(value))]


def _json(path: Path) -> Any:
    """Return a small JSON file's content, None for everything else."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
