"""Choice of features for `model.features: auto`, by cross-validation of the examples at each start."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.errors import EdgeError, EmbeddingError, ImageError, NoExamplesError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.domain.types import Example
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from edge_daemon.learning.classifiers.model_selection import (
    HEADS,
    SAMPLE,
    Marks,
    cross_validate,
    select_if_significant,
)
from edge_daemon.learning.embedding_index import EmbeddingIndex, Variants, newest_balanced
from edge_daemon.tflite.verdict_cache import contains, put

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector


@dataclass(frozen=True, slots=True)
class FeatureScore:
    """How a tap does with the head that does best on it: the share named right in cross-validation."""

    tap: str
    head: str
    accuracy: float
    asked: int


def choose_features(taps: Mapping[str, EmbeddingIndex], present: str) -> tuple[list[FeatureScore], str]:
    """Cross-validate each tap; name the best one if its gain over the present one is real.

    The sets hold the same pictures in the same order. Raises NoExamplesError for too few to ask any.
    """
    marks: dict[str, Marks] = {}
    scores = []
    for tap, examples in taps.items():
        heads = cross_validate(examples, HEADS)
        head = max(heads, key=lambda each: int(heads[each].sum()))
        marks[tap] = heads[head]
        if not len(marks[tap]):
            raise NoExamplesError("comparing taps needs two labels with two examples each")
        scores.append(FeatureScore(tap, head, float(marks[tap].mean()), len(marks[tap])))
    return scores, select_if_significant(marks, present)


log = logging.getLogger(__name__)

SMALL_PX = 64
"""Only regions up to this size, along either side, are ever read by their pixels: what fills a larger one
seldom looks the same twice, and pictures taken in one sitting don't show it."""


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """One way of reading pictures; `variants` as in `EmbeddingIndex`."""

    name: str
    embedder: Embedder
    variants: Variants | None = None


def features_in_use(store: ExampleStore, taps: Sequence[FeatureExtractor]) -> FeatureExtractor:
    """Return the tap that most of the examples were read at; the first when there are none."""
    spaces = store.spaces()
    return max(taps, key=lambda tap: spaces.get(tap.embedder.space, 0))


def tune_features(store: ExampleStore, taps: Sequence[FeatureExtractor]) -> FeatureExtractor:
    """Cross-validate the taps on the newest examples; change over if the gain is real.

    All examples of the tap in use move together, or, when only one of them can't be read at the other
    tap or has no picture, none does. Raises StoreError.
    """
    present = features_in_use(store, taps)
    sample = _small(store, present)
    answered = _key(sample, taps)
    if not sample or contains("taps", answered):
        return present
    best = _best(sample, taps, present)
    if best is not present and _move(store, present, best):
        return best
    put("taps", answered)
    return present


def _small(store: ExampleStore, tap: FeatureExtractor) -> list[Example]:
    """Return a sample of the tap's examples with their pictures; none unless all of these are small."""
    examples = list(store.examples(tap.embedder.space, thumbnails=False))
    labels = sorted({example.label for example in examples})
    codes = np.array([labels.index(example.label) for example in examples], dtype=np.intp)
    sample = []
    for row in newest_balanced(codes, len(labels), SAMPLE).tolist():
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


def _key(sample: Sequence[Example], taps: Sequence[FeatureExtractor]) -> str:
    """Name a question, so that a start after no change need not ask it again."""
    words = [tap.embedder.space for tap in taps]
    words += [f"{example.id} {example.label} {example.group} {example.created_at}" for example in sample]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]


def _best(
    sample: Sequence[Example], taps: Sequence[FeatureExtractor], present: FeatureExtractor
) -> FeatureExtractor:
    sets = {tap.name: EmbeddingIndex(tap.variants) for tap in taps}
    try:
        for example in sample:
            for tap in taps:
                vector = example.embedding if tap is present else _read(tap, example)
                sets[tap.name].add(vector, example.label, example.id, example.group)
        scores, best = choose_features(sets, present.name)
    except NoExamplesError:
        return present
    except EmbeddingError as exc:
        log.info("model.features stays %s: %s", present.name, exc)
        return present
    shares = ", ".join(f"{score.accuracy:.0%} by {score.tap}" for score in scores)
    log.info("of %d small pictures taught, the others name right: %s", scores[0].asked, shares)
    return next(tap for tap in taps if tap.name == best)


def _move(store: ExampleStore, present: FeatureExtractor, best: FeatureExtractor) -> bool:
    """Read all examples anew; whether they were moved."""
    try:
        with store.transaction():
            moved = store.move(_reread(store, present, best), best.embedder.space)
    except EdgeError as exc:
        log.warning("model.features stays %s, no example was moved: %s", present.name, exc)
        return False
    log.info("model.features is %s now; %d examples were read anew from their pictures", best.name, moved)
    return True


def _reread(
    store: ExampleStore, present: FeatureExtractor, best: FeatureExtractor
) -> Iterator[tuple[int, Vector]]:
    for example in list(store.examples(present.embedder.space)):
        yield example.id, _read(best, example)


def _read(tap: FeatureExtractor, example: Example) -> Vector:
    try:
        return tap.embedder.embed(read_image(example.thumbnail))
    except (EmbeddingError, ImageError) as exc:
        raise EmbeddingError(
            f"example {example.id} ('{example.label}') can't be read at {tap.name}: {exc}"
        ) from exc
