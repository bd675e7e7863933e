"""Feature selection for `model.features: auto`: cross-validation on the examples at each start."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.counted import percent
from edge_daemon.domain.errors import EdgeError, EmbeddingError, ImageError, NoExamplesError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.domain.types import Example
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from edge_daemon.learning.classifiers.grouped_cross_validation import OFFLINE_SAMPLE, cross_validate
from edge_daemon.learning.classifiers.model_selection import build_candidates, select_if_significant
from edge_daemon.learning.embedding_index import EmbeddingIndex, QueryAugmentation
from edge_daemon.learning.sampling import Flags, balanced_sample
from edge_daemon.tflite.verdict_cache import contains, put

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector


log = logging.getLogger(__name__)

SMALL_PX = 64
"""Largest side of a region for which patch features are considered. A larger object rarely looks the same
twice, which pictures of one session do not show."""


@dataclass(frozen=True, slots=True)
class FeatureScore:
    """Cross-validated accuracy of the features with their best classifier, on `count` pictures."""

    features: str
    classifier: str
    accuracy: float
    count: int


def select_features(indexes: Mapping[str, EmbeddingIndex], current: str) -> tuple[list[FeatureScore], str]:
    """Cross-validate each of the features; return the scores and the selection.

    The best features are selected if their gain over the current ones is significant. The indexes hold the
    same pictures in the same order. Raises NoExamplesError with too few examples.
    """
    correct: dict[str, Flags] = {}
    scores = []
    for features, examples in indexes.items():
        by_classifier = cross_validate(examples, build_candidates)
        best = max(by_classifier, key=lambda each: int(by_classifier[each].sum()))
        flags = correct[features] = by_classifier[best]
        if not len(flags):
            raise NoExamplesError("comparing features needs two labels with two examples each")
        scores.append(FeatureScore(features, best, float(flags.mean()), len(flags)))
    return scores, select_if_significant(correct, current)


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """Features by name, the embedder that computes them, and the query augmentation of their index."""

    name: str
    embedder: Embedder
    augment_query: QueryAugmentation | None = None


def features_in_use(store: ExampleStore, extractors: Sequence[FeatureExtractor]) -> FeatureExtractor:
    """Return the features that most of the examples have; the first ones if there are no examples."""
    spaces = store.spaces()
    return max(extractors, key=lambda extractor: spaces.get(extractor.embedder.space, 0))


def tune_features(store: ExampleStore, extractors: Sequence[FeatureExtractor]) -> FeatureExtractor:
    """Cross-validate the features on the newest examples; change to the best if the gain is significant.

    All examples with the features in use are recomputed together, or none if one of them has no picture or
    can't be embedded. Raises StoreError.
    """
    current = features_in_use(store, extractors)
    sample = _small_pictures(store, current)
    key = _comparison_key(sample, extractors)
    if not sample or contains("taps", key):
        return current
    best = _select(sample, extractors, current)
    if best is not current and _switch(store, current, best):
        return best
    put("taps", key)
    return current


def _small_pictures(store: ExampleStore, extractor: FeatureExtractor) -> list[Example]:
    """Return a sample of the examples with these features, with pictures; none unless all are small."""
    examples = list(store.examples(extractor.embedder.space, thumbnails=False))
    labels = sorted({example.label for example in examples})
    class_ids = np.array([labels.index(example.label) for example in examples], dtype=np.intp)
    sample = []
    for row in balanced_sample(class_ids, len(labels), OFFLINE_SAMPLE).tolist():
        thumbnail = store.thumbnail(examples[row].id) or b""
        if not _is_small(thumbnail):
            return []
        sample.append(replace(examples[row], thumbnail=thumbnail))
    return sample


def _is_small(thumbnail: bytes) -> bool:
    try:
        return bool(thumbnail) and max(read_image(thumbnail).shape[:2]) <= SMALL_PX
    except ImageError:
        return False


def _comparison_key(sample: Sequence[Example], extractors: Sequence[FeatureExtractor]) -> str:
    """Return a key of the examples and features. A start without a change skips the comparison."""
    words = [extractor.embedder.space for extractor in extractors]
    words += [f"{example.id} {example.label} {example.group} {example.created_at}" for example in sample]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]


def _select(
    sample: Sequence[Example], extractors: Sequence[FeatureExtractor], current: FeatureExtractor
) -> FeatureExtractor:
    indexes = {extractor.name: EmbeddingIndex(extractor.augment_query) for extractor in extractors}
    try:
        for example in sample:
            for extractor in extractors:
                vector = example.embedding if extractor is current else _embed(extractor, example)
                indexes[extractor.name].add(vector, example.label, example.id, example.group)
        scores, best = select_features(indexes, current.name)
    except NoExamplesError:
        return current
    except EmbeddingError as exc:
        log.info("model.features stays %s: %s", current.name, exc)
        return current
    accuracies = ", ".join(f"{percent(score.accuracy)} correct with {score.features}" for score in scores)
    log.info("cross-validation on %d small pictures: %s", scores[0].count, accuracies)
    return next(extractor for extractor in extractors if extractor.name == best)


def _switch(store: ExampleStore, current: FeatureExtractor, best: FeatureExtractor) -> bool:
    """Recompute all examples from their pictures; return whether that succeeded."""
    try:
        with store.transaction():
            moved = store.replace_embeddings(_embed_all(store, current, best), best.embedder.space)
    except EdgeError as exc:
        log.warning("model.features stays %s, no example was changed: %s", current.name, exc)
        return False
    log.info("model.features is %s now; %d examples were recomputed from their pictures", best.name, moved)
    return True


def _embed_all(
    store: ExampleStore, current: FeatureExtractor, best: FeatureExtractor
) -> Iterator[tuple[int, Vector]]:
    for example in list(store.examples(current.embedder.space)):
        yield example.id, _embed(best, example)


def _embed(extractor: FeatureExtractor, example: Example) -> Vector:
    try:
        return extractor.embedder.embed(read_image(example.thumbnail))
    except (EmbeddingError, ImageError) as exc:
        raise EmbeddingError(
            f"example {example.id} ('{example.label}') can't be embedded with {extractor.name}: {exc}"
        ) from exc
