"""Accuracy of a pretrained classifier by its own classes: folders matched to labels, top-1 and top-5."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

TOP = 5
_NUMBERED = re.compile(r"(.*) \(\d+\)")
_NORMAL = 1.96


@dataclass(frozen=True, slots=True)
class Judged:
    """A picture with its true classes, the predicted class, its probability, and the rank of the truth.

    `rank` is 0 if a true class is the most probable one. `row` is the picture's number.
    """

    row: int
    label: str
    predicted: int
    probability: float
    rank: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares of the pictures whose true class is the most probable one, and among the first five.

    `top5` is None for a model of at most five classes, where it is always 1. `interval` is the 95 %
    confidence interval of `top1` (Wilson).
    """

    pictures: int
    top1: float
    top5: float | None
    interval: tuple[float, float]


def match_labels(folders: Iterable[str], classes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the classes that each folder's name means; empty for a name of none.

    Case, `_`, `-` and repeated spaces don't count. A folder means the classes of the same name (ImageNet has
    two cranes, the second read as "crane (2)"), or else those with that name among their synonyms, as
    "tabby" in "tabby, tabby cat".
    """
    whole: dict[str, list[int]] = {}
    synonyms: dict[str, list[int]] = {}
    for number, label in enumerate(classes):
        numbered = _NUMBERED.fullmatch(label)
        for name in dict.fromkeys([label, numbered[1] if numbered else label]):
            whole.setdefault(_normalize(name), []).append(number)
        for name in dict.fromkeys(_normalize(part) for part in label.split(",")):
            synonyms.setdefault(name, []).append(number)
    return {
        folder: tuple(whole.get(_normalize(folder)) or synonyms.get(_normalize(folder)) or ())
        for folder in folders
    }


def judge(row: int, label: str, true: Sequence[int], probabilities: Vector) -> Judged:
    """Return the result of one picture. Of equal probabilities the class of the lowest number is first."""
    order = np.argsort(-probabilities, kind="stable")
    rank = int(np.flatnonzero(np.isin(order, true))[0])
    best = int(order[0])
    total = float(probabilities.sum())
    return Judged(row, label, best, float(probabilities[best]) / total if total else 0.0, rank)


def accuracy(judged: Sequence[Judged], class_count: int) -> Accuracy:
    """Return the shares over all pictures; there is at least one."""
    count = len(judged)
    right = sum(each.rank == 0 for each in judged)
    among = sum(each.rank < TOP for each in judged)
    top5 = among / count if class_count > TOP else None
    return Accuracy(count, right / count, top5, _wilson(right / count, count))


def by_label(judged: Iterable[Judged]) -> Mapping[str, list[Judged]]:
    """Group the results by the folder's name."""
    groups: dict[str, list[Judged]] = {}
    for each in judged:
        groups.setdefault(each.label, []).append(each)
    return groups


def _wilson(share: float, count: int) -> tuple[float, float]:
    square = _NORMAL**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    half = _NORMAL * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def _normalize(name: str) -> str:
    return " ".join(re.sub(r"[_\-\s]+", " ", name).split()).casefold()
