"""`edge-daemon evaluate --features`: recommend features for the pictures at hand."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_daemon.app.model_factory import build_embedder, build_query_augmentation, open_store_to_read
from edge_daemon.cli.progress import Progress
from edge_daemon.cli.store_warnings import warn_of_other_store
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import ConfigError, EmbeddingError, ImageError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.evaluation.feature_selection import select_features
from edge_daemon.example_store.image_folders import find_pictures, read_pictures
from edge_daemon.imaging.image_io import read_image
from edge_daemon.learning.embedding_index import EmbeddingIndex

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

log = logging.getLogger(__name__)


class _Picture(NamedTuple):
    name: str
    image: Image
    label: str
    group: str = ""


def compare_features(
    configs: Mapping[str, Config], current: str, directory: Path | None
) -> Iterator[dict[str, object]]:
    """Yield a row for each of the features and one with the recommendation.

    The pictures are those of the directory, else those of the store. Raises ConfigError without pictures.
    """
    embedders = {features: build_embedder(config) for features, config in configs.items()}
    indexes = {
        features: EmbeddingIndex(build_query_augmentation(config)) for features, config in configs.items()
    }
    pictures = _from_folder(directory) if directory else _from_store(configs[current])
    for number, picture in enumerate(pictures):  # one at a time: all of them may not fit into the memory
        for features, vector in _embed(embedders, picture).items():
            indexes[features].add(vector, picture.label, number, picture.group)
    if not len(indexes[current]):
        raise ConfigError("there are no pictures to compare features on; name a folder of label folders")
    scores, best = select_features(indexes, current)
    for score in scores:
        yield asdict(score)
    yield {"recommendation": _recommendation(best, current), "best": best}


def _from_folder(directory: Path) -> Iterator[_Picture]:
    found = find_pictures(directory)
    for picture, image in read_pictures(Progress("embedding")(found, len(found))):
        yield _Picture(str(picture.path), image, picture.label)


def _from_store(config: Config) -> Iterator[_Picture]:
    warn_of_other_store(config, "evaluate")
    with open_store_to_read(config) as store:
        for example in Progress("embedding")(store, sum(store.counts.values())):
            if example.thumbnail:
                name = f"example {example.id} ('{example.label}')"
                try:
                    yield _Picture(name, read_image(example.thumbnail), example.label, example.group)
                except ImageError as exc:
                    log.warning("%s: %s; left out", name, exc)


def _embed(embedders: Mapping[str, Embedder], picture: _Picture) -> dict[str, Vector]:
    """Return an embedding for each of the features, or none at all: every index has the same pictures."""
    try:
        return {features: embedder.embed(picture.image) for features, embedder in embedders.items()}
    except EmbeddingError as exc:
        log.warning("%s: %s; left out", picture.name, exc)
        return {}


def _recommendation(best: str, current: str) -> str:
    if best == current:
        return f"keep model.features {current}"
    return f"set model.features to {best}, then run `edge-daemon examples reembed`"
