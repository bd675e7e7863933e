"""One answer among many examples: ours beside the browser's KNN and scikit-learn's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from edge_daemon.benchmark.statistics import embeddings
from edge_daemon.domain.errors import EdgeError
from edge_daemon.learning.classifiers.knn import KNNClassifier
from edge_daemon.learning.open_set_classifier import make_classifier
from rivals import browser_knn, scikit_knn
from rivals.turns import OURS, Comparison, leave_out, take_turns

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

SIZE, K = 1024, 3
QUERIES = 16

Taught: TypeAlias = "list[tuple[Vector, str]]"
Answer = TypeVar("Answer")


class Rival(Protocol):
    """Answers queries by their number."""

    def ask(self, row: int) -> tuple[float, str]:
        """Return the milliseconds it took, and the label."""


class InProcess(Generic[Answer]):
    """A rival in this process."""

    def __init__(
        self, answer: Callable[[Vector], Answer], label: Callable[[Answer], str], queries: list[Vector]
    ) -> None:
        """`label` reads the label off an answer, when its time has been taken."""
        self._answer = answer
        self._label = label
        self._queries = queries

    def ask(self, row: int) -> tuple[float, str]:
        """Return the milliseconds it took, and the label."""
        query = self._queries[row]
        begun_s = time.perf_counter()
        answer = self._answer(query)
        return (time.perf_counter() - begun_s) * 1000, self._label(answer)


def compare_answers(count: int, rounds: int, cache: Path) -> Iterator[Comparison]:
    """Compare one query's answer: ours votes, and judges whether the query is anything taught at all.

    Raises EdgeError when a rival answers otherwise than our vote.
    """
    drawn = embeddings(count + QUERIES, SIZE)
    taught, queries = drawn[:count], [vector for vector, _ in drawn[count:]]
    matrix = np.stack([vector for vector, _ in taught])
    with ExitStack() as stack:
        rivals: dict[str, Rival] = {OURS: _ours(taught, queries), "our vote alone": _vote(taught, queries)}
        rivals |= _browsers(taught, queries, cache / "npm", stack)
        rivals |= _scikit(taught, queries, cache / "scikit-learn")
        _check(rivals)
        rivals["baseline matrix @ vector"] = InProcess(lambda query: matrix @ query, lambda _: "", queries)
        contenders = {name: partial(_milliseconds, rival) for name, rival in rivals.items()}
        yield from take_turns(f"answer among {count} x {SIZE}", contenders, rounds)


def _ours(taught: Taught, queries: list[Vector]) -> Rival:
    classifier = make_classifier("knn", K, vote="plain")
    for number, (vector, label) in enumerate(taught):
        classifier.add(vector, label, number)
    return InProcess(classifier.predict, lambda prediction: prediction.ranking[0].label, queries)


def _vote(taught: Taught, queries: list[Vector]) -> Rival:
    classifier = KNNClassifier(K)
    for vector, label in taught:
        classifier.add(vector, label)
    return InProcess(classifier.predict, lambda prediction: prediction.label, queries)


def _browsers(taught: Taught, queries: list[Vector], folder: Path, stack: ExitStack) -> dict[str, Rival]:
    gap = browser_knn.missing(folder)
    if gap is not None:
        leave_out("browser KNN", gap)
        return {}
    return {
        f"browser KNN in Node, {backend}": stack.enter_context(
            browser_knn.BrowserKNN(folder, backend, taught, queries, K)
        )
        for backend in browser_knn.BACKENDS
    }


def _scikit(taught: Taught, queries: list[Vector], folder: Path) -> dict[str, Rival]:
    gap = scikit_knn.missing(folder)
    if gap is not None:
        leave_out("scikit-learn", gap)
        return {}
    return {"scikit-learn, brute force": InProcess(scikit_knn.ScikitKNN(taught, K).answer, str, queries)}


def _check(rivals: dict[str, Rival]) -> None:
    for row in range(QUERIES):
        labels = {name: rival.ask(row)[1] for name, rival in rivals.items()}
        if len(set(labels.values())) > 1:
            raise EdgeError(f"the answers differ: {labels}")


def _milliseconds(rival: Rival, number: int) -> float:
    return rival.ask(number % QUERIES)[0]
