"""Put a model on the shelf: a Teachable Machine or Lobe export (zip or folder), or a .tflite file."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_daemon.errors import ArchiveError, ModelError
from edge_daemon.model_zoo.export import Export, open_export
from edge_daemon.model_zoo.labels import check_count, embedded_labels, parse_labels
from edge_daemon.vision.litert import Embedder
from edge_daemon.vision.tap import TapName

MAX_MODEL_BYTES = 256 << 20
MAX_LABEL_BYTES = 4 << 20

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_LABEL_FILES = ("labels.txt", "signature.json", "labels.json", "class_names.txt")
_OTHER_EXPORTS = {
    "model.json": "a TensorFlow.js export; unpack it and add its model.json",
    "keras_model.h5": "a Keras export; choose 'Tensorflow Lite' in the export dialog instead",
    "saved_model.pb": "a SavedModel; convert it to TFLite first",
}


@dataclass(frozen=True, slots=True)
class Added:
    """A model now on the shelf; `labels` is empty for one without class names.

    `embedding_size` is 0 for a classifier in which no embedding can be read.
    """

    path: Path
    labels: tuple[str, ...]
    embedding_size: int


def add(source: Path, shelf: Path, name: str | None = None) -> Added:
    """Copy a model and its labels to `shelf` as `name` (by default the source's) after trying both.

    Raises ArchiveError for an export that isn't one, ModelError for a model that can't be used or whose
    labels don't match, or when another model of that name is there. Nothing is kept then.
    """
    chosen = name or source.name.removesuffix(".zip").removesuffix(".tflite")
    if not _NAME.fullmatch(chosen):
        raise ModelError(f"'{chosen}' can't name a model; give one of letters, digits, _ . - with --name")
    export = open_export(source)
    content = export.read(_the_model(export), MAX_MODEL_BYTES)
    labels = _labels(export)
    target = shelf / f"{chosen}.tflite"
    try:
        if target.exists() and target.read_bytes() != content:
            raise ModelError(f"{target} is another model; choose a name with --name")
        shelf.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=shelf, prefix=".adding-") as folder:
            trial = Path(folder) / target.name
            trial.write_bytes(content)
            return _keep(trial, target, _try(trial, labels, source))
    except OSError as exc:
        raise ModelError(f"{shelf}: can't be written: {exc.strerror}") from exc


def _try(trial: Path, labels: tuple[str, ...], source: Path) -> Added:
    """Load the model both ways; it must serve at least one of them."""
    embedding, no_embedding = _size(trial, "embedding")
    classes, no_classes = _size(trial, "probabilities")
    if no_embedding and no_classes:
        raise ModelError(str(no_embedding).replace(str(trial), str(source)))
    if labels and no_classes:
        raise ModelError(f"{source}: has labels, but the model is {no_classes}".replace(f"{trial}: ", ""))
    names = labels or embedded_labels(trial) or ()
    return Added(trial, check_count(names, classes, str(source)) if names else (), embedding)


def _size(model: Path, tap: TapName) -> tuple[int, ModelError | None]:
    try:
        return Embedder(model, tap=tap).size, None
    except ModelError as exc:
        return 0, exc


def _keep(trial: Path, target: Path, added: Added) -> Added:
    if added.labels:
        names = trial.with_suffix(".labels.txt")
        names.write_text("".join(f"{label}\n" for label in added.labels), encoding="utf-8")
        os.replace(names, target.with_suffix(".labels.txt"))
    os.replace(trial, target)
    return Added(target, added.labels, added.embedding_size)


def _labels(export: Export) -> tuple[str, ...]:
    for wanted in _LABEL_FILES:
        for name in export.names:
            if PurePosixPath(name).name == wanted:
                return parse_labels(export.read(name, MAX_LABEL_BYTES), f"{export.source}, {name}")
    return ()


def _the_model(export: Export) -> str:
    found = [name for name in export.names if name.endswith(".tflite")]
    if len(found) == 1:
        return found[0]
    if found:
        raise ArchiveError(
            f"{export.source}: holds {len(found)} models ({', '.join(found[:4])}); add one of them"
        )
    names = {PurePosixPath(name).name for name in export.names}
    what = next((text for file, text in _OTHER_EXPORTS.items() if file in names), None)
    raise ArchiveError(
        f"{export.source}: {what or 'no model: neither a .tflite file nor an archive with one'}"
    )
