"""Embedder, classifier and example store of a configuration, for the daemon and the commands."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from edge_daemon.app.stored_model import stored_model
from edge_daemon.config.paths import state_dir
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import StoreError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.object_embedder import ObjectEmbedder
from edge_daemon.learning.embedding_index import QueryAugmentation
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier
from edge_daemon.models.cohort_file import read_cohort
from edge_daemon.models.registry import DEFAULT_MODEL, find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

if TYPE_CHECKING:
    from edge_daemon.learning.object_classifier import ObjectClassifier
    from edge_daemon.learning.open_set.cohort import Cohort


log = logging.getLogger(__name__)


def configured_model(config: Config) -> str:
    """Return the name or the path of the model: without one, that of the store's examples or the default."""
    return config.model.name or stored_model(store_path(config)) or DEFAULT_MODEL


def resolve_model(config: Config) -> Config:
    """Return the configuration with the name of its model, so that the store is read for it only once.

    A model of the stored examples that is not the default one is logged.
    """
    if config.model.name:
        return config
    name = configured_model(config)
    if name != DEFAULT_MODEL and not _is_patch(config):
        log.warning(
            "the stored examples are of %s, which stays in use; "
            "`edge-daemon models use %s` changes to a better model and embeds them again",
            name,
            DEFAULT_MODEL,
        )
    return with_model(config, name)


def with_model(config: Config, name: str) -> Config:
    """Return the configuration with another model."""
    return replace(config, model=replace(config.model, name=name))


def model_path(config: Config) -> Path:
    """Return the path of the configured model file. Raises ModelError."""
    return find_model(configured_model(config))


def model_name(config: Config) -> str:
    """Return the model's name for display; `patch` if no model is used."""
    if _is_patch(config):
        return "patch"
    return Path(configured_model(config)).name.removesuffix(".tflite")


def _is_patch(config: Config) -> bool:
    """Return whether regions are compared by their pixels, without a model."""
    return config.model.features == "patch" and config.classifier.type != "pretrained"


def build_embedder(config: Config) -> Embedder:
    """Load the configured model, unless the features are `patch`; unresolved `auto` means `embedding`.

    Raises ModelError.
    """
    model = config.model
    features = "probabilities" if config.classifier.type == "pretrained" else model.features
    if features == "patch":
        from edge_daemon.tflite.patch_embedder import PatchEmbedder

        return PatchEmbedder()
    features = "embedding" if features == "auto" else features
    return TfliteEmbedder(model_path(config), model.threads, model.delegate, features, model.crop)


def resolve_features(config: Config, store: ExampleStore | None = None, *, tune: bool = False) -> Config:
    """Replace `model.features: auto` by the features of the stored examples; with `tune`, by the best ones.

    `model.name` is resolved too. The configured store is opened for `auto` if it is not given. Raises
    ModelError, StoreError.
    """
    return choose_features(config, store, tune=tune)[0]


def build_resolved_embedder(config: Config) -> Embedder:
    """Load the embedder of the features that `resolve_features` returns. Raises ModelError, StoreError."""
    config, embedder = choose_features(config)
    return embedder or build_embedder(config)


def choose_features(
    config: Config, store: ExampleStore | None = None, *, tune: bool = False
) -> tuple[Config, Embedder | None]:
    """Return the configuration of `resolve_features`, and its embedder if that was loaded for the choice."""
    config = resolve_model(config)
    if config.model.features != "auto" or config.classifier.type == "pretrained":
        return config, None
    candidates = [_with_features(config, "embedding"), _with_features(config, "patch")]
    from edge_daemon.evaluation.feature_selection import FeatureExtractor, features_in_use, tune_features

    extractors = [
        FeatureExtractor(each.model.features, build_embedder(each), build_query_augmentation(each))
        for each in candidates
    ]
    path = store_path(config)
    opened = nullcontext(store) if store else ExampleStore.open_or_recover(path, create=False)
    with opened as examples:
        chosen = tune_features(examples, extractors) if tune else features_in_use(examples, extractors)
    return candidates[extractors.index(chosen)], chosen.embedder


def _with_features(config: Config, features: Literal["embedding", "patch"]) -> Config:
    return replace(config, model=replace(config.model, features=features))


def store_path(config: Config, state_folder: Path | None = None) -> Path:
    """Return the path of the configured store; `state_folder` replaces the state directory."""
    return Path(config.store.path) if config.store.path else (state_folder or state_dir()) / "examples.sqlite"


def open_store(config: Config) -> ExampleStore:
    """Open the configured store; a corrupt file is moved aside first. Raises StoreError."""
    return ExampleStore.open_or_recover(store_path(config))


def open_store_to_read(config: Config) -> ExampleStore:
    """Open the configured store for a command that only reads: no file is made, and no folder.

    Without a file at the default path the store is empty. Raises StoreError, also for a missing file at
    another path.
    """
    require_store(config)
    return ExampleStore.open_or_recover(store_path(config), create=False)


def require_store(config: Config) -> None:
    """Raise StoreError for a missing file at another path than the default one: it may be mistyped."""
    path = store_path(config)
    if not os.path.exists(path) and path.absolute() != state_dir() / "examples.sqlite":
        raise StoreError(f"store '{path}' does not exist; check store.path")


def build_classifier(config: Config, cohort: Cohort | None, classes: Sequence[str] = ()) -> OpenSetClassifier:
    """Build an empty classifier. `cohort`: see `load_cohort`, None for one that only evaluates.

    `classes` are the model's own names, for `classifier.type: pretrained`.
    """
    options = config.classifier
    return make_classifier(
        options.type,
        options.k,
        options.metric,
        options.vote,
        options.unknown,
        classes,
        build_query_augmentation(config),
        cohort,
    )


def build_object_embedder(embedder: Embedder) -> ObjectEmbedder:
    """Return the embedder of objects cut out of a known scene, which uses `embedder`."""
    if not isinstance(embedder, TfliteEmbedder):
        return ObjectEmbedder(embedder.embed)
    embed_part = embedder.embed_part if embedder.embeds_parts else None
    return ObjectEmbedder(embedder.embed, embedder.input.height, embed_part)


def uses_scenes(config: Config) -> bool:
    """Return whether objects are compared without their scene, where it is known."""
    compares_objects = config.classifier.type not in ("pretrained", "regression")
    return config.scene != "off" and config.model.features == "embedding" and compares_objects


def build_object_classifier(config: Config, cohort: Cohort | None) -> ObjectClassifier:
    """Build an empty classifier of regions and objects; not for `pretrained`, whose classes are fixed."""
    from edge_daemon.learning.object_classifier import make_object_classifier

    options = config.classifier
    return make_object_classifier(
        options.type,
        options.k,
        options.metric,
        options.vote,
        options.unknown,
        cohort,
    )


def load_cohort(config: Config) -> Cohort | None:
    """Return the cohort of the configured model's embeddings; None for a model or features without one."""
    if config.model.features != "embedding" or config.classifier.type == "pretrained":
        return None
    from edge_daemon.learning.open_set.cohort import Cohort

    embeddings = read_cohort(model_path(config))
    return None if embeddings is None else Cohort(embeddings)


def build_query_augmentation(config: Config) -> QueryAugmentation | None:
    """Return the test-time augmentation of queries; only patch embeddings have one."""
    if config.model.features != "patch":
        return None
    from edge_daemon.tflite.patch_embedder import shifted_variants

    return shifted_variants
