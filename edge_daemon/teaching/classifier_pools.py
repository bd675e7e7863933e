"""The classifiers of the pools of examples, and the stored examples that they use."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from edge_daemon.domain.errors import EmbeddingError, LabelError
from edge_daemon.domain.types import Evaluation, Example
from edge_daemon.learning.open_set_classifier import OpenSetClassifier
from edge_daemon.learning.sessions import SessionCounter

if TYPE_CHECKING:
    from edge_daemon.learning.object_classifier import ObjectClassifier

log = logging.getLogger(__name__)

SHARED_POOL = ""
"""The pool of the regions that share their examples, and of regions that are no longer configured."""


class ClassifierPools:
    """One classifier per pool; `pools` maps each region to its pool. One owning thread.

    `objects` holds, by pool, those of the classifiers that compare objects too.
    """

    def __init__(
        self,
        classifiers: Mapping[str, OpenSetClassifier],
        pools: Mapping[str, str],
        objects: Mapping[str, ObjectClassifier],
    ) -> None:
        self._classifiers = classifiers
        self._pools = pools
        self._objects = objects
        self._sessions = SessionCounter()

    @property
    def classifiers(self) -> Collection[OpenSetClassifier]:
        """The classifiers of all pools."""
        return self._classifiers.values()

    def classifier(self, region: str) -> OpenSetClassifier:
        """Return the classifier of a configured region's pool; it is the same object for every call."""
        return self._classifiers[self._pools[region]]

    def pool_of(self, region: str) -> str:
        """Return the pool of a region's examples."""
        return self._pools.get(region, SHARED_POOL)

    @property
    def counts(self) -> dict[str, int]:
        """Examples per label, in all pools."""
        counts: dict[str, int] = {}
        for classifier in self.classifiers:
            for label, count in classifier.counts.items():
                counts[label] = counts.get(label, 0) + count
        return counts

    def evaluate(self) -> dict[str, Evaluation]:
        """Return the evaluation of each pool."""
        return {pool: classifier.evaluate() for pool, classifier in self._classifiers.items()}

    def check(self, label: str) -> None:
        """Raise LabelError for a label that a classifier can't use."""
        for classifier in self.classifiers:
            classifier.check(label)

    def accepts(self, example: Example) -> bool:
        """Return whether the example has a classifier that can use its label."""
        classifier = self._classifiers.get(self.pool_of(example.region))
        try:
            if classifier is not None:
                classifier.check(example.label)
        except LabelError:
            return False
        return classifier is not None

    def add(self, example: Example) -> None:
        """Add a stored example to the classifier of its pool, if there is one.

        Raises LabelError, EmbeddingError.
        """
        pool = self.pool_of(example.region)
        if pool not in self._classifiers:
            return
        session = self._sessions.number(example)
        values = (example.embedding, example.label, example.id, example.group, session)
        if pool not in self._objects:
            self._classifiers[pool].add(*values)
            return
        self._objects[pool].add(*values, object_embedding=example.object_embedding, scene_id=example.scene_id)

    def load(self, examples: Iterable[Example]) -> None:
        """Add stored examples; those that can't be used are logged and skipped."""
        rejected: set[str] = set()
        for example in examples:
            try:
                self.add(example)
            except LabelError:
                rejected.add(example.label)
            except EmbeddingError as exc:
                log.warning("example %d ('%s') is left out: %s", example.id, example.label, exc)
        if rejected:
            labels = ", ".join(f"'{label}'" for label in sorted(rejected))
            log.warning("the classifier can't use %s; the examples stay in the store", labels)

    def remove(self, ids: Collection[int]) -> None:
        """Remove examples."""
        for classifier in self.classifiers:
            classifier.remove(ids)

    def clear(self) -> None:
        """Remove all examples."""
        for classifier in self.classifiers:
            classifier.clear()
        self._sessions = SessionCounter()

    def set_unknown(self, value: float | str) -> None:
        """Set the rejection of all classifiers, see `OpenSetClassifier.set_unknown`. Raises ConfigError."""
        for classifier in self.classifiers:
            classifier.set_unknown(value)
