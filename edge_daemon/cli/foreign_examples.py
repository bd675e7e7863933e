"""Checks of import files from other programs: their format, and their fit to the configured model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from edge_daemon.app.model_factory import build_resolved_embedder, model_name
from edge_daemon.config.schema import Config
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ArchiveError, ModelError
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.models.registry import installed_models, shipped_manifests
from edge_daemon.system.regular_file import open_regular, without_bom

log = logging.getLogger(__name__)


def first_byte(path: Path) -> bytes:
    """Return a file's first byte after a byte-order mark and spaces."""
    try:
        with open_regular(path) as file:
            return without_bom(file.read(64)).lstrip()[:1]
    except OSError as exc:
        raise ArchiveError(f"'{path}' can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError:
        return b""


def check_fit(config: Config, records: Sequence[ExampleRecord]) -> None:
    """Warn of embeddings that are not of the configured model. Raises ArchiveError for a wrong --space."""
    try:
        embedder = build_resolved_embedder(config)
    except ModelError as exc:
        log.warning("the embeddings can't be compared with the model's: %s", exc)
        return
    size, space = records[0].embedding.size, records[0].space
    model = model_name(config)
    if size != embedder.size and space == embedder.space:
        raise ArchiveError(
            f"embeddings of {counted(size, 'number')} can't be of '{model}', which makes {embedder.size}"
        )
    if size != embedder.size:
        log.warning(
            "embeddings of %s do not fit the model '%s', which makes %d%s; they are kept, but only "
            "the model that made them can use them",
            counted(size, "number"),
            model,
            embedder.size,
            _fitting(size),
        )
    elif space != embedder.space:
        log.warning(
            "the file names no model, so '%s' does not use its embeddings; if it made them, import them with "
            "--space '%s'",
            model,
            embedder.space,
        )


def warn_of_other_models(config: Config, store: ExampleStore) -> None:
    """Warn of stored examples that are not of the configured model, as those of another device's archive."""
    spaces = store.spaces()
    try:
        others = sum(spaces.values()) - spaces.get(build_resolved_embedder(config).space, 0)
    except ModelError as exc:
        log.warning("the embeddings can't be compared with the model's: %s", exc)
        return
    if others:
        log.warning(
            "%s of another model or other features, which '%s' does not use; "
            "`edge-daemon examples reembed` embeds them again from their pictures",
            counted(others, "example"),
            model_name(config),
        )


def _fitting(size: int) -> str:
    """Return a note on the installed models with embeddings of this size, for a message."""
    installed = installed_models()
    names = [
        f"'{each.name}'"
        for each in shipped_manifests()
        if each.embedding_size == size and each.name in installed
    ]
    return f" (of that size: {', '.join(names)})" if names else ", nor any other model here"
