"""`edge-daemon evaluate --features`: say which tap suits the pictures at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_daemon.app.model_factory import build_embedder, build_variants, open_store
from edge_daemon.cli.progress import Progress
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import ConfigError, EmbeddingError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.evaluation.feature_selection import choose_features
from edge_daemon.example_store.image_folders import find_pictures, read_pictures
from edge_daemon.imaging.image_io import read_image
from edge_daemon.learning.embedding_index import EmbeddingIndex

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


class _Shown(NamedTuple):
    image: Image
    label: str
    group: str = ""


def advise(taps: Mapping[str, Config], present: str, directory: Path | None) -> Iterator[dict[str, object]]:
    """Yield a line for each tap and one of advice. Pictures are the folder's, else the store's."""
    embedders = {tap: build_embedder(config) for tap, config in taps.items()}
    sets = {tap: EmbeddingIndex(build_variants(config)) for tap, config in taps.items()}
    pictures = list(_folder(directory) if directory else _store(taps[present]))
    for number, shown in enumerate(Progress("embedding")(pictures, len(pictures))):
        for tap, vector in _embed(embedders, shown.image).items():
            sets[tap].add(vector, shown.label, number, shown.group)
    if not len(sets[present]):
        raise ConfigError("there are no pictures to compare taps on; name a folder of label folders")
    scores, best = choose_features(sets, present)
    for score in scores:
        yield asdict(score)
    yield {"advice": _advice(best, present), "best": best}


def _folder(directory: Path) -> Iterator[_Shown]:
    for picture, image in read_pictures(find_pictures(directory)):
        yield _Shown(image, picture.label)


def _store(config: Config) -> Iterator[_Shown]:
    with open_store(config) as store:
        for example in store:
            if example.thumbnail:
                yield _Shown(read_image(example.thumbnail), example.label, example.group)


def _embed(embedders: Mapping[str, Embedder], image: Image) -> dict[str, Vector]:
    """Embed at every tap; at none if one has no answer, so that all are asked the same."""
    try:
        return {tap: embedder.embed(image) for tap, embedder in embedders.items()}
    except EmbeddingError:
        return {}


def _advice(best: str, present: str) -> str:
    if best == present:
        return f"keep model.features {present}"
    return f"set model.features to {best}, then run `edge-daemon examples reembed`"
