"""Import of a Teachable Machine or Lobe export (zip or folder), or a .tflite file, into the model folder."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from edge_daemon.domain.errors import ArchiveError, ModelError
from edge_daemon.imaging.input_range import InputRange
from edge_daemon.models.class_names import (
    check_count,
    embedded_class_names,
    find_class_names,
    format_class_names,
    parse_class_names,
    read_class_names,
)
from edge_daemon.models.export_archive import TFLITE_MARK, Export, open_export
from edge_daemon.models.part_file import PartFile, check_model_folder
from edge_daemon.system.disk import temporary_folder
from edge_daemon.system.file_owner import as_owner_of
from edge_daemon.system.sqlite import free_name
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tflite.input_range_sources import SIGNATURE, manifest_path, write_manifest

log = logging.getLogger(__name__)

MAX_MODEL_BYTES = 256 << 20
MAX_LABEL_BYTES = 4 << 20

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_LABEL_FILES = ("labels.txt", "signature.json", "labels.json", "class_names.txt")
_WAYS = "--labels FILE gives the model labels, --range an input range"
_OTHER_EXPORTS = {
    "model.json": "a TensorFlow.js export; add its model.json, unpacked with the files beside it",
    "keras_model.h5": "a Keras export; choose 'Tensorflow Lite' in the export dialog instead",
    "saved_model.pb": "a SavedModel; convert it to TFLite first",
}


@dataclass(frozen=True, slots=True)
class Added:
    """A model in the model folder; `labels` is empty for one without class names.

    `input_range` is the range that the model gets for black to white, and its source.
    """

    path: Path
    labels: tuple[str, ...]
    embedding_size: int
    input_range: str


@dataclass(frozen=True, slots=True)
class _Labels:
    """Class names and their source; `beside`: from a file in the folder of a single model."""

    names: tuple[str, ...]
    origin: str
    beside: bool = False


def check_name(name: str) -> str:
    """Return a valid model name. Raises ModelError."""
    if not _NAME.fullmatch(name):
        raise ModelError(f"'{name}' can't name a model; give one of letters, digits, _ . - with --name")
    return name


def add(
    source: Path,
    folder: Path,
    name: str | None = None,
    *,
    labels: Path | None = None,
    values: InputRange | None = None,
    threads: int = 1,
    delegate: str = "auto",
) -> Added:
    """Try a model, then copy it and its labels to `folder` as `name` (by default the source's name).

    `labels` is a label file that replaces the model's own labels, `values` the model's input range.
    Raises ArchiveError for an invalid export. Raises ModelError for an unusable model, for labels that don't
    match, and when another model has that name; OutputError without room for a trial. Nothing is kept then.
    """
    chosen = check_name((name or source.name).removesuffix(".zip").removesuffix(".tflite"))
    export = open_export(source)
    member = _find_model(export)
    content = export.read(member, MAX_MODEL_BYTES)
    found = _read_label_file(labels) if labels is not None else _labels(export)
    target = folder / f"{chosen}.tflite"
    check_model_folder(folder)
    try:
        if target.exists() and target.read_bytes() != content:
            raise ModelError(f"{target} is another model; choose a name with --name")
        # Not in the model folder: its owner could replace any file in it by a link.
        with temporary_folder() as temporary:
            trial = temporary / PurePosixPath(member).name
            _write_trial(trial, content, export, member, values)
            return _install(trial, target, _try(trial, found, source, threads, delegate))
    except OSError as exc:
        raise ModelError(f"{folder}: can't be written: {exc.strerror}") from exc


def _write_trial(trial: Path, content: bytes, export: Export, member: str, values: InputRange | None) -> None:
    """Write the model, and the files that declare its input range, to a private folder. Raises ModelError."""
    try:
        trial.write_bytes(content)
        _declare_range(trial, export, member, values)
    except OSError as exc:
        raise ModelError(f"{trial.parent}: can't be written: {exc.strerror}") from exc


def _declare_range(trial: Path, export: Export, member: str, values: InputRange | None) -> None:
    """Write the files that declare the input range beside the trial: the user's, else the export's."""
    if values is not None:
        write_manifest(trial, values)
        return
    folder = PurePosixPath(member).parent
    for name in (manifest_path(trial).name, SIGNATURE):
        content = _beside(export, str(folder / name))
        if content is not None:
            (trial.parent / name).write_bytes(content)


def _beside(export: Export, name: str) -> bytes | None:
    """Return a small file of an export or beside a single model, None if there is none."""
    if name in export.names:
        return export.read(name, MAX_LABEL_BYTES)
    if not _is_single_file(export):
        return None
    near = export.source.with_name(name)
    if not near.is_file() or near.stat().st_size > MAX_LABEL_BYTES:
        return None
    return near.read_bytes()


def _is_single_file(export: Export) -> bool:
    """Return whether the source is a single model file."""
    return export.source.suffix == ".tflite" and export.source.is_file()


def _try(trial: Path, found: _Labels | None, source: Path, threads: int, delegate: str) -> Added:
    """Load the model as the daemon does; with labels, load it as a classifier too."""
    try:
        embedder = TfliteEmbedder(trial, threads, delegate)
        inside = embedded_class_names(trial) if found is None else None
        labels = _check_labels(
            found or (_Labels(inside, str(source)) if inside else None), trial, threads, delegate
        )
    except ModelError as exc:
        raise ModelError(str(exc).replace(str(trial), str(source))) from exc
    if embedder.input_range.range is not None:
        write_manifest(trial, embedder.input_range.range)
    return Added(trial, labels, embedder.size, str(embedder.input_range))


def _check_labels(found: _Labels | None, trial: Path, threads: int, delegate: str) -> tuple[str, ...]:
    """Return the labels if their number is that of the model's classes. Raises ModelError.

    Labels beside a model without classes belong to another model and are dropped.
    """
    if found is None:
        return ()
    try:
        classes = TfliteEmbedder(trial, threads, delegate, "probabilities").size
    except ModelError as exc:
        if found.beside:
            return ()
        raise ModelError(f"{found.origin}: has labels, but the model is {_without(trial, exc)}") from exc
    try:
        return check_count(found.names, classes, found.origin)
    except ModelError as exc:
        raise exc if not found.beside else ModelError(f"{exc}; name the right file with --labels") from exc


def _without(trial: Path, error: ModelError) -> str:
    return str(error).removeprefix(f"{trial}: ")


def _install(trial: Path, target: Path, added: Added) -> Added:
    """Put the model and the files beside it in place; after an error the folder is as before.

    Label files and manifests that are replaced, or were left by another model, are kept under another name.
    """
    kept: dict[Path, Path | None] = {}
    try:
        for file, content in _changes(trial, target, added).items():
            kept[file] = old = free_name(file, "old") if os.path.lexists(file) else None
            if old is not None:
                _rename(file, old)
            if content is not None:
                _put(content, file)
        _put(trial.read_bytes(), target)
    except BaseException:
        _put_back(kept)
        raise
    for file, old in kept.items():
        if old is not None:
            log.warning("%s: not used for the added model, kept as %s; %s", file, old.name, _WAYS)
    return replace(added, path=target)


def _changes(trial: Path, target: Path, added: Added) -> dict[Path, bytes | None]:
    """Return the new content of the label file and the manifest where it differs; None for no file.

    Without new content, the files of a model that is in the folder already stay.
    """
    labels, manifest = target.with_suffix(".labels.txt"), manifest_path(target)
    new = {
        labels: format_class_names(added.labels).encode() if added.labels else None,
        manifest: manifest_path(trial).read_bytes() if manifest_path(trial).exists() else None,
    }
    is_new = not target.exists()
    changes = {file: content for file, content in new.items() if is_new or content is not None}
    with as_owner_of(target.parent):
        if added.labels and _has_labels(labels, added.labels):
            del changes[labels]
        if manifest.is_file() and manifest.read_bytes() == new[manifest]:
            del changes[manifest]
    return changes


def _has_labels(file: Path, labels: tuple[str, ...]) -> bool:
    with suppress(ModelError):
        return read_class_names(file) == labels
    return False


def _put_back(kept: Mapping[Path, Path | None]) -> None:
    """Remove the files that were put in place, and give the former ones their names again."""
    for file, old in kept.items():
        if old is None:
            with as_owner_of(file.parent):
                file.unlink(missing_ok=True)
        elif os.path.lexists(old):
            _rename(old, file)


def _rename(file: Path, name: Path) -> None:
    with as_owner_of(file.parent):
        os.replace(file, name)


def _put(content: bytes, target: Path) -> None:
    with PartFile(target, resumes=False) as part:
        part.file.truncate(0)
        part.file.write(content)
        part.put_in_place()


def _read_label_file(path: Path) -> _Labels:
    return _Labels(read_class_names(path), str(path))


def _labels(export: Export) -> _Labels | None:
    """Return the export's labels, or those beside a single model."""
    if _is_single_file(export):
        found = find_class_names(export.source)
        return _Labels(*found, beside=True) if found else None
    for wanted in _LABEL_FILES:
        for name in export.names:
            if PurePosixPath(name).name == wanted:
                names = parse_class_names(export.read(name, MAX_LABEL_BYTES), f"{export.source}, {name}")
                return _Labels(names, str(export.source))
    return None


def _find_model(export: Export) -> str:
    found = [name for name in export.names if name.lower().endswith(".tflite")]
    if not found and len(export.names) == 1:  # a model without the suffix
        found = [name for name in export.names if _is_model(export, name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ArchiveError(
            f"{export.source}: holds {len(found)} models ({', '.join(found[:4])}); add one of them"
        )
    names = {PurePosixPath(name).name for name in export.names}
    kind = next((text for file, text in _OTHER_EXPORTS.items() if file in names), None)
    if any("-!-" in name for name in names):
        kind = "a Teachable Machine project; `edge-daemon examples import` imports its pictures"
    raise ArchiveError(
        f"{export.source}: {kind or 'no model: neither a .tflite file nor an archive with one'}"
    )


def _is_model(export: Export, name: str) -> bool:
    return export.read(name, MAX_MODEL_BYTES)[4:8] == TFLITE_MARK
