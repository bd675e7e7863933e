"""What the configuration means by the model, its tap and its examples; both daemon and commands ask here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from edge_daemon.config.paths import state_dir
from edge_daemon.config.schema import Config
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.learning.embedding_index import QueryAugmentation
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier
from edge_daemon.models.registry import find
from edge_daemon.tflite import embedder as litert

DEFAULT_MODEL = "edge_embedder_v1"


def model_path(config: Config) -> Path:
    """Return the file of the configured model. Raises ModelError."""
    return find(config.model.name or DEFAULT_MODEL)


def model_name(config: Config) -> str:
    """Return the model's name as people know it; `patch` where none is used."""
    if config.model.features == "patch" and config.classifier.type != "pretrained":
        return "patch"
    return Path(config.model.name or DEFAULT_MODEL).name.removesuffix(".tflite")


def build_embedder(config: Config) -> Embedder:
    """Load the configured model, if the tap needs one; an `auto` not settled is `embedding`.

    Raises ModelError.
    """
    model = config.model
    tap = "probabilities" if config.classifier.type == "pretrained" else model.features
    if tap == "patch":
        from edge_daemon.tflite.patch_embedder import PatchEmbedder

        return PatchEmbedder()
    tap = "embedding" if tap == "auto" else tap
    return litert.TfliteEmbedder(model_path(config), model.threads, model.delegate, tap, model.crop)


def resolve_features(config: Config, *, tune: bool = False) -> Config:
    """Replace `model.features: auto` by the features that the examples have; `tune` takes the best for them.

    Raises ModelError, StoreError.
    """
    if config.model.features != "auto" or config.classifier.type == "pretrained":
        return config
    settled = [_with_features(config, "embedding"), _with_features(config, "patch")]
    from edge_daemon.evaluation.feature_selection import FeatureExtractor, features_in_use, tune_features

    taps = [
        FeatureExtractor(each.model.features, build_embedder(each), build_query_augmentation(each))
        for each in settled
    ]
    with open_store(config) as store:
        chosen = tune_features(store, taps) if tune else features_in_use(store, taps)
    return settled[taps.index(chosen)]


def _with_features(config: Config, features: Literal["embedding", "patch"]) -> Config:
    return msgspec.structs.replace(config, model=msgspec.structs.replace(config.model, features=features))


def store_path(config: Config) -> Path:
    """Return where the configured store lies."""
    return Path(config.store.path) if config.store.path else state_dir() / "examples.sqlite"


def open_store(config: Config) -> ExampleStore:
    """Open the configured store, keeping a corrupt one aside. Raises StoreError."""
    return ExampleStore.open_or_recover(store_path(config))


def build_classifier(config: Config, classes: Sequence[str] = ()) -> OpenSetClassifier:
    """Make an empty learner; `classes` are the model's own, for `classifier.type: pretrained`."""
    head = config.classifier
    return make_classifier(
        head.type, head.k, head.metric, head.vote, head.unknown, classes, build_query_augmentation(config)
    )


def build_query_augmentation(config: Config) -> QueryAugmentation | None:
    """Return how a query is moved about before it is compared: only a patch is."""
    if config.model.features != "patch":
        return None
    from edge_daemon.tflite.patch_embedder import moved

    return moved
