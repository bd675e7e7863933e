"""Cross-validation of heads on the examples at hand, in steps short enough to fit between frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.learning.example_set import Codes, ExampleSet
from edge_daemon.learning.head import Head
from edge_daemon.learning.sample import newest

Heads: TypeAlias = Mapping[str, Callable[[ExampleSet], Head]]
Marks: TypeAlias = npt.NDArray[np.bool_]
"""For each example asked, whether a head named it right."""

FOLDS = 5
SAMPLE = 200
"""So many of the newest examples, evenly over the classes, take part, which bounds the cost."""

REAL = 2.0
"""A gain is real when it is so many standard errors (McNemar's test on the examples that differ)."""


def cross_validate(examples: ExampleSet, heads: Heads) -> dict[str, Marks]:
    """Do all steps of a contest at once."""
    steps = contest(examples, heads)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            marks: dict[str, Marks] = end.value
            return marks


def contest(examples: ExampleSet, heads: Heads) -> Generator[None, None, dict[str, Marks]]:
    """Mark which examples each head names right when their fold is not taught; a head and fold a step.

    Works on a copy, so the examples may change meanwhile. Bursts stay together; examples whose class
    has nothing outside the fold are not asked.
    """
    rows = newest(examples.codes, len(examples.labels), SAMPLE)
    sample = _teach(examples, rows)
    folds = deal(sample)
    marks: dict[str, list[bool]] = {each: [] for each in heads}
    for fold in range(FOLDS):
        taught = _teach(sample, np.flatnonzero(folds != fold))
        asked = [
            row for row in np.flatnonzero(folds == fold).tolist() if _label(sample, row) in taught.counts
        ]
        if not asked or len(taught.labels) < 2:
            continue
        for each, make in heads.items():
            head = make(taught)
            for row in asked:
                prediction = head.predict(taught.compare(sample.matrix[row]))
                marks[each].append(prediction.label == _label(sample, row))
            yield
    return {each: np.array(right, dtype=bool) for each, right in marks.items()}


def better(marks: Mapping[str, Marks], present: str) -> str:
    """Name the best head if its gain over the present one is real, else the present one."""
    best = max(marks, key=lambda each: (int(marks[each].sum()), each == present))
    won = int((marks[best] & ~marks[present]).sum())
    lost = int((marks[present] & ~marks[best]).sum())
    return best if won - lost > REAL * math.sqrt(won + lost) else present


def deal(examples: ExampleSet) -> Codes:
    """Deal each class's bursts to the folds in turn."""
    dealt: dict[int, dict[str, int]] = {}
    folds = np.zeros(len(examples), np.intp)
    for row, (code, group) in enumerate(zip(examples.codes.tolist(), examples.groups, strict=True)):
        bursts = dealt.setdefault(code, {})
        folds[row] = bursts.setdefault(group or f"\0{row}", len(bursts)) % FOLDS
    return folds


def _teach(examples: ExampleSet, rows: Codes) -> ExampleSet:
    part = ExampleSet(examples.variants)
    for row in rows.tolist():
        vector = examples.matrix[row] * examples.norms[row]
        part.add(vector, _label(examples, row), examples.ids[row], examples.groups[row])
    return part


def _label(examples: ExampleSet, row: int) -> str:
    return examples.labels[int(examples.codes[row])]
