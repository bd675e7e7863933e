"""The model for a board: the most accurate known one that the board runs fast enough."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from edge_daemon.board.identity import Board
from edge_daemon.models.registry import Manifest

Source: TypeAlias = Literal["here", "address", "registry"]
"""Source of the file: this disk, its public address, the package registry."""

LIMITS_MS = {
    "Zero 2 W": (r"Raspberry Pi Zero 2", 50.0),
    "3": (r"Raspberry Pi (3|Compute Module 3)", 100.0),
    "4": (r"Raspberry Pi (4|Compute Module 4)", 100.0),
    "5": (r"Raspberry Pi (5|Compute Module 5)", 100.0),
}
"""Longest time of one inference by kind of board: ten frames a second. On a Zero 2 W half of it, as the
board has no heat sink and reduces its clock under a long load. `4` includes the Pi 400, `5` the Pi 500."""

OTHER_LIMIT_MS = 100.0
FEW_CORES_LIMIT_MS = 50.0
"""Limits of other machines, and of those with one or two cores, which the camera and MQTT need too."""

MIN_GAIN = 2.0
"""Points of accuracy by which a model must exceed the shipped one. The figures scatter by as much."""

TIE = 1.0
"""Points of accuracy within which two models are equal, so that the cheaper one is chosen."""

SHARE_OF_MEMORY = 0.5
BASE_BYTES = 100_000_000
BYTES_PER_FILE_BYTE = 3
"""Memory of the service: a base, and a multiple of the model's file: its content, the weights packed for the
processor, and the activations. At most half of the board's memory."""


class Choice(Struct, frozen=True):
    """A model that this board can run. Accuracy in per cent, None for a model without figures.

    `ms` is the time of one inference, estimated from the measured model by the ratio of their costs; None
    for a model without a measured cost.
    """

    name: str
    accuracy: float | None
    ms: float | None
    bytes: int
    source: Source

    def __str__(self) -> str:
        accuracy = "accuracy not measured" if self.accuracy is None else f"{self.accuracy:.0f} %"
        time = "" if self.ms is None else f", about {self.ms:.2g} ms an inference"
        return f"{self.name}: {accuracy}{time}"


class ModelRecommendation(Struct, frozen=True):
    """The models that are better than the shipped one on a board, best first, beside all known models."""

    board: Board
    limit_ms: float
    better: tuple[Choice, ...]
    shipped: Choice
    known: tuple[Choice, ...]

    @property
    def best(self) -> Choice:
        """The recommended model: the shipped one if none is better."""
        return self.better[0] if self.better else self.shipped

    def to_try(self, name: str) -> tuple[Choice, ...]:
        """Return the models that improve on the one of this name: the best of each source, the shipped one.

        A source that fails once will fail again.
        """
        first: dict[str, Choice] = {}
        for choice in self.better:
            first.setdefault(choice.source, choice)
        return tuple(choice for choice in (*first.values(), self.shipped) if self._improves(choice, name))

    def better_than(self, name: str) -> Choice | None:
        """Return the recommended model if it improves on the one of this name."""
        return self.best if self._improves(self.best, name) else None

    def _improves(self, choice: Choice, name: str) -> bool:
        current = next((each for each in self.known if each.name == name), None)
        return current is not None and _improves_on(choice, current, self.limit_ms)


def recommend(
    board: Board,
    manifests: Sequence[Manifest],
    installed: Collection[str],
    shipped: str,
    unit_ms: float | None,
    *,
    offline: bool = False,
) -> ModelRecommendation:
    """Return the models for a board. `shipped` is the name of the model that needs no download.

    `unit_ms` is the time of one inference of a model with the relative cost 1 here; without it no model is
    better than the shipped one, as nothing is known of their times. `offline` leaves out files not on disk. A
    former default, which ships for the devices that were taught with it, is never recommended.
    """
    choices = [_choice(manifest, installed, unit_ms) for manifest in manifests]
    default = next(choice for choice in choices if choice.name == shipped)
    limit_ms = limit(board)
    former_defaults = {each.name for each in manifests if not each.can_be_pulled} - {shipped}
    fit = [
        choice
        for choice in choices
        if choice.name not in former_defaults
        and _improves_on(choice, default, limit_ms)
        and choice.ms is not None
        and choice.ms <= limit_ms
        and _fits_memory(choice, board)
        and not (offline and choice.source != "here")
    ]
    return ModelRecommendation(board, limit_ms, tuple(_ranked(fit)), default, tuple(choices))


def limit(board: Board) -> float:
    """Return the longest time of one inference on a board, in ms."""
    for pattern, limit_ms in LIMITS_MS.values():
        if re.match(pattern, board.name):
            return limit_ms
    return OTHER_LIMIT_MS if board.cores > 2 else FEW_CORES_LIMIT_MS


def quality(manifest: Manifest) -> float | None:
    """Return the accuracy by which models are compared: a linear classifier, ten examples of each class."""
    return manifest.accuracy("linear")


def describe_quality(manifest: Manifest) -> str:
    """Return the accuracy of a model in words."""
    accuracy = quality(manifest)
    if accuracy is None:
        return "accuracy not measured"
    return f"{accuracy:.0f} % with ten examples of each class"


def unit_time(manifest: Manifest, measured_ms: float) -> float | None:
    """Return the time of a model with the relative cost 1, from the measured time of another one."""
    return measured_ms / manifest.relative_cost if manifest.relative_cost else None


def _choice(manifest: Manifest, installed: Collection[str], unit_ms: float | None) -> Choice:
    cost = manifest.relative_cost
    ms = None if cost is None or unit_ms is None else cost * unit_ms
    source: Source = (
        "here" if manifest.name in installed else "registry" if manifest.package is not None else "address"
    )
    return Choice(manifest.name, quality(manifest), ms, manifest.bytes, source)


def _improves_on(choice: Choice, current: Choice, limit_ms: float) -> bool:
    """Return whether a model is more accurate than another, or faster than another that exceeds the limit.

    False for a model without figures, with which nothing can be compared.
    """
    if choice.accuracy is None or current.accuracy is None or choice.name == current.name:
        return False
    if current.ms is not None and current.ms > limit_ms:
        return choice.ms is not None and choice.ms < current.ms
    return choice.accuracy >= current.accuracy + MIN_GAIN


def _fits_memory(choice: Choice, board: Board) -> bool:
    needed = BASE_BYTES + BYTES_PER_FILE_BYTE * choice.bytes
    return not board.memory_bytes or needed <= SHARE_OF_MEMORY * board.memory_bytes


def _ranked(choices: list[Choice]) -> Iterator[Choice]:
    """Yield the choices by accuracy; among equal ones the cheapest first."""
    left = list(choices)
    while left:
        top = max(choice.accuracy or 0.0 for choice in left)
        equal = [choice for choice in left if (choice.accuracy or 0.0) > top - TIE]
        first = min(equal, key=lambda choice: choice.ms or 0.0)
        left.remove(first)
        yield first
